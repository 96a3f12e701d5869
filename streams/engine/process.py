"""The engine process: a consumer group member that turns micro-batches of market frames into output records, each batch
in one transaction.

The protocol, step by step (docs/exactly-once.md tells what is found after a death at each):
1 poll a micro-batch; 2 feed it to the tasks; 3 wait for the transaction before; 4 begin; 5 write a due snapshot,
outputs and commit records; 6 add the input offsets with the snapshot pointers as metadata; 7 commit, 6 and 7 beside 1
and 2 of the next batch. A failed transaction is aborted and the tasks are rebuilt from what is committed. Partitions
whose state is not there yet are recovered in steps between the polls.
"""

import threading
import time
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from msgspec import UNSET

from streams import members
from streams.engine import memory, opening_snapshots
from streams.engine.build import build_hash
from streams.engine.group_position import OffsetVerifier
from streams.engine.metrics import EngineMetrics, Place
from streams.engine.model_store import KafkaModelStore
from streams.engine.rebuilding import AssignedPartition, RebuildQueue
from streams.engine.recovery import Progress, Recovery, feed
from streams.engine.snapshots import GROUP, Pointer, Pointers, dump, put
from streams.engine.task import OutputRecord, Tally, Task
from streams.engine.totals import Totals
from streams.engine.tracing import Traces
from streams.engine.warm import warm_up
from streams.members import Key, Membership
from tapewatch import logs
from tapewatch.clock import NANOS, WALL, Clock
from tapewatch.contract import messages, topics
from tapewatch.contract.frames import Headers
from tapewatch.contract.messages import Commit, to_rfc3339
from tapewatch.errors import TapewatchError, UnansweredError
from tapewatch.market_log.registry import Registry
from tapewatch.runtime import kafka, transactions
from tapewatch.runtime.idling import IdleDetector
from tapewatch.runtime.monitoring import Monitor
from tapewatch.settings import Settings

log = logs.get("engine")

FENCE_S = 120
"""How long the broker may take to give a producer its transactions, s."""
MOST_ABANDONED = 3
"""Producers that may be left alone in mid-call: each keeps its threads and its memory."""
HEARD_S = 2.0
"""Longer than a member's heartbeats are apart: how long a fenced process listens whether another has its place, s."""


class Engine:
    """One engine process."""

    def __init__(self, settings: Settings, clock: Clock = WALL) -> None:
        self._settings, self._clock = settings, clock
        self.instance = members.own_name(settings.engine.instance)
        self.totals = Totals()
        self.monitor = Monitor("engine", settings)
        self._watch = EngineMetrics(self.monitor, self.totals, self._places, lambda: self.recovering)
        self._sent_ms = 0
        self._begun: tuple[int, float] | None = None
        self._registry = Registry(settings)
        self._shelf = KafkaModelStore(settings)
        self._recovery = Recovery(settings, self._registry, self._shelf, build_hash())
        self._standing = OffsetVerifier(settings, self._recovery)
        self._held: dict[Key, AssignedPartition] = {}
        self._parked: dict[Key, AssignedPartition] = {}
        self._rebuilding = RebuildQueue(settings.engine, self._recovery, self.totals, clock)
        self._partitions: dict[str, int] = {}
        self._committer = ThreadPoolExecutor(1, "commit")
        self._lost: list[Key] = []
        self._mine: frozenset[Key] = frozenset()
        self._open: tuple[Future[None], list[Tally]] | None = None
        self._writer: Producer
        self._traces = Traces(self.monitor.tracer) if self.monitor.tracer else None
        self._abandoned: list[Producer] = []
        self._spent = self._outrun = False
        self._idling = IdleDetector(None, clock)
        self._replaced = ""

    def run(self, stop: threading.Event, until_idle_s: float = 0.0) -> None:
        """Work until told to stop, or until nothing came for `until_idle_s` seconds (0: for ever)."""
        self._idling = IdleDetector(until_idle_s or None, self._clock)
        memory.keep()
        warm_up()
        memory.spare_collector()
        # A new broker makes its own topics for transactions at the first request: beside ours.
        fenced = self._committer.submit(self._fence)
        kafka.create_topics(self._settings, topics.shared_topics(self._settings.topics))
        self._partitions = kafka.existing_topics(kafka.admin(self._settings))
        self._shelf.publish_shipped()
        self._writer = fenced.result()
        try:
            self.monitor.ready()
            while not self._work_as_member(stop):
                pass
        finally:
            self._committer.shutdown()
            self._recovery.close()
            self._registry.close()

    def _work_as_member(self, stop: threading.Event) -> bool:
        """Join the group and work; False where the place in it was lost to nobody, and is to be taken again."""
        consumer = self._consumer()
        membership = Membership(
            consumer, members.subscribed(self._settings.engine.feeds), self._take_up, self._put_down
        )
        try:
            self._work(consumer, membership, stop)
            return True
        except members.PlaceLostError as lost:
            group = self._settings.engine.group
            if members.has_twin(self._settings, group, self.instance, membership.member_id):
                raise
            log.warning("the group forgot this member, it joins again", group=group, why=lost.message)
            self._put_down()
            self._replaced = ""
            return False
        finally:
            consumer.close()

    def _work(self, consumer: Consumer, membership: Membership, stop: threading.Event) -> None:
        """The loop: poll, compute, settle the transaction before, begin the next."""
        while not stop.is_set():
            self.monitor.beat()
            membership.settle_in()
            wait_s = 0.0 if self._rebuilding.under_way else self._settings.engine.poll_ms / 1000
            batch = self._idling.read(consumer.consume(self._settings.engine.batch_frames, timeout=wait_s))
            self._check_place()
            touched: dict[Key, AssignedPartition] = {}
            if batch:
                self._registry.fetched(batch)
                self._sent_ms = batch[0].timestamp()[1]
                if self._traces is not None:
                    self._traces.read(batch)
                touched = self._feed(batch)
            if self._open is not None or batch:
                if self._settle() and touched:
                    self._begin(consumer, touched)
                self._idling.busy()
                self._count_time()
            if self._outrun:
                self._renew(consumer)
            elif self._spent:
                self._writer = self._fence()
            self._spent = False
            if self._lost:
                self._start_over(consumer)
            if self._rebuilding.under_way:
                self._recover(consumer)
                self._idling.busy()
            elif self._idling.is_over(self._held):
                return
        self._settle()

    def _count_time(self) -> None:
        """What the work has taken since its first record."""
        if self._begun:
            elapsed, cpu_s = self._begun
            self.totals.work_ns = self._clock.elapsed() - elapsed
            self.totals.cpu_ns = int((time.process_time() - cpu_s) * NANOS)

    def _put_down(self) -> None:
        """Put every partition down, once what was computed on them is committed; they may come back with the next
        assignment, and a recovery goes on where it stood.
        """
        self._settle()
        self._parked, self._held, self._lost = self._held, {}, []
        self._rebuilding.put_aside()
        self._mine = frozenset()

    def _fence(self) -> Producer:
        """A producer under this process's name; whoever had that name is fenced, its transaction decided."""
        try:
            return transactions.fenced(self._producer(), FENCE_S)
        except KafkaException as error:
            raise TapewatchError(
                f"the broker gives the producer {self.instance!r} no transactions: {error.args[0]}",
                "Run `tapewatch status`; look at the broker's log.",
            ) from error

    def _renew(self, consumer: Consumer) -> None:
        """A new producer in the place of one that was fenced: by a process of the same name, which this one then makes
        way for, or by the broker, which ended its transaction after the time-out, frozen or cut off as it was.
        """
        consumer.assign([])
        until = self._clock.elapsed() + int(HEARD_S * NANOS)
        while self._clock.elapsed() < until:
            for _ in members.sound(consumer.consume(1, timeout=0.1), log):
                break
            self._check_place()
        self._writer = self._fence()
        self._outrun = False

    def _on_error(self, error: KafkaError) -> None:
        """What the consumer's client says; called while it is polled."""
        if members.lost_place(error):
            self._replaced = str(error)

    def _check_place(self) -> None:
        """Nobody may go on whose place in the group another process has taken."""
        if self._replaced:
            raise members.replaced(self._replaced)

    def _producer(self) -> Producer:
        return transactions.make_producer(
            self._settings,
            f"{self._settings.engine.group}-{self.instance}",
            # A transaction's records of a partition leave as one batch, at the latest when the commit flushes them.
            # With more records waiting than librdkafka keeps in flight for a partition (five), its thread would spin
            # until the broker answers: a third of the engine's CPU time.
            batch_size=15_000_000,
        )

    def _consumer(self) -> Consumer:
        return members.member_consumer(
            self._settings,
            self._settings.engine.group,
            self.instance,
            told=self.monitor.client("reader"),
            queued_min_messages=2_000,
            queued_max_messages_kbytes=65_536,
            # A place that the log no longer has is an error, never passed over.
            auto_offset_reset="error",
            error_cb=self._on_error,
            **self._idling.properties,
        )

    def _take_up(self, consumer: Consumer, given: list[TopicPartition]) -> None:
        """Take up what the group gives."""
        self._mine = frozenset((place.topic, place.partition) for place in given)
        self._assign(consumer, given)

    def _assign(self, consumer: Consumer, given: list[TopicPartition]) -> None:
        """Take partitions up: their committed state, from memory where this process has it still."""
        try:
            places = self._standing.proved(consumer, given)
            self._standing.keep_restored(consumer)
        except UnansweredError as error:
            log.warning("not answered, the partitions are asked for again", why=error.message)
            self._lost = [(place.topic, place.partition) for place in given]
            return
        for place in places:
            key = (place.topic, place.partition)
            done, pointers = max(place.offset, 0), Pointers.decoded(place.metadata)
            kept = self._parked.pop(key, None)
            if kept is not None and kept.task.next_offset == done:
                self._held[key] = kept
                continue
            self._rebuilding.begin(key, done, pointers)
        self._parked.clear()
        self._rebuilding.drop_aside()
        self._read_on(consumer)

    def _recover(self, consumer: Consumer) -> None:
        """One step of the recoveries that are due, one partition after the other."""
        whole = self._rebuilding.step()
        self._held |= whole
        if whole:
            self._read_on(consumer)

    def _read_on(self, consumer: Consumer) -> None:
        """Read every partition whose state is there, from where it stands."""
        # Those that are rebuilt too: a snapshot that fails again and again gets older all the while.
        self._watch.taken_up([*self._held, *self._rebuilding.under_way])
        consumer.assign([TopicPartition(*key, held.task.next_offset) for key, held in self._held.items()])
        self._idling.anew()
        log.info("partitions assigned", partitions=[f"{topic}[{partition}]" for topic, partition in self._held])

    def _places(self) -> dict[Key, Place]:
        """For who watches: how far each partition is, and from where a recovery would replay it."""
        return {
            key: (held.task.next_offset, held.pointers.snapshots[0].next_offset if held.pointers.snapshots else 0)
            for key, held in list(self._held.items())
        }

    @property
    def recovering(self) -> list[Progress]:
        """How far the recoveries are that are not done; callable from another thread."""
        return self._rebuilding.progress

    def _feed(self, batch: Iterable[Message]) -> dict[Key, AssignedPartition]:
        """Hand a micro-batch to the tasks; returns the partitions it touched."""
        touched: dict[Key, AssignedPartition] = {}
        for message in members.sound(batch, log):
            key = (message.topic(), message.partition())
            held = self._held.get(key)
            if held is None or message.offset() < held.task.next_offset:
                continue
            self._begun = self._begun or (self._clock.elapsed(), time.process_time())
            started = time.perf_counter_ns()
            try:
                feed(held.task, message)
            except UnansweredError as error:
                self._set_back(key, error)
                touched.pop(key, None)
                continue
            took = time.perf_counter_ns() - started
            held.cadence.worked(took)
            held.task.tally.worked_ns += took
            touched[key] = held
        return touched

    def _set_back(self, key: Key, error: UnansweredError) -> None:
        """Compute a partition again from what is committed: its task stands in the middle of a record."""
        topic, partition = key
        log.warning("not answered, the partition begins again", topic=topic, partition=partition, why=error.message)
        self._lost.append(key)
        del self._held[key]

    def _begin(self, consumer: Consumer, touched: dict[Key, AssignedPartition]) -> None:
        """Write a batch's outputs in a new transaction, and let it be committed while the next batch is computed."""
        begun = self._clock.elapsed()
        try:
            transactions.begin(self._writer)
            due = self._due(touched)
            for held in touched.values():
                if held is due:
                    self._snapshot(held)
                self._open_day(held)
                self._write_task(held)
        except KafkaException as error:
            self._abort(error)
            return
        offsets = [
            TopicPartition(*key, held.task.next_offset, metadata=held.pointers.encoded())
            for key, held in touched.items()
        ]
        member = consumer.consumer_group_metadata()
        tallies = [held.task.restart_tally() for held in touched.values()]
        writer, sent_ms = self._writer, self._sent_ms
        traced = self._traces.begun() if self._traces is not None else None

        def commit() -> None:
            transactions.commit(writer, offsets, member)
            self._watch.committed(begun, sent_ms)
            if traced is not None:
                traced()

        self._open = (self._committer.submit(commit), tallies)

    def _due(self, touched: dict[Key, AssignedPartition]) -> AssignedPartition | None:
        """The partition whose snapshot is the most overdue; one a transaction, so that none takes too long."""
        now, share = self._clock.elapsed(), len(self._held)
        due = max(touched.values(), key=lambda held: held.cadence.overdue_ns(now, share))
        return due if due.cadence.overdue_ns(now, share) >= 0 else None

    def _settle(self) -> bool:
        """Wait for the open transaction; False where it failed and all that was computed is lost."""
        if self._open is None:
            return True
        (pending, tallies), self._open = self._open, None
        try:
            pending.result()
        except KafkaException as error:
            self._abort(error)
            return False
        except kafka.StuckError as error:
            self._drop_tasks()
            self._abandon(error)
            return False
        self.totals.transactions += 1
        for tally in tallies:
            self.totals.add(tally)
        return True

    def _write_task(self, held: AssignedPartition) -> None:
        """Write a task's outputs and its commit record."""
        task = held.task
        for record in task.take():
            self._produce(record, task.partition)
            if self._traces is not None:
                self._traces.wrote(record)
        said = commit_record(task, self.instance, self._settings.engine.group, held.pointers.topic_id)
        written = messages.encode(said)
        self._produce(OutputRecord(topics.COMMITS, written, task.topic.encode()), task.partition)

    def _snapshot(self, held: AssignedPartition) -> None:
        """Write a snapshot of the task's state; the outputs it still holds leave in the same transaction."""
        started = self._clock.elapsed()
        held.pointers = held.pointers.with_new(self._write_snapshot(held))
        self.totals.snapshots += 1
        now = self._clock.elapsed()
        held.cadence.written(now, now - started)

    def _write_snapshot(self, held: AssignedPartition) -> Pointer:
        """Write the task's state in chunks; returns where it lies, known once the broker has the chunks."""
        task, data = held.task, dump(held.task)
        pointer = self._put(task, held.pointers.next_slot, data)
        self._watch.snapshot((task.topic, task.partition), len(data))
        return pointer

    def _open_day(self, held: AssignedPartition) -> None:
        """Keep the state as the first transaction of a day leaves it, beside the running ones."""
        day, before = opening_snapshots.day_of(held.task), held.opened
        held.opened = max(day, before)
        if 0 <= before < day:
            slot = opening_snapshots.slot_of(day, self._settings.topics.market_retention_hours)
            self._put(held.task, slot, dump(held.task), [(opening_snapshots.DAY, str(day).encode())])

    def _put(self, task: Task, slot: int, data: bytes, more: Headers = ()) -> Pointer:
        """Write a dumped state to a slot; where it lies. more : headers of each chunk beside every snapshot's"""
        named = [(GROUP, self._settings.engine.group.encode()), *more]
        partition = task.partition % self._partitions[topics.SNAPSHOTS]
        return put(self._writer, partition, task, slot, data, named)

    def _produce(self, record: OutputRecord, partition: int) -> None:
        target = record.target(partition, self._partition_count(record.topic))
        kafka.enqueue(self._writer, record.topic, record.value, record.key, record.headers, target)

    def _partition_count(self, topic: str) -> int:
        count = self._partitions.get(topic)
        if count is None:
            self._partitions = kafka.existing_topics(kafka.admin(self._settings))
            if topic not in self._partitions:
                # A feed made without its dead-letter topic (by hand, say) gets one.
                kafka.create_topics(self._settings, [topics.dead_letter_topic(topic)])
                self._partitions = kafka.existing_topics(kafka.admin(self._settings))
            count = self._partitions[topic]
        return count

    def _abort(self, error: KafkaException) -> None:
        """Abort the open transaction and drop every task: their state is ahead of the log. A new producer takes the
        place of one that has aborted; of one that cannot even do that, its first act decides what was left open.
        """
        self._drop_tasks()
        self._spent = True
        try:
            transactions.abort(self._writer, error, log)
        except KafkaException as failure:
            log.warning("the producer is of no more use", error=str(failure.args[0]))
            self._replace_writer()
        except kafka.StuckError as failure:
            self._abandon(failure)

    def _abandon(self, error: kafka.StuckError) -> None:
        """Leave a producer alone that does not come back, for a new one. StuckError after the third."""
        if len(self._abandoned) >= MOST_ABANDONED:
            raise error
        log.warning("the producer does not come back, another takes its place", error=error.message)
        self._abandoned.append(self._writer)
        self._replace_writer()

    def _replace_writer(self) -> None:
        self.totals.fenced += 1
        self._outrun = True

    def _drop_tasks(self) -> None:
        self.totals.aborted += 1
        self._lost, self._held, self._parked = [*self._lost, *self._held], {}, {}

    def _start_over(self, consumer: Consumer) -> None:
        """Rebuild the dropped tasks from what is committed."""
        lost, self._lost = self._lost, []
        self._assign(consumer, [TopicPartition(*key) for key in lost if key in self._mine])


def commit_record(task: Task, instance: str, group: str, topic_id: str = "") -> Commit:
    """What a transaction says of a task's work since the one before.

    instance : static member id of the process; group : whose offset is committed with it; topic_id : of the task's
    topic, empty where no broker gave it one
    """
    tally = task.tally
    return Commit(
        topic=task.topic,
        partition=task.partition,
        first_offset=max(tally.first_offset, 0),
        next_offset=task.next_offset,
        frames=tally.frames,
        rows=dict(tally.rows),
        refused=dict(tally.refused),
        duplicates=tally.duplicates,
        features=tally.written["features"],
        scores=tally.written["scores"],
        alerts=tally.written["alerts"],
        signals=tally.written["signals"],
        clock=to_rfc3339(task.clock_ns) if task.clock_ns >= 0 else None,
        configuration=task.force.config_hash,
        models=dict(task.force.models),
        build=task.build,
        instance=instance,
        group=group,
        topic_id=topic_id or UNSET,
        worked_us=tally.worked_ns // 1000,
    )
