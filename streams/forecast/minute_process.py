"""The minute stage's process: a member of a consumer group over `bars` that writes each forecast exactly once.

The protocol is that of `streams.transactional_stage`. The oldest record that a window still needs is the metadata of
the committed offset: whoever takes the partition up reads from there up to that offset, silently.

Which model the minute stage forecasts with: the one the settings name, else the newest in the registry's folder.
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import msgspec
from confluent_kafka import Consumer, Message, Producer, TopicPartition

from detectors.forecast.lstm.model import MINUTE, Model, decode
from streams.engine.build import build_hash
from streams.forecast import minute_group_position
from streams.forecast.minute import MinuteTask
from streams.members import Key
from streams.transactional_stage import TransactionalStage
from tapewatch.clock import WALL, Clock
from tapewatch.contract import topics
from tapewatch.errors import TapewatchError
from tapewatch.runtime import group_offsets, kafka
from tapewatch.runtime.monitoring import counters
from tapewatch.settings import Settings

_HINT = "Train one: tapewatch train lstm --minute BARS.csv; or name one of the data folder in forecast.model."


def chosen(settings: Settings) -> Model:
    """The model. TapewatchError where there is none, or the one named is no minute model."""
    folder = settings.data_path / "models"
    named = settings.forecast.model
    paths = [folder / f"{named}.safetensors"] if named else sorted(folder.glob("*.safetensors"), key=_age)
    found = next((model for path in paths if (model := _read(path)) is not None), None)
    if found is None:
        raise TapewatchError(f"no minute model {named + ' ' if named else ''}in {folder}", _HINT)
    return found


def _age(path: Path) -> tuple[int, str]:
    """Newest first; of two written at the same time the name decides."""
    return -path.stat().st_mtime_ns, path.name


def _read(path: Path) -> Model | None:
    """The minute model of a file; None where it holds something else or is not there."""
    try:
        model = decode(path.read_bytes())
    except (OSError, ValueError):
        return None
    return model if model.described.horizon == MINUTE else None


class OffsetMetadata(msgspec.Struct, frozen=True):
    """What stands in a committed offset's metadata. from_offset : where to read on silently for the windows"""

    from_offset: int


@dataclass(slots=True)
class MinuteTotals:
    """What this process has done so far."""

    records: int = 0
    bars: int = 0
    refused: int = 0
    predictions: int = 0
    signals: int = 0
    transactions: int = 0
    aborted: int = 0


COUNTS = counters(
    "forecast",
    records="Records of bars taken.",
    bars="Minute bars taken.",
    refused="Records that could not be read.",
    predictions="Predictions written.",
    signals="Signals written.",
)


class MinuteForecasts(TransactionalStage):
    """One process. feeds : only these, empty for all"""

    def __init__(self, settings: Settings, model: Model, feeds: tuple[str, ...] = (), clock: Clock = WALL) -> None:
        own, self.totals = settings.forecast, MinuteTotals()
        super().__init__(settings, "forecast", own.group, own.instance, [topics.BARS], self.totals, COUNTS, clock)
        self._model, self._feeds = model, feeds
        self._tasks: dict[int, MinuteTask] = {}
        self._next: dict[int, int] = {}
        self._proved: set[int] = set()
        self._partitions: dict[str, int] = {}
        self._new = self._written = 0

    @property
    def held(self) -> Collection[Key]:
        """Partitions of bars."""
        return [(topics.BARS, partition) for partition in list(self._tasks)]

    def prepare(self) -> None:
        """Topics, and how many partitions each has."""
        kafka.create_topics(self._settings, topics.shared_topics(self._settings.topics))
        self._partitions = kafka.existing_topics(kafka.admin(self._settings))

    def drop(self) -> None:
        """Let go of all windows."""
        self._tasks.clear()
        self._new = 0

    def take_up(self, consumer: Consumer, reader: Consumer, given: list[TopicPartition]) -> list[TopicPartition]:
        """The windows as they were at the committed offsets."""
        places = group_offsets.committed(consumer, given)
        if not self._proved >= {place.partition for place in given}:
            places = minute_group_position.proved(self._settings, reader, places)
        self._proved |= {place.partition for place in given}
        for place in places:
            self._tasks[place.partition] = self._task(reader, place)
        return [TopicPartition(topics.BARS, partition, self._next[partition]) for partition in self._tasks]

    def _task(self, reader: Consumer, place: TopicPartition) -> MinuteTask:
        """A partition's task with the windows as they were at the committed offset."""
        settings, partition = self._settings.forecast, place.partition
        task = MinuteTask(
            partition,
            self._model,
            settings.cost,
            self._feeds,
            build_hash(),
            self._settings.notify.canaries,
            settings.group,
        )
        low, _ = kafka.watermarks(reader, topics.BARS, partition)
        self._next[partition] = max(place.offset, low)
        if place.offset >= 0:
            begin = msgspec.json.decode(place.metadata, type=OffsetMetadata).from_offset if place.metadata else low
            if begin < low:
                self._log.warning("bars of open windows expired", partition=partition, first=begin, next=low)
            for message in kafka.read_range(reader, topics.BARS, partition, max(begin, low), place.offset):
                task.record(message.offset(), message.value(), message.headers(), silent=True)
        return task

    def feed(self, records: list[Message]) -> int:
        """Answer bars; how many records there were."""
        taken = 0
        for message in records:
            task = self._tasks.get(message.partition())
            if task is not None:
                task.record(message.offset(), message.value(), message.headers())
                self._next[message.partition()] = message.offset() + 1
                taken += 1
        self._new += taken
        return taken

    @property
    def is_dirty(self) -> bool:
        """Whether records were taken."""
        return self._new > 0

    def produce(self, producer: Producer) -> list[TopicPartition]:
        """Write predictions and signals; where each partition is read on, and from where its windows are read again."""
        self._written = 0
        for partition, task in self._tasks.items():
            for record in task.take():
                target = record.target(partition, self._partitions[record.topic])
                kafka.enqueue(producer, record.topic, record.value, record.key, record.headers, target)
                self._written += record.topic == topics.PREDICTIONS
        return [
            TopicPartition(
                topics.BARS, partition, self._next[partition],
                metadata=msgspec.json.encode(OffsetMetadata(task.needed(self._next[partition]))).decode(),
            )
            for partition, task in self._tasks.items()
        ]  # fmt: skip

    def committed(self) -> None:
        """Add a committed transaction to the totals."""
        totals = self.totals
        totals.records += self._new
        totals.predictions += self._written
        totals.signals += self._written
        self._new = 0
        for task in self._tasks.values():
            totals.bars += task.bars
            totals.refused += task.refused
            task.bars = task.refused = 0
