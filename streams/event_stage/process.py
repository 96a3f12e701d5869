"""A low-rate stage's process: records in by Faust, what follows from them out, each exactly once.

The protocol:
1 open the transactional producer: a predecessor is fenced, and its open transaction ended; 2 read the group's offsets,
then the state out of the log; 3 Faust joins its group and reads on from the committed offsets; 4 its agents hand over
records, acknowledging none; 5 work out what follows from all that wait; 6 begin a transaction; 7 write messages and
dead letters; 8 add the offsets behind the records; 9 commit.
If we die before 9, none of it is there: the next one begins at 1 with the same records. If we die after it, none of the
records is read again. If the transaction fails and can be aborted, the state is read anew and the records are worked
on again.
"""

import asyncio
import threading
from collections.abc import Iterable
from typing import Any

from confluent_kafka import KafkaException, Producer, TopicPartition

from streams import members
from streams.event_stage.faust_app import BrokerGoneError, application
from streams.event_stage.records import Outcome, Record, Work, fresh
from tapewatch import logs
from tapewatch.clock import NANOS, WALL, Clock
from tapewatch.contract import messages, topics
from tapewatch.errors import ContractError, TapewatchError, UnansweredError
from tapewatch.market_log import dead_letters
from tapewatch.runtime import group_offsets, kafka, transactions
from tapewatch.runtime.monitoring import Monitor
from tapewatch.runtime.monitoring.kafka_clients import LAG
from tapewatch.runtime.monitoring.metric import ENDINGS, PARTITIONS, REFUSED, TRANSACTION_SECONDS
from tapewatch.security import renewal
from tapewatch.settings import Settings

TRANSACTION_TIMEOUT_MS = 20_000
"""Longer than an engine's: a process that stood still for seconds is not fenced, and a restart waits for nothing."""

START_S = 60.0
"""Faust that has not come to stand by then is stopped and made anew."""
MOST_AT_ONCE = 500
MOST_WAITING = 2_000
MOST_FAILURES = 5


class EventStage:
    """The one process of a stage: a second one of the same group takes over from the first.

    name : by which its dead letters name it; group : consumer group and transactional id
    inputs : topics that it reads; it also reads what it had refused and is asked to take once more
    monitor : of the process, without the figures that all such stages have
    """

    def __init__(
        self,
        settings: Settings,
        name: str,
        group: str,
        inputs: Iterable[str],
        work: Work,
        monitor: Monitor,
        clock: Clock = WALL,
    ) -> None:
        self._settings, self._name, self._group, self._work, self._clock = settings, name, group, work, clock
        self._retries = topics.retry(name)
        self._read = frozenset(inputs)
        self._inputs = (*self._read, self._retries)
        self._monitor = monitor
        self._takes = monitor.distribution(TRANSACTION_SECONDS)
        monitor.show_counts(ENDINGS, work.totals)
        self._log = logs.get(group)
        self._next: dict[members.Key, int] = {}
        self._settling = False
        self._last_work = 0
        self._member: object = None

    def run(self, stop: threading.Event, until_idle_s: float, specs: Iterable[topics.TopicSpec]) -> None:
        """Work until told to stop, or until nothing came for `until_idle_s` seconds (0: for ever).

        specs : topics that it reads and writes; those that are missing are made. A broker that is away is waited for.
        """
        refused = topics.dead_letter_topic(topics.dead_letters(self._retries))
        wanted = [*specs, topics.retry_topic(self._name), refused]
        while kafka.await_broker(self._settings, stop):
            try:
                writer = self._begun(wanted)
            except (KafkaException, UnansweredError) as error:
                self._begin_later(error, stop)
                continue
            if asyncio.run(self._serve(writer, stop, until_idle_s)):
                return

    def _begin_later(self, error: KafkaException | UnansweredError, stop: threading.Event) -> None:
        """A broker that goes away again, or whose coordinator is not ready, is waited for; TapewatchError else."""
        cause = error.args[0]
        passing = isinstance(error, UnansweredError) or kafka.is_passing(cause)
        if not passing:
            raise TapewatchError(
                f"{self._group} cannot begin: {cause}", "Check the broker's log and this account's rights."
            ) from error
        self._log.warning("waiting for Kafka", problem=str(cause))
        stop.wait(kafka.ASKED_AGAIN_S)

    def _begun(self, wanted: Iterable[topics.TopicSpec]) -> transactions.Writer:
        """Steps 1 and 2 of the protocol."""
        kafka.create_topics(self._settings, wanted)
        writer = transactions.Writer(self._producer)
        self._recall()
        return writer

    def _producer(self) -> Producer:
        return transactions.make_producer(self._settings, self._group, TRANSACTION_TIMEOUT_MS)

    def _recall(self) -> None:
        """The offsets behind what was taken, and then the state: what is newer in the state than in the offsets is
        recognised when it comes again.
        """
        self._next = self._committed()
        self._work.recall(self._next)
        self._log.info("state read", offsets=sum(self._next.values()))

    def _committed(self) -> dict[members.Key, int]:
        """The group's offsets, as the last transaction left them."""
        reader = kafka.consumer(self._settings, self._group)
        # Of a consumer that is no member: the transactional id alone says whose offsets count.
        self._member = reader.consumer_group_metadata()
        try:
            existing = kafka.existing_topics(kafka.admin(self._settings))
            return group_offsets.next_offsets(
                reader, [(name, partition) for name in self._inputs for partition in range(existing[name])]
            )
        finally:
            reader.close()

    async def _serve(self, writer: transactions.Writer, stop: threading.Event, until_idle_s: float) -> bool:
        """Run Faust, and the worker beside it, until one of them or the caller ends; False where it is to begin anew,
        since Faust's clients keep the password that they were made with.
        """
        access = self._settings.kafka_login()
        password = renewal.newest(access)
        inbox: asyncio.Queue[object] = asyncio.Queue(MOST_WAITING)
        app = application(self._settings, self._group, self._inputs, inbox.put)
        worker = asyncio.create_task(self._follow(writer, inbox))
        starting = asyncio.create_task(app.start())
        try:
            begun = self._clock.elapsed()
            while not starting.done():
                # Faust waits without end for a broker that died under its start.
                if stop.is_set():
                    return True
                if self._clock.elapsed() - begun > START_S * NANOS:
                    self._log.warning("Faust did not start in time, it begins again", waited_s=START_S)
                    return False
                await asyncio.wait({starting}, timeout=0.05)
            try:
                starting.result()
            except BrokerGoneError as error:
                self._log.warning("waiting for Kafka", problem=str(error))
                return False
            self._monitor.show(PARTITIONS, lambda: {(): len(app.consumer.assignment())})
            self._monitor.show(LAG, lambda: self._lags(app))
            self._monitor.ready()
            self._last_work = self._clock.elapsed()
            while not stop.is_set() and not worker.done():
                if app.crashed or app.should_stop:
                    raise TapewatchError(f"Faust ended: {app.crash_reason!r}", "See the log; then start it again.")
                if renewal.newest(access) != password:
                    self._log.info("a new password: Faust begins again")
                    return False
                silent_ns = self._clock.elapsed() - self._last_work
                if until_idle_s and silent_ns > until_idle_s * NANOS and _has_looked(app):
                    break
                if not self._settling:
                    self._monitor.beat()
                await asyncio.sleep(0.05)
            if worker.done():
                worker.result()
            return True
        finally:
            for task in (worker, starting):
                task.cancel()
            await asyncio.gather(worker, starting, return_exceptions=True)
            await app.stop()

    async def _follow(self, writer: transactions.Writer, inbox: "asyncio.Queue[object]") -> None:
        """All records that wait, transaction by transaction, in a thread: Faust's heartbeats go on meanwhile."""
        while True:
            waiting = [await inbox.get()]
            while len(waiting) < MOST_AT_ONCE and not inbox.empty():
                waiting.append(inbox.get_nowait())
            self._last_work = self._clock.elapsed()
            self._settling = True
            await asyncio.to_thread(self._settle, writer, [Record.of(each) for each in waiting])
            self._settling = False

    def _settle(self, writer: transactions.Writer, records: list[Record]) -> None:
        """Work the records out and commit what follows; a failed transaction is tried again from the log's state."""
        for attempt in range(1, MOST_FAILURES + 1):
            self._monitor.beat()
            try:
                self._commit(writer.producer, records)
                return
            except UnansweredError as error:
                self._not_answered(error, attempt)
            except KafkaException as error:
                self._aborted(writer, error, attempt)

    def _not_answered(self, error: UnansweredError, attempt: int) -> None:
        """Read the state anew: the records are in the middle of being worked out, and nothing is open."""
        if attempt == MOST_FAILURES:
            raise error
        self._log.warning("not answered, the records begin again", why=error.message)
        self._clock.sleep(0.2 * attempt)
        self._recall()

    def _aborted(self, writer: transactions.Writer, error: KafkaException, attempt: int) -> None:
        """Abort and read the state anew. What cannot be aborted, such as a commit without an answer, ends the process:
        the next start finds out what became of it.
        """
        try:
            if attempt == MOST_FAILURES:
                raise error
            writer.abort(error, self._log)
            self._work.totals.aborted += 1
            self._clock.sleep(0.2 * attempt)
            self._recall()
        except KafkaException as last:
            raise TapewatchError(
                f"the transaction of {self._group} failed: {last}",
                "Another process of this group may have taken over; else start it again: nothing is lost.",
            ) from error

    def _commit(self, producer: Producer, records: Iterable[Record]) -> None:
        """One transaction of what follows from records that were not taken before."""
        new = fresh(records, self._next)
        if not new:
            return
        self._work.begin()
        found = [self._outcome(record) for record in new]
        behind = {record.place: record.offset + 1 for record in new}
        begun = self._clock.elapsed()
        transactions.begin(producer)
        for _, outcome in found:
            for key, message in outcome.said:
                kafka.enqueue(producer, message.TOPIC, messages.encode(message), key, [], 0)
            if outcome.letter is not None:
                letter = outcome.letter
                kafka.enqueue(producer, letter.topic, letter.value, None, letter.headers, 0)
        offsets = [TopicPartition(*place, offset) for place, offset in behind.items()]
        transactions.commit(producer, offsets, self._member)
        self._takes.observe((self._clock.elapsed() - begun) / NANOS)
        self._next |= behind
        for record, outcome in found:
            if outcome.letter is not None:
                self._work.totals.refused += 1
                self._monitor.add(REFUSED, 1, outcome.letter.reason)
            self._work.count(record, outcome)
        self._work.totals.transactions += 1

    def _outcome(self, record: Record) -> tuple[Record, Outcome]:
        """The record that is meant, and what follows from it: never an error that could stop the stream."""
        try:
            if record.place[0] == self._retries:
                record = self._original(record)
            return record, Outcome(self._work.take(record))
        except ContractError as error:
            origin = (*record.place, record.offset)
            letter = dead_letters.of_record(origin, error.reason, str(error), record.value, self._name)
            return record, Outcome(letter=letter)

    def _original(self, record: Record) -> Record:
        """What a retry carries; ContractError where it is not of a topic that this stage reads."""
        original = record.original()
        if original.place[0] not in self._read:
            raise ContractError("bad_headers", f"a retry of {original.place[0]}, which is not read here")
        return original

    def _lags(self, app: Any) -> dict[tuple[str, ...], float]:
        """By partition, the records between what is committed and the end; the ends of transactions are among them."""
        ends = {(each.topic, each.partition): app.consumer.highwater(each) for each in app.consumer.assignment()}
        return {
            ("reader", topic, str(partition)): max(end - self._next.get((topic, partition), 0), 0)
            for (topic, partition), end in ends.items()
            if end is not None
        }


def _has_looked(app: Any) -> bool:
    """Whether the broker has told the end of every partition that is read; silence alone tells nothing."""
    held = app.consumer.assignment()
    return bool(held) and all(app.consumer.highwater(each) is not None for each in held)
