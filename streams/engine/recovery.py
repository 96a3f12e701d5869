"""Giving a task its state: the last committed snapshot (the one before if it is damaged), then the log up to the
committed offset, silently.
"""

from confluent_kafka import Consumer, Message

from streams.engine.models import FindsModels, InForce
from streams.engine.snapshots import DamagedError, Pointers, collect, restore
from streams.engine.task import ReferenceData, Task
from tapewatch import kafka, logs, topics
from tapewatch.clock import NANOS, WALL
from tapewatch.errors import TapewatchError
from tapewatch.settings import Settings

log = logs.get("engine.recovery")


class Recovery:
    """Rebuilds tasks from the log. One reader, used for one partition after the other."""

    def __init__(self, settings: Settings, registry: ReferenceData, shelf: FindsModels, build: str) -> None:
        self._settings, self._registry, self._shelf, self._build = settings, registry, shelf, build
        self._reader: Consumer | None = None

    def _consumer(self) -> Consumer:
        if self._reader is None:
            self._reader = kafka.consumer(self._settings)
        return self._reader

    def _new_task(self, topic: str, partition: int) -> Task:
        return Task(topic, partition, self._registry, InForce.default(self._shelf), self._build)

    def _read_snapshot(self, partition: int, offset: int) -> list[Message]:
        reader = self._consumer()
        low, high = kafka.watermarks(reader, topics.SNAPSHOTS, partition)
        return list(kafka.read_range(reader, topics.SNAPSHOTS, partition, max(low, offset), high))

    def task(self, topic: str, partition: int, committed: int, pointers: Pointers) -> Task:
        """The task as it was when `committed` (the first record not processed; 0 or less for none) was committed."""
        started = WALL.now()
        task = self._restored(topic, partition, pointers, committed)
        start = task.next_offset
        self._replay(task, committed)
        if committed > 0:
            log.info(
                "partition recovered",
                topic=topic,
                partition=partition,
                snapshot_offset=start,
                offset=committed,
                seconds=round((WALL.now() - started) / NANOS, 3),
            )
        return task

    def _restored(self, topic: str, partition: int, pointers: Pointers, limit: int) -> Task:
        """The newest snapshot that can be read and is not ahead of `limit`; an empty task where there is none."""
        for pointer in pointers.snapshots:
            if pointer.next_offset > limit:
                continue
            task = self._new_task(topic, partition)
            try:
                restore(task, collect(pointer, task, self._read_snapshot), self._shelf)
                return task
            except DamagedError as damage:
                log.warning(
                    "snapshot damaged; trying the one before", topic=topic, partition=partition, why=damage.message
                )
        return self._new_task(topic, partition)

    def nearest(self, topic: str, partition: int, offset: int, pointers: Pointers) -> Task:
        """A task replayed silently to `offset`, from the newest snapshot at or before it."""
        task = self._restored(topic, partition, pointers, offset)
        self._replay(task, offset)
        return task

    def _replay(self, task: Task, end: int) -> None:
        """Feed the log from the task's offset to `end` without writing anything."""
        if task.next_offset >= end:
            return
        reader = self._consumer()
        low, _ = kafka.watermarks(reader, task.topic, task.partition)
        if task.next_offset == 0:
            task.next_offset = low
        if low > task.next_offset:
            raise TapewatchError(
                f"{task.topic}[{task.partition}] begins at offset {low}, "
                f"the newest readable snapshot at {task.next_offset}",
                "The log between them is deleted: raise topics.market_retention_hours above the age of snapshots.",
            )
        task.silent = True
        for message in kafka.read_range(reader, task.topic, task.partition, task.next_offset, end):
            feed(task, message)
        task.drain()
        task.silent = False
        task.restart_tally()
        task.next_offset = max(task.next_offset, end)

    def close(self) -> None:
        """Give the reader back."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None


def feed(task: Task, message: Message) -> None:
    """Hand a Kafka record to its task."""
    task.feed(message.offset(), message.value(), message.headers(), message.timestamp()[1] * 1_000_000)
