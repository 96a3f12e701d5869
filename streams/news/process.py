"""The news stage's process: `news` in; scored news and factors out, each item once.

What it knows is what its own records in the log say, so that a restart goes on where the last transaction ended.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from confluent_kafka import TopicPartition

from detectors.sentiment.decay import FORGOTTEN
from streams import members
from streams.event_stage.process import EventStage
from streams.event_stage.records import EventStageTotals, Keyed, Outcome, Record
from streams.news.scoring import NewsScoring, ScorerSource
from tapewatch import logs
from tapewatch.clock import NANOS, WALL, Clock
from tapewatch.contract import messages, topics
from tapewatch.contract.messages import Factor, News
from tapewatch.errors import ContractError
from tapewatch.market_log import dead_letters
from tapewatch.runtime import kafka
from tapewatch.runtime.monitoring import Monitor, counters
from tapewatch.settings import Settings

log = logs.get("news")

MOST_BYTES = 262_144
"""Of a record; the producers cut the text at 20,000 characters."""
MARGIN_H = 1.0
"""Read so much more of the log: clocks of different machines."""

M = TypeVar("M", News, Factor)


@dataclass(slots=True)
class NewsTotals(EventStageTotals):
    """What this process has done. passed : records that were scored already; slowest_ms : from arrival to commit"""

    items: int = 0
    scored: int = 0
    duplicates: int = 0
    factors: int = 0
    passed: int = 0
    latency_ms: float = 0.0
    slowest_ms: float = 0.0


COUNTS = counters(
    "news",
    items="Records of news taken.",
    scored="Items scored.",
    duplicates="Items that said what another had said.",
    factors="Factors written.",
    passed="Items that were scored already.",
)


class NewsWork:
    """The stage's part between Faust and the log."""

    def __init__(self, settings: Settings, scorers: ScorerSource, clock: Clock = WALL) -> None:
        self._settings, self._scorers, self._clock = settings, scorers, clock
        self._scoring = NewsScoring(settings.news, scorers)
        self.totals = NewsTotals()

    def recall(self, behind: Mapping[members.Key, int]) -> None:
        """Items scored and factors said within 40 half-lives, items also within `same_h`, before the place where the
        group stands: an item that is sent again while it still counts is known.

        A group that has read nothing yet begins with nothing: it scores the whole log, under the same ids.
        """
        self._scoring = NewsScoring(self._settings.news, self._scorers)
        offset = behind.get((topics.NEWS, 0))
        if offset is None:
            return
        reader = kafka.consumer(self._settings)
        try:
            since = _appended(reader, offset) or self._clock.now()
            forgotten_h = FORGOTTEN * self._settings.news.half_life_h
            known_h = max(self._settings.news.same_h, forgotten_h)
            self._read(reader, News, since, known_h, self._scoring.recall_news)
            self._read(reader, Factor, since, forgotten_h, self._scoring.recall_factor)
        finally:
            reader.close()

    def _read(self, reader: Any, kind: type[M], since: int, hours: float, told: Callable[[M], None]) -> None:
        """Tell every message that was appended so long before a time or later."""
        begin = since - round((hours + MARGIN_H) * 3_600) * NANOS
        _, end = kafka.watermarks(reader, kind.TOPIC, 0)
        place = TopicPartition(kind.TOPIC, 0, max(0, begin // 1_000_000))
        start = kafka.offsets_at(reader, [place])[0].offset
        # Nothing is as young: the end of the log, as a negative number.
        for record in kafka.read_range(reader, kind.TOPIC, 0, start if start >= 0 else end, end):
            try:
                told(messages.decode(kind, record.value() or b""))
            except (ContractError, ValueError):
                log.debug("no message", topic=record.topic(), offset=record.offset())

    def begin(self) -> None:
        """Nothing is fetched for a batch."""

    def take(self, record: Record) -> list[Keyed]:
        """An item's outcome; news under the item's id, factors under instrument and series."""
        if len(record.value) > MOST_BYTES:
            raise ContractError("oversized_message", f"{len(record.value)} bytes")
        said = self._scoring.take(messages.decode(News, record.value), record.appended)
        return [(_key(each), each) for each in said]

    def count(self, record: Record, outcome: Outcome) -> None:
        """Into the totals."""
        totals = self.totals
        totals.items += 1
        totals.passed += not outcome.said and outcome.letter is None
        for _, each in outcome.said:
            if isinstance(each, News):
                totals.scored += 1
                totals.duplicates += bool(each.duplicate_of)
                totals.latency_ms = (self._clock.now() - record.appended) / 1e6
                totals.slowest_ms = max(totals.slowest_ms, totals.latency_ms)
            else:
                totals.factors += 1


class NewsStage:
    """The one process of the news stage: a second one of the same group takes over from the first."""

    def __init__(self, settings: Settings, scorers: ScorerSource, clock: Clock = WALL) -> None:
        self._settings = settings
        work = NewsWork(settings, scorers, clock)
        self.totals = work.totals
        self.monitor = Monitor("news", settings)
        self.monitor.show_counts(COUNTS, self.totals)
        inputs = (topics.NEWS,)
        self._stage = EventStage(settings, dead_letters.NEWS, settings.news.group, inputs, work, self.monitor, clock)

    def run(self, stop: threading.Event, until_idle_s: float = 0.0) -> None:
        """Work until told to stop, or until nothing came for `until_idle_s` seconds (0: for ever)."""
        self._stage.run(stop, until_idle_s, topics.source_topics(self._settings.topics))


def _key(message: News | Factor) -> bytes:
    return (message.id if isinstance(message, News) else f"{message.instrument} {message.series}").encode()


def _appended(reader: Any, offset: int) -> int:
    """When the record at an offset of `news`, or the next one there is, was written, UTC ns; 0 where there is none."""
    low, end = kafka.watermarks(reader, topics.NEWS, 0)
    for record in kafka.read_range(reader, topics.NEWS, 0, max(low, offset), end):
        return int(record.timestamp()[1]) * 1_000_000
    return 0
