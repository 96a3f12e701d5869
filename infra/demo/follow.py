"""What the engine writes, as it becomes readable: commit records, scores and alerts of one feed.

Reading on behind those who write: everything that is appended to some topics from now on, in a thread.
"""

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from confluent_kafka import Consumer, Message, TopicPartition

from tapewatch.clock import WALL
from tapewatch.contract import frames, messages, topics
from tapewatch.contract.messages import Alert, Commit
from tapewatch.errors import ContractError
from tapewatch.rfc3339 import from_rfc3339
from tapewatch.runtime import kafka
from tapewatch.settings import Settings


class TailReader:
    """Hands every committed record of the topics to `take`, in a thread of its own, until `close`.

    error : what ended it before that
    """

    def __init__(self, settings: Settings, wanted: Sequence[str], take: Callable[[Message], None]) -> None:
        self.error: BaseException | None = None
        self._take = take
        self._stop = threading.Event()
        self._consumer = _at_the_ends(settings, wanted)
        self._thread = threading.Thread(target=self._run, name="behind", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop reading."""
        self._stop.set()
        self._thread.join(5)

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                for message in self._consumer.consume(500, timeout=0.05):
                    if message.error() is None:
                        self._take(message)
        except BaseException as error:
            self.error = error
        finally:
            self._consumer.close()


def _at_the_ends(settings: Settings, wanted: Sequence[str]) -> Consumer:
    """A reader of everything that is appended to these topics from now on."""
    consumer = kafka.consumer(settings)
    places = []
    for topic, partitions in kafka.existing_topics(kafka.admin(settings)).items():
        if topic in wanted:
            ends = (kafka.watermarks(consumer, topic, partition)[1] for partition in range(partitions))
            places += [TopicPartition(topic, partition, end) for partition, end in enumerate(ends)]
    consumer.assign(places)
    return consumer


FOLLOWED = (topics.COMMITS, topics.SCORES, topics.ALERTS)


class Score(msgspec.Struct, frozen=True):
    """An instrument's newest score. probability, raw : NaN where there is none; ts : close of the second, UTC ns."""

    instrument: str
    detector: str
    probability: float
    raw: float
    ts: int


class Follower:
    """Reads on behind the engine, read-committed.

    rows : used, by type; refused : rows and records, by reason; frames, duplicates : market frames used and dropped
    features, scores, signals : written; clock_ns : the slowest partition's clock after its newest commit, UTC ns
    first_score_ns : when the first score of this feed could be read, by the clock's `elapsed`, 0 before it
    alerts : newest revision by id, in the order in which they were first read
    """

    def __init__(self, settings: Settings, topic: str) -> None:
        self.rows: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.frames = self.duplicates = self.features = self.scores = self.signals = 0
        self.first_score_ns = 0
        self.alerts: dict[str, Alert] = {}
        self._topic, self._feed = topic, topics.feed_of(topic).encode()
        self._clocks: dict[int, int] = {}
        self._newest_scores: dict[bytes, bytes] = {}
        self._reader = TailReader(settings, FOLLOWED, self._take)

    @property
    def error(self) -> BaseException | None:
        """What ended the reading before `close`."""
        return self._reader.error

    @property
    def clock_ns(self) -> int:
        """The slowest partition's clock, 0 before the first commit."""
        return min(self._clocks.values(), default=0)

    def close(self) -> None:
        """Stop reading."""
        self._reader.close()

    def top_scores(self, count: int) -> list[Score]:
        """The highest of the newest scores: by probability, then by raw score."""
        newest: dict[tuple[str, str], Score] = {}
        for value in list(self._newest_scores.values()):
            for score in _last_second(value):
                newest[score.instrument, score.detector] = score
        ranked = sorted(newest.values(), key=lambda score: (-_or_zero(score.probability), -_or_zero(score.raw)))
        return ranked[:count]

    def _take(self, message: Message) -> None:
        topic, value = message.topic(), message.value() or b""
        try:
            if topic == topics.COMMITS:
                self._commit(messages.decode(Commit, value))
            elif topic == topics.ALERTS:
                alert = messages.decode(Alert, value)
                if alert.provenance.topic == self._topic:
                    self.alerts[alert.id] = alert
            else:
                headers: dict[str, Any] = dict(message.headers() or ())
                if headers.get("feed") == self._feed:
                    self.first_score_ns = self.first_score_ns or WALL.elapsed()
                    self._newest_scores[headers["partition"]] = value
        except (ContractError, KeyError):
            return

    def _commit(self, commit: Commit) -> None:
        if commit.topic != self._topic:
            return
        self.rows.update(commit.rows)
        self.refused.update(commit.refused)
        self.frames += commit.frames
        self.duplicates += commit.duplicates
        self.features += commit.features
        self.scores += commit.scores
        self.signals += commit.signals
        if commit.clock is not None:
            self._clocks[commit.partition] = from_rfc3339(commit.clock)


def _last_second(value: bytes) -> list[Score]:
    """The scores of the newest second of a frame."""
    batch = frames.read_stream(value)
    names = (batch.schema.metadata or {}).get(b"tapewatch.detectors", b"").decode().split(",")
    times = batch.column("ts").cast(pa.int64()).to_numpy()
    dictionary, codes = batch.column("instrument").dictionary, batch.column("instrument").indices
    chosen = np.flatnonzero(times == times.max())
    detectors, probability, raw = (batch.column(name).to_numpy() for name in ("detector", "probability", "raw"))
    return [
        Score(
            dictionary[codes[int(row)].as_py()].as_py(),
            names[detectors[row]] if detectors[row] < len(names) else str(detectors[row]),
            float(probability[row]),
            float(raw[row]),
            int(times[row]),
        )
        for row in chosen
    ]


def _or_zero(value: float) -> float:
    return value if value == value else 0.0
