"""How long committed output stood still, and which faults were open then."""

import threading
from collections.abc import Iterable
from typing import Any

import msgspec
from confluent_kafka import Message, TopicPartition

from tapewatch.clock import NANOS, WALL
from tapewatch.contract import topics
from tapewatch.runtime import kafka
from tapewatch.settings import Settings

SHORTEST_S = 2.0
"""Seconds are sealed once a second: a shorter gap is none."""

BEFORE_S, AFTER_S = 1.0, 5.0
"""A fault may have to do with a gap that ends so long before it or begins so long after it."""


class Gap(msgspec.Struct, frozen=True):
    """Time between two committed outputs of a partition. began_ns, ended_ns : UTC nanoseconds"""

    partition: int
    began_ns: int
    ended_ns: int

    @property
    def seconds(self) -> float:
        """Its length."""
        return (self.ended_ns - self.began_ns) / NANOS


class Span(msgspec.Struct, frozen=True):
    """A fault that was injected. kind : its name; began_ns, ended_ns : UTC nanoseconds

    output : whether it hits what committed output comes through, rather than those who read it
    """

    kind: str
    began_ns: int
    ended_ns: int
    output: bool = True

    def touches(self, gap: Gap) -> bool:
        """Whether it may have to do with a gap."""
        early, late = int(BEFORE_S * NANOS), int(AFTER_S * NANOS)
        return self.began_ns - early <= gap.ended_ns and gap.began_ns <= self.ended_ns + late


def longest(gaps: Iterable[Gap]) -> float:
    """Length of the longest, s; 0 without any."""
    return round(max((gap.seconds for gap in gaps), default=0.0), 1)


def beyond(gap: Gap, spans: Iterable[Span]) -> float:
    """How long of a gap no fault was open that hits committed output, s."""
    left, at = 0, gap.began_ns
    for began, ended in sorted((span.began_ns, span.ended_ns) for span in spans if span.output):
        left += max(0, min(began, gap.ended_ns) - at)
        at = max(at, ended)
    return (left + max(0, gap.ended_ns - at)) / NANOS


class Stall(msgspec.Struct, frozen=True):
    """The worst of some gaps. longest_s : the longest; beyond_s : the longest time in one with no fault open"""

    longest_s: float = 0.0
    beyond_s: float = 0.0


def worst(gaps: Iterable[Gap], spans: Iterable[Span]) -> Stall:
    """The worst of all gaps under these faults."""
    every, faults = list(gaps), list(spans)
    return Stall(longest(every), round(max((beyond(gap, faults) for gap in every), default=0.0), 1))


def worst_by_kind(gaps: Iterable[Gap], spans: Iterable[Span]) -> dict[str, Stall]:
    """The worst of the gaps that each kind of fault may have to do with; one gap may count for several kinds.

    A fault among readers counts only where none was open before them.
    """
    every = list(spans)
    charged: dict[str, list[Gap]] = {span.kind: [] for span in every}
    for gap in gaps:
        touching = [span for span in every if span.touches(gap)]
        for span in [span for span in touching if span.output] or touching:
            charged[span.kind].append(gap)
    return {kind: worst(each, every) for kind, each in charged.items()}


class Meter:
    """Follows what engines commit, as a reader of committed records past the proxies sees it, in a thread of its own.

    gaps : so far, each longer than SHORTEST_S; rows : of input that committed transactions name
    """

    def __init__(self, settings: Settings, partitions: int) -> None:
        self.gaps: list[Gap] = []
        self.rows = 0
        self.error: BaseException | None = None
        self._settings, self._partitions = settings, partitions
        self._last: dict[int, int] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="meter", daemon=True)
        self._thread.start()

    @property
    def runs(self) -> bool:
        """Whether every partition has had an output."""
        return len(self._last) == self._partitions

    def begin(self) -> None:
        """Count from now on."""
        now = WALL.now()
        self._last = dict.fromkeys(self._last, now)
        self.gaps = []

    def close(self) -> list[Gap]:
        """Stop, with gaps that are still open counted up to now. Raises what ended the reading."""
        self._stop.set()
        self._thread.join(20)
        if self.error is not None:
            raise self.error
        now = WALL.now()
        for partition in list(self._last):
            self._note(partition, now)
        return self.gaps

    def _run(self) -> None:
        """Read until told to stop."""
        try:
            properties: dict[str, Any] = {"topic_metadata_refresh_interval_ms": 500, "socket_timeout_ms": 10_000}
            reader = kafka.consumer(self._settings, "chaos-meter", **properties)
            ends = [
                TopicPartition(topic, partition, kafka.watermarks(reader, topic, partition)[1])
                for topic in (topics.FEATURES, topics.COMMITS)
                for partition in range(self._partitions)
            ]
            reader.assign(ends)
            while not self._stop.is_set():
                for message in reader.consume(500, timeout=0.1):
                    if message.error() is None:
                        self._take(message)
            reader.close()
        except BaseException as error:
            self.error = error

    def _take(self, message: Message) -> None:
        if message.topic() == topics.FEATURES:
            self._note(message.partition(), WALL.now())
        else:
            self.rows += sum(msgspec.json.decode(message.value(), type=_Commit).rows.values())

    def _note(self, partition: int, now: int) -> None:
        """A partition's newest output, and the gap before it."""
        last = self._last.get(partition, now)
        if now - last > SHORTEST_S * NANOS:
            self.gaps.append(Gap(partition, last, now))
        self._last[partition] = now


class _Commit(msgspec.Struct):
    """What the meter needs of a commit record."""

    rows: dict[str, int]
