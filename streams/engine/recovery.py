"""Giving a task its state: the last committed snapshot (the one before if it is damaged), then the log up to the
committed offset, silently.

The work is cut into steps (`Rebuild.advance`), so that an engine goes on answering its group, tells how far it is and
can be stopped in between.
"""

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from streams.engine.models import ActiveModels, ModelSource
from streams.engine.snapshots import OPENING, DamagedError, Pointer, Pointers, collect, restore
from streams.engine.task import Task
from tapewatch import logs
from tapewatch.clock import NANOS, WALL
from tapewatch.contract import topics
from tapewatch.errors import TapewatchError, UnansweredError
from tapewatch.market_log import generations
from tapewatch.market_log.admission import CLOSES
from tapewatch.market_log.registry import Registry
from tapewatch.runtime import kafka
from tapewatch.runtime.batches import Record, UnreadableBatch
from tapewatch.settings import Settings

log = logs.get("engine.recovery")

PATIENCE_S = 30.0
"""A log that does not move for so long is said to stand still, and ends a recovery that nobody watches, s."""
TOLD_EVERY_S = 2.0
"""Time between two log lines of a long recovery, s."""
READ_AT_ONCE = 500
"""Records between two looks at the time."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a partition's recovery is.

    start, offset, target : offsets of the log: where the replay begins, what comes next, where it ends
    seconds_left : at the pace so far; NaN before the replay has begun
    """

    topic: str
    partition: int
    start: int
    offset: int
    target: int
    seconds_left: float


def told_recovery(under_way: Sequence[Progress]) -> str:
    """One line for people: how much of the log that has to be replayed is, and how long the rest may take."""
    whole = sum(each.target - each.start for each in under_way)
    done = sum(each.offset - each.start for each in under_way)
    paced = [each for each in under_way if each.seconds_left > 0]
    pace = sum(each.seconds_left for each in paced) / max(sum(each.target - each.offset for each in paced), 1)
    first = under_way[0]
    left = f", about {pace * (whole - done):,.0f} s left" if paced else ""
    return (
        f"recovering {100 * done // max(whole, 1)} % of {len(under_way)} partitions "
        f"({first.topic}[{first.partition}] at {first.offset:,} of {first.target:,}{left})"
    )


class Rebuild:
    """One partition's state on its way to a committed offset.

    target : the first record not processed; 0 or less where nothing was committed
    replay_ns : what the replay took so far
    """

    def __init__(self, recovery: "Recovery", topic: str, partition: int, target: int, pointers: Pointers) -> None:
        self.topic, self.partition, self.target, self.pointers = topic, partition, max(target, 0), pointers
        self.replay_ns = 0
        self._recovery = recovery
        self._task: Task | None = None
        self._start = next((each.next_offset for each in pointers.snapshots if each.next_offset <= self.target), 0)
        self._opened = False
        self._begun = self._moved = self._told = WALL.elapsed()

    @property
    def task(self) -> Task:
        """The task, whole once `advance` said so."""
        if self._task is None:
            raise RuntimeError("a recovery that has not begun has no task")
        return self._task

    @property
    def progress(self) -> Progress:
        """How far it is."""
        offset = self._start if self._task is None else min(max(self._task.next_offset, self._start), self.target)
        done, left = offset - self._start, self.target - offset
        seconds = self.replay_ns / NANOS * left / done if done else (math.nan if left else 0.0)
        return Progress(self.topic, self.partition, self._start, offset, self.target, seconds)

    def advance(self, for_s: float, patience_s: float = math.inf) -> bool:
        """Work for about so long, s; True once the state is whole.

        patience_s : a log that does not move for so long raises TapewatchError; without end it is waited for, and said
        """
        try:
            if self._task is None:
                self._task = self._restored()
                self._moved = self._told = WALL.elapsed()
            done = self._replayed(self._task, for_s)
        except UnansweredError as error:
            # It stands in the middle of a record.
            log.warning("recovery begins again: not answered", **self._named(), why=error.message)
            self._task, done = None, False
            self._recovery.release()
        except KafkaException as error:
            if not kafka.is_passing(error.args[0]):
                raise
            done = False
        if not done:
            self._tell(patience_s)
        elif self.target:
            seconds = round((WALL.elapsed() - self._begun) / NANOS, 3)
            log.info("partition recovered", **self._named(), snapshot_offset=self._start, seconds=seconds)
        return done

    def _restored(self) -> Task:
        """The newest snapshot that can be read and is not ahead of the target; where there is none, the state that the
        partition began with: an empty one, but for a later generation of a feed.
        """
        for pointer in self.pointers.snapshots:
            if pointer.next_offset > self.target:
                continue
            task = self._recovery.empty_task(self.topic, self.partition)
            try:
                restore(task, collect(pointer, task, self._recovery.snapshot_records), self._recovery.shelf)
                return task
            except DamagedError as damage:
                log.warning("snapshot cannot be used; trying the one before", **self._named(), why=damage.message)
        opened = self._recovery.opened_task(self.topic, self.partition)
        if opened is not None:
            self._opened = True
            return opened
        if self.pointers.snapshots and self.target:
            log.warning("no snapshot can be used: the state is computed from the log", **self._named())
        return self._recovery.empty_task(self.topic, self.partition)

    def _replayed(self, task: Task, for_s: float) -> bool:
        """Feed the log up to the target without writing anything, for so long at most; True once it is done."""
        until = WALL.elapsed() + int(for_s * NANOS)
        reader = self._recovery.reader_for(self)
        if reader is None:
            reader = self._begin(task)
        while reader is not None and task.next_offset < self.target:
            if WALL.elapsed() >= until:
                return False
            self._feed(reader, task)
        if reader is None:
            return False
        task.end_replay()
        self._recovery.release()
        return True

    def _begin(self, task: Task) -> Consumer | None:
        """Set the reader to the task's offset, once it is certain that the log has all from there to the target; None
        where the broker does not know of it yet.
        """
        low, high = self._recovery.watermarks(self.topic, self.partition)
        if task.next_offset == 0 and not self._opened:
            task.next_offset = low if self.pointers.began < 0 else self.pointers.began
        if low and self.target and task.next_offset == low and self.pointers.are_lost and not self._opened:
            raise TapewatchError(
                f"what the group kept of {self.topic}[{self.partition}] beside its offset is lost, and the log's "
                f"beginning is deleted: the state cannot be computed from offset {low}",
                "Restore the group's offsets with their metadata from a backup; a new engine.group begins here.",
            )
        if low > task.next_offset and self._recovery.is_behind_cut(self.topic, self.partition, self.target):
            # Nothing will count in it any more: its state is of no use, and its log may go.
            task.admission.sources[CLOSES] = (0, 0)
            task.next_offset = self.target
        if low > task.next_offset:
            raise TapewatchError(
                f"{self.topic}[{self.partition}] begins at offset {low}, "
                f"what is known of its state ends before {task.next_offset}",
                "The log between them is deleted, unread: raise topics.market_retention_hours above the age of "
                "snapshots and above the longest time without an engine. A build with another snapshot format needs "
                "the whole log: go back to the one before. A new engine.group begins where the log does.",
            )
        if not self.replay_ns:
            self._start = min(task.next_offset, self.target)
        if high < self.target:
            if WALL.elapsed() - self._moved > PATIENCE_S * NANOS:
                raise TapewatchError(
                    f"{self.topic}[{self.partition}] ends at offset {high}, before the committed offset {self.target}",
                    "The broker lost records, or the topic was made anew: restore it, or choose a new engine.group.",
                )
            WALL.sleep(0.1)
            return None
        task.silent = True
        return self._recovery.read_from(self, task.next_offset)

    def _feed(self, reader: Consumer, task: Task) -> None:
        """Feed what the reader has; what took the time is the replay's."""
        messages = reader.consume(READ_AT_ONCE, timeout=0.05)
        self._recovery.fetched(messages)
        started = WALL.elapsed()
        for message in messages:
            if message.error():
                self._refuse(message.error(), task)
            elif message.offset() < self.target:
                feed(task, message)
            else:
                task.next_offset = self.target
                break
        if messages:
            self._moved = WALL.elapsed()
            self.replay_ns += self._moved - started
        elif reader.position([TopicPartition(self.topic, self.partition)])[0].offset >= self.target:
            # Transaction markers take offsets too: the position tells when only they are left.
            task.next_offset = self.target

    def _refuse(self, error: KafkaError, task: Task) -> None:
        """Nothing in the log may be passed over unsaid."""
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            raise TapewatchError(
                f"{self.topic}[{self.partition}] was deleted at offset {task.next_offset} while it was replayed",
                "Raise topics.market_retention_hours above the age of snapshots.",
            )
        if not kafka.is_passing(error):
            raise KafkaException(error)

    def _tell(self, patience_s: float) -> None:
        """Say how far it is from time to time, and that the log stands still where it does."""
        now = WALL.elapsed()
        if now - self._moved > patience_s * NANOS:
            raise TapewatchError(
                f"{self.topic}[{self.partition}] does not move before offset {self.target}", "Check the broker's log."
            )
        if now - self._told > TOLD_EVERY_S * NANOS:
            self._told = now
            far = self.progress
            if now - self._moved > PATIENCE_S * NANOS:
                log.warning("recovering; the log does not move", **self._named(), reached=far.offset)
            else:
                log.info("recovering", **self._named(), reached=far.offset, seconds_left=round(far.seconds_left, 1))

    def _named(self) -> dict[str, Any]:
        return {"topic": self.topic, "partition": self.partition, "offset": self.target}


class Recovery:
    """Rebuilds tasks from the log. One reader of the market log, used for one partition at a time."""

    def __init__(self, settings: Settings, registry: Registry, shelf: ModelSource, build: str) -> None:
        self.shelf = shelf
        self._settings, self._registry, self._build = settings, registry, build
        self._reader: Consumer | None = None
        self._snapshots: Consumer | None = None
        self._reads: Rebuild | None = None

    def begin(self, topic: str, partition: int, committed: int, pointers: Pointers) -> Rebuild:
        """The task as it was when `committed` (the first record not processed) was committed, to be worked out."""
        return Rebuild(self, topic, partition, committed, pointers)

    def nearest(self, topic: str, partition: int, offset: int, pointers: Pointers) -> Task:
        """A task replayed silently to `offset`, from the newest snapshot at or before it."""
        rebuild = self.begin(topic, partition, offset, pointers)
        while not rebuild.advance(TOLD_EVERY_S, PATIENCE_S):
            pass
        return rebuild.task

    def empty_task(self, topic: str, partition: int) -> Task:
        """A task that has seen nothing."""
        return Task(topic, partition, self._registry, ActiveModels.default(self.shelf), self._build)

    def is_behind_cut(self, topic: str, partition: int, offset: int) -> bool:
        """Whether a feed goes on in another topic, and this place lies behind the record that closed the partition."""
        after = generations.read(self._settings).successor(topic)
        return after is not None and after.cut[partition] < offset

    def opened_task(self, topic: str, partition: int) -> Task | None:
        """The task with which a partition of a later generation of a feed begins; None for every other.

        TapewatchError where its state cannot be read: it cannot be made again from this log.
        """
        if generations.named(topics.feed_of(topic)) is None:
            return None
        opening = generations.read(self._settings).opening(topic, partition)
        if opening is None:
            return None
        task = self.empty_task(topic, partition)
        pointer = Pointer(opening.partition, opening.offset, opening.chunks, 0, OPENING)
        try:
            data = collect(pointer, task, self.snapshot_records)
            if hashlib.sha256(data).hexdigest() != opening.digest:
                raise DamagedError("its bytes are others than its record says")
            restore(task, data, self.shelf)
        except DamagedError as damage:
            raise TapewatchError(
                f"the state with which {topic}[{partition}] begins cannot be read: {damage.message}",
                "Restore engine.snapshots from a backup: what the feed did before lies in another topic.",
            ) from damage
        return task

    def snapshot_records(self, partition: int, offset: int) -> Iterator[Message]:
        """Records of the snapshots' topic from a committed snapshot's first chunk on.

        Read uncommitted: what a committed offset names is committed, while another engine's open transaction before it
        would hide it from a read-committed reader, as if it were damaged.
        """
        if self._snapshots is None:
            self._snapshots = kafka.consumer(self._settings, isolation_level="read_uncommitted")
        low, high = kafka.watermarks(self._snapshots, topics.SNAPSHOTS, partition)
        return kafka.read_range(self._snapshots, topics.SNAPSHOTS, partition, max(low, offset), high)

    def watermarks(self, topic: str, partition: int) -> tuple[int, int]:
        """First and next offset of a market partition."""
        return kafka.watermarks(self._consumer(), topic, partition)

    def reader_for(self, rebuild: Rebuild) -> Consumer | None:
        """The reader where it stands in this partition already."""
        return self._reader if self._reads is rebuild else None

    def read_from(self, rebuild: Rebuild, offset: int) -> Consumer:
        """The reader, set to an offset of this partition."""
        reader = self._consumer()
        reader.assign([TopicPartition(rebuild.topic, rebuild.partition, offset)])
        self._reads = rebuild
        return reader

    def fetched(self, records: Sequence[Message]) -> None:
        """These records are fed next: their instruments are looked for at once."""
        self._registry.fetched(records)

    def release(self) -> None:
        """Give up the place in the log; what was read ahead is dropped."""
        if self._reader is not None and self._reads is not None:
            self._reader.unassign()
        self._reads = None

    def _consumer(self) -> Consumer:
        if self._reader is None:
            # A place that the log no longer has is an error, never passed over.
            self._reader = kafka.consumer(self._settings, auto_offset_reset="error")
        return self._reader

    def close(self) -> None:
        """Give the readers back."""
        for reader in (self._reader, self._snapshots):
            if reader is not None:
                reader.close()
        self._reader = self._snapshots = self._reads = None


def feed(task: Task, message: Record) -> None:
    """Hand a Kafka record to its task."""
    if isinstance(message, UnreadableBatch):
        task.pass_over(message)
        return
    task.feed(message.offset(), message.value(), message.headers(), message.timestamp()[1] * 1_000_000)
