"""The canaries as a live feed: a topic of their own with one or more of them in each partition, all day.

Says on the topic `canaries` what was injected, once its first rows are on their way.

The canaries' market: the synthetic one, quiet, under names of ours that lie in every partition.
"""

import math
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import msgspec
from confluent_kafka import Producer

from producers.feed import FeedWriter, LiveWriter, feed_producer, open_feed, read_tail, writer_metrics
from producers.live import Runner, SyntheticFeed
from producers.synthetic import Label, Rota, SyntheticConfig, SyntheticMarket
from tapewatch.clock import NANOS, WALL, Clock
from tapewatch.contract import topics
from tapewatch.contract.canaries import FEED, Canary, canary_id
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.message import encode
from tapewatch.contract.partitioner import partition_for
from tapewatch.contract.rows import Chunk, Rows
from tapewatch.errors import TapewatchError
from tapewatch.rfc3339 import to_rfc3339
from tapewatch.runtime import kafka
from tapewatch.runtime.monitoring import Monitor, counter
from tapewatch.settings import Settings
from tapewatch.settings.canaries import PREFIX, is_canary
from tapewatch.settings.delivery import CanarySettings

ROWS_PER_SECOND = 12.0
"""Rows of one canary a second, mean: a share that trades now and then."""


def names_by_partition(partitions: int, each: int) -> list[str]:
    """Ids of canaries, `each` of them in every partition, in the order of partitions and again from the first.

    The numbers in them are the lowest ones that lie where they have to.
    """
    found: list[list[str]] = [[] for _ in range(partitions)]
    number = 0
    while any(len(names) < each for names in found):
        number += 1
        name = f"{PREFIX}{number}.SIMX"
        own = found[partition_for(name, partitions)]
        if len(own) < each:
            own.append(name)
    return [names[row] for row in range(each) for names in found]


class CanaryMarket:
    """A quiet market in which only the rota happens; a `tapewatch.contract.rows.RowSource`.

    names : of the instruments; warmup_s : before the first event's turn begins, s
    Events have the greatest strength that a scenario's page allows: a canary that is not found says something of the
    way, not of the detector's threshold.
    """

    def __init__(self, names: Sequence[str], rota: Rota, seed: int, start_ns: int, warmup_s: float) -> None:
        self._names = tuple(names)
        self.config = quiet(len(names), warmup_s)
        self._market = SyntheticMarket(self.config, seed, start_ns, rota=rota)
        self._renamed = dict(zip((one.id for one in self._market.instruments), self._names, strict=True))

    @property
    def fingerprint(self) -> str:
        """Of the market under its own names."""
        return self._market.fingerprint

    @property
    def instruments(self) -> Sequence[Instrument]:
        """Reference data; the kind is that of shares, so that the thresholds of shares are tried."""
        return tuple(
            msgspec.structs.replace(one, id=self._renamed[one.id], name="Canary: no instrument of any venue")
            for one in self._market.instruments
        )

    def chunks(self) -> Iterator[Chunk]:
        """One chunk a simulated second."""
        for chunk in self._market.chunks():
            yield Chunk(chunk.end_ns, [Rows(rows.type, self._names, rows.columns) for rows in chunk.rows])

    def labels(self) -> list[Label]:
        """The events begun so far, the newest of them."""
        return [
            msgspec.structs.replace(label, instrument=self._renamed[label.instrument])
            for label in self._market.labels()
        ]


def quiet(instruments: int, warmup_s: float) -> SyntheticConfig:
    """A market without events of its own, calm all day."""
    return SyntheticConfig(
        instruments=instruments,
        sectors=1,
        rows_per_second=ROWS_PER_SECOND * instruments,
        warmup_s=warmup_s,
        seasonality=0.0,
        daily_volatility=0.01,
        strength_low=1.0,
        strength_high=1.0,
        pump_per_hour=0.0,
        spoof_per_hour=0.0,
        layer_per_hour=0.0,
        stuff_per_hour=0.0,
        ramp_per_hour=0.0,
        news_per_hour=0.0,
        large_per_hour=0.0,
        refresh_per_hour=0.0,
        auction_per_hour=0.0,
        halt_per_hour=0.0,
        cooldown_s=60.0,
        gap_s=60.0,
    )


REMEMBERED_NS = 3600 * NANOS
STALE_NS = 5 * NANOS
"""Events whose rows were sent later than this, such as back-dated ones, are no canaries: they would seem to be late."""


class Announcer:
    """Says each event once. partitions : of the feed; count : said; stale : left out, since their rows came too late"""

    def __init__(self, producer: Producer, feed: str, partitions: int, settings: CanarySettings, clock: Clock) -> None:
        self._producer, self._feed, self._partitions = producer, feed, partitions
        self._deliveries = kafka.Deliveries(producer)
        self._settings, self._clock = settings, clock
        self._said: dict[tuple[str, int], None] = {}
        self.count = self.stale = 0

    def say(self, labels: Iterable[Label]) -> None:
        """Announce what is new among these; DeliveryError where an earlier one was not taken."""
        self._producer.poll(0)
        self._deliveries.check()
        for label in labels:
            place = (label.instrument, label.start_ns)
            if place in self._said:
                continue
            self._said[place] = None
            if self._clock.now() - label.start_ns > STALE_NS:
                self.stale += 1
                continue
            message = self._message(label)
            self._deliveries.send(topics.CANARIES, encode(message), message.id.encode(), partition=0)
            self.count += 1
        newest = max((start for _, start in self._said), default=0)
        self._said = {place: None for place in self._said if place[1] > newest - REMEMBERED_NS}

    def close(self) -> None:
        """Wait until all was taken; DeliveryError where one was not."""
        self._deliveries.settle()

    def _message(self, label: Label) -> Canary:
        settings = self._settings
        return Canary(
            id=canary_id(self._feed, label.scenario, label.instrument, label.start_ns),
            state="injected",
            feed=self._feed,
            partition=partition_for(label.instrument, self._partitions),
            scenario=label.scenario,
            instrument=label.instrument,
            start=to_rfc3339(label.start_ns),
            strength=label.strength,
            due=to_rfc3339(label.start_ns + int(settings.due_s * NANOS)),
            every_s=settings.every_s,
            at=to_rfc3339(self._clock.now()),
        )


APART_S = 2100.0
"""Least time between two events of a canary, s: longer than any scenario's cooldown, in which no second alert opens."""

ANNOUNCED = counter("tapewatch_canary_announced_total", "Canaries that the producer announced.", "feed")
STALE = counter("tapewatch_canary_stale_total", "Events whose rows were sent too late to be canaries.", "feed")

_SOURCE = "canary"


@dataclass(frozen=True, slots=True)
class Canaries:
    """A feed of canaries to run; how often what is injected stands in the settings.

    feed : whose topic it fills; partitions : of a new topic, 0 takes the setting; seed : of everything drawn
    in_each : canaries of a partition; 0 takes so many that none has its next event too early
    back_date_s : seconds of market sent at once, so that the engine's windows are warm; nothing is injected in as much
    market after a start
    seconds : length of what follows, s; 0 has no end
    """

    feed: str = FEED
    partitions: int = 0
    seed: int = 1
    back_date_s: int = 900
    seconds: int = 0
    in_each: int = 0


class CanarySummary(msgspec.Struct, frozen=True):
    """What was sent. injected : canaries announced; stale : events that were sent too late to be any

    rows : by row type; followed : where it met the wall clock
    """

    feed: str
    topic: str
    partitions: int
    instruments: tuple[str, ...]
    injected: int
    stale: int
    rows: dict[str, int]
    frames: int
    started: str
    followed: str
    ended: str
    worst_behind_s: float


def run_canaries(
    settings: Settings,
    canaries: Canaries,
    *,
    stop: threading.Event | None = None,
    clock: Clock = WALL,
    say: Callable[[str], None] = lambda text: None,
) -> CanarySummary:
    """Send canaries until the end or until `stop` is set. TapewatchError if Kafka refuses a frame, or if subscribers
    would be told of them.
    """
    stop = stop or threading.Event()
    rota = _rota(settings)
    partitions = _partitions(settings, canaries)
    names = names_by_partition(partitions, canaries.in_each or _in_each(settings.canary.every_s, partitions))
    _refuse_told(settings, names)
    begun, begun_ns = clock.elapsed(), clock.now()
    tail = read_tail(settings, canaries.feed)
    start_ns = (begun_ns // NANOS - canaries.back_date_s) * NANOS
    if tail.newest_ns >= start_ns:
        start_ns = (tail.newest_ns // NANOS + 1) * NANOS
        ready = to_rfc3339(start_ns + canaries.back_date_s * NANOS)[:19]
        say(f"market.{canaries.feed} goes on where it ended: nothing is injected before {ready}Z")
    market = CanaryMarket(names, rota, canaries.seed, start_ns, float(canaries.back_date_s))
    open_feed(settings, canaries.feed, market.instruments, partitions, clock)
    writer = FeedWriter(
        feed_producer(settings, linger_ms=1),
        canaries.feed,
        _SOURCE,
        tail.next_epoch(_SOURCE, begun_ns),
        partitions,
        names,
        clock,
    )
    announcer = Announcer(kafka.producer(settings, linger_ms=0), canaries.feed, partitions, settings.canary, clock)
    show = SyntheticFeed(config=market.config, seed=canaries.seed, feed=canaries.feed, seconds=canaries.seconds)
    with Monitor("producer_canary", settings) as monitor:
        writer_metrics.show(monitor, lambda: writer)
        monitor.show(ANNOUNCED, lambda: {(canaries.feed,): announcer.count})
        monitor.show(STALE, lambda: {(canaries.feed,): announcer.stale})
        monitor.ready()
        live = LiveWriter(writer, tail.newest_ns)
        runner = Runner(show, market, live, start_ns, clock, say=say, told=announcer.say, beat=monitor.beat)
        say(f"{len(names)} canaries in {partitions} partitions, one event in {settings.canary.every_s:g} s")
        runner.run(stop)
        announcer.close()
    sent = runner.summary((clock.elapsed() - begun) / NANOS)
    return CanarySummary(
        feed=sent.feed,
        topic=sent.topic,
        partitions=partitions,
        instruments=tuple(names),
        injected=announcer.count,
        stale=announcer.stale,
        rows=sent.rows,
        frames=sent.frames,
        started=sent.started,
        followed=sent.followed,
        ended=sent.ended,
        worst_behind_s=sent.worst_behind_s,
    )


def _rota(settings: Settings) -> Rota:
    """The events of the settings; TapewatchError for scenarios that there are not."""
    try:
        return Rota(settings.canary.scenarios, settings.canary.every_s)
    except ValueError as error:
        raise TapewatchError(
            f"canary.scenarios: {error}", "docs/synthetic-market.md names what is injected."
        ) from error


def _in_each(every_s: float, partitions: int) -> int:
    """Canaries of a partition, so that none has its next event too early."""
    return max(1, math.ceil(APART_S / (every_s * partitions)))


def _partitions(settings: Settings, canaries: Canaries) -> int:
    """Partitions of the feed's topic, which is made where it is not there, and of the topic of messages."""
    specs = topics.market_topics(canaries.feed, settings.topics, canaries.partitions)
    kafka.create_topics(settings, [*specs, *topics.canary_topics(settings.topics)])
    return kafka.existing_topics(kafka.admin(settings))[topics.market(canaries.feed)]


def _refuse_told(settings: Settings, names: list[str]) -> None:
    """TapewatchError where these instruments are no canaries to the readers of alerts."""
    if not all(is_canary(settings.notify.canaries, name) for name in names):
        raise TapewatchError(
            f"alerts of {names[0]} would reach subscribers",
            "Let notify.canaries name what canaries begin with, for every process.",
        )
