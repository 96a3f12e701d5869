"""The synthetic market as a live feed: its first minutes back-dated and sent at once, then second by second."""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import msgspec
import numpy as np

from producers.feed import (
    FeedWriter,
    LiveWriter,
    Rate,
    await_engine,
    feed_producer,
    open_feed,
    read_tail,
    writer_metrics,
)
from producers.feed.fault_injection import FaultInjector
from producers.keeping import ResumePoint, before, gap_row, note_left_out
from producers.synthetic import Label, SyntheticConfig, SyntheticMarket, write_labels
from tapewatch.clock import NANOS, WALL, Clock, SteadyClock
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.rows import Chunk
from tapewatch.errors import TapewatchError
from tapewatch.market_log import generations
from tapewatch.market_log.sent_record import RunHeader, SentRecord
from tapewatch.rfc3339 import to_rfc3339
from tapewatch.runtime.monitoring import Monitor
from tapewatch.settings import Settings

FLUSH_S = 0.01
"""Seconds between two flushes."""
BEHIND_S = 1.0
"""How far simulation may fall behind the clock before it is said, s."""

_AHEAD = 2
_SOURCE = "synthetic"


@dataclass(frozen=True, slots=True)
class SyntheticFeed:
    """A synthetic market to run.

    config, seed : what the market is a function of, beside its start; `config.warmup_s` is normally `back_date_s`
    feed : whose topic it fills; partitions : of a new topic, 0 takes the setting
    back_date_s : seconds of market that are sent at once, with times in the past
    seconds : length of what follows, s; 0 has no end
    labels, look_alikes : CSV files of injected manipulation and of what only looks like it, kept up to date
    await_engine : send nothing before an engine works on the feed
    mischief : file of orders of what shall go wrong on the way (producers.feed.fault_injection)
    record : file in which every frame that is sent is written down; resume : go on from it where it exists
    """

    config: SyntheticConfig
    seed: int = 1
    feed: str = "synthetic"
    back_date_s: int = 900
    seconds: int = 0
    labels: Path | None = None
    look_alikes: Path | None = None
    partitions: int = 0
    await_engine: bool = False
    mischief: Path | None = None
    record: Path | None = None
    resume: bool = False


class SyntheticFeedSummary(msgspec.Struct, frozen=True):
    """What a show sent.

    rows : by row type, heartbeats not among them
    started, ended : simulated time, RFC 3339; followed : where it met the wall clock, empty if it never did
    back_dated_s : simulated seconds sent at once; caught_up_s : wall time that took, s
    worst_behind_s : largest delay behind the wall clock after that, s
    injected : events begun by scenario, look-alikes included; seconds : wall time, s
    """

    feed: str
    topic: str
    source: str
    epoch: int
    partitions: int
    seed: int
    fingerprint: str
    instruments: int
    rows: dict[str, int]
    heartbeats: int
    frames: int
    bytes: int
    started: str
    followed: str
    ended: str
    back_dated_s: int
    caught_up_s: float
    worst_behind_s: float
    injected: dict[str, int]
    seconds: float
    rows_per_s: float


def run_synthetic(
    settings: Settings,
    show: SyntheticFeed,
    *,
    stop: threading.Event | None = None,
    clock: Clock = WALL,
    rate: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> SyntheticFeedSummary:
    """Run a synthetic market as a live feed until its end or until `stop` is set; every frame is then acknowledged.

    rate : whether to say rates on stderr every few seconds; say : gets what the user should know
    Where the feed's log is already newer than the back-dated start, the market starts right after it instead. Where a
    record says how far earlier runs have come, the same market goes on from there.
    TapewatchError if Kafka refuses a frame.
    """
    stop = stop or threading.Event()
    show = replace(show, feed=generations.writable(settings, show.feed))
    _warm_up(show)
    if show.await_engine:
        await_engine(settings, show.feed, show.partitions, stop)
    begun, begun_ns = clock.elapsed(), clock.now()
    tail = read_tail(settings, show.feed)
    start_ns = (begun_ns // NANOS - show.back_date_s) * NANOS
    told = before(show.record, show.feed, _described(show), show.resume) if show.record else None
    if told is not None:
        start_ns = told.started_ns
        say(f"market.{show.feed}: going on from {to_rfc3339(told.done_ns)}")
    elif tail.newest_ns >= start_ns:
        start_ns = (tail.newest_ns // NANOS + 1) * NANOS
        say(f"market.{show.feed} holds rows up to {to_rfc3339(tail.newest_ns)}: starting right after them")
    market = SyntheticMarket(show.config, show.seed, start_ns)
    partitions = open_feed(settings, show.feed, market.instruments, show.partitions, clock)
    if show.partitions and partitions != show.partitions:
        say(f"market.{show.feed} exists with {partitions} partitions; using these, not {show.partitions}")
    ids = [instrument.id for instrument in market.instruments]
    producer = feed_producer(settings, linger_ms=1)
    epoch = max(tail.next_epoch(_SOURCE, begun_ns), told.epoch + 1 if told else 0)
    record = SentRecord(show.record) if show.record else None
    if record is not None:
        done_ns = told.done_ns if told else 0
        record.begin(RunHeader(show.feed, _SOURCE, epoch, partitions, _described(show), start_ns, done_ns))
    mischief = FaultInjector(producer, show.mischief, clock) if show.mischief else None
    writer = FeedWriter(mischief or producer, show.feed, _SOURCE, epoch, partitions, ids, clock, record=record)
    live = LiveWriter(writer, tail.newest_ns)
    said = Rate(writer, clock) if rate else None
    with Monitor("producer", settings) as monitor:
        writer_metrics.show(monitor, lambda: writer)
        monitor.ready()
        runner = Runner(show, market, live, start_ns, clock, said, say, beat=monitor.beat, mischief=mischief)
        if record is not None:
            runner.keep(record, told)
        runner.run(stop)
    return runner.summary((clock.elapsed() - begun) / NANOS)


def _described(show: SyntheticFeed) -> dict[str, Any]:
    """What a market's rows are a function of, beside its start."""
    return {"seed": show.seed, "config": msgspec.json.decode(msgspec.json.encode(show.config))}


def _warm_up(show: SyntheticFeed) -> None:
    """Load or compile the simulator's kernels before the market's start is settled, so that it does not begin late."""
    next(SyntheticMarket(show.config, show.seed, 0).chunks())


class Market(Protocol):
    """A market with labels; `SyntheticMarket` is one."""

    @property
    def fingerprint(self) -> str:
        """What the rows are a function of, hashed."""

    @property
    def instruments(self) -> Sequence[Instrument]:
        """Reference data."""

    def chunks(self) -> Iterator[Chunk]:
        """Rows, a simulated second each."""

    def labels(self) -> list[Label]:
        """What was injected so far."""


class Runner:
    """Brings a market's rows to a live writer as the clock passes them.

    told : gets the labels of what has been sent, each second once the market follows the clock, and at the end
    beat : called in every turn
    """

    def __init__(
        self,
        show: SyntheticFeed,
        market: Market,
        live: LiveWriter,
        start_ns: int,
        clock: Clock = WALL,
        rate: Rate | None = None,
        say: Callable[[str], None] = lambda text: None,
        told: Callable[[list[Label]], None] = lambda labels: None,
        beat: Callable[[], None] = lambda: None,
        mischief: FaultInjector | None = None,
    ) -> None:
        self._told, self._beat = told, beat
        self._show, self._market, self._live, self._clock = show, market, live, SteadyClock(clock)
        self._rate, self._say, self._mischief = rate, say, mischief
        self._start_ns = self._sent_ns = start_ns
        self._begun = clock.elapsed()
        self._followed_ns = 0
        self._caught_up_s = 0.0
        self._worst_behind = self._say_behind_at = 0
        self._labels: list[Label] = []
        self._record: SentRecord | None = None
        self._before: ResumePoint | None = None

    def keep(self, record: SentRecord, told: ResumePoint | None) -> None:
        """Write down what is sent. told : what earlier runs have done, which is not sent again"""
        self._record, self._before = record, told
        if told is not None:
            self._sent_ns = told.done_ns
            self._live.add(gap_row(told.done_ns))

    def run(self, stop: threading.Event) -> None:
        """Send until the end or `stop`; what was begun is flushed, and the label files are whole."""
        ahead = ChunkPrefetcher(self._market)
        try:
            for chunk, self._labels in ahead:
                if stop.is_set() or self._over(chunk):
                    break
                if self._before is not None and self._record is not None:
                    note_left_out(self._record, self._before, chunk.rows, self._live.writer.splitter)
                    if chunk.end_ns - 1 <= self._before.done_ns:
                        self._beat()
                        continue
                self._follow(chunk, stop)
                self._after(chunk)
        finally:
            ahead.close()
            self._write_labels()
        if self._record is None or (self._sent_ns + 1) % NANOS == 0:
            self._live.close(self._sent_ns)
        else:
            # A later run may go on within this second: it is not closed.
            self._live.flush(self._sent_ns)
            self._live.writer.flush()
        if self._record is not None:
            self._record.end(self._sent_ns)

    def _over(self, chunk: Chunk) -> bool:
        """Whether the show's length is reached before this chunk."""
        seconds = self._show.seconds
        return bool(seconds and self._followed_ns and chunk.end_ns > self._followed_ns + seconds * NANOS)

    def _follow(self, chunk: Chunk, stop: threading.Event) -> None:
        """Send a chunk's rows as the clock passes their receipt times; one that lies in the past goes at once."""
        done_ns = self._before.done_ns if self._before is not None else 0
        sent = [int(np.searchsorted(rows.ts_recv, done_ns, side="right")) for rows in chunk.rows]
        while True:
            self._beat()
            upto = min(self._clock.now(), chunk.end_ns - 1)
            if self._mischief is not None:
                self._mischief.look()
                self._live.clock_error_ns = self._mischief.clock_error_ns
            for place, rows in enumerate(chunk.rows):
                cut = max(int(np.searchsorted(rows.ts_recv, upto, side="right")), sent[place])
                self._live.add(rows.take(slice(sent[place], cut)))
                sent[place] = cut
            if upto >= self._sent_ns:
                if self._record is not None:
                    self._record.flush(upto)
                self._live.flush(upto)
                self._sent_ns = upto
            if upto == chunk.end_ns - 1 or stop.is_set():
                return
            self._clock.sleep(min(FLUSH_S, (chunk.end_ns - upto) / NANOS))

    def _after(self, chunk: Chunk) -> None:
        """Look at the clock after a chunk: met, kept up with, or fallen behind."""
        if self._record is not None:
            self._record.sync()
        elapsed = self._clock.elapsed()
        behind = self._clock.now() - chunk.end_ns
        if not self._followed_ns and behind < NANOS:
            self._followed_ns = chunk.end_ns
            self._caught_up_s = (elapsed - self._begun) / NANOS
            past = (chunk.end_ns - self._start_ns) // NANOS
            self._say(f"{past} s of market sent in {self._caught_up_s:.1f} s; following the clock")
        elif self._followed_ns:
            self._keep_up(elapsed, behind)
        if self._followed_ns:
            self._write_labels()
        if self._rate is not None:
            self._rate.tick(self._sent_ns, behind if self._followed_ns else 0)

    def _keep_up(self, elapsed: int, behind: int) -> None:
        """Say it, every few seconds, where simulation cannot keep up; nothing is left out."""
        self._worst_behind = max(self._worst_behind, behind)
        if behind > BEHIND_S * NANOS and elapsed >= self._say_behind_at:
            self._say_behind_at = elapsed + 5 * NANOS
            self._say(f"simulation is {behind / NANOS:.1f} s behind the clock; catching up, nothing is left out")

    def _write_labels(self) -> None:
        """Bring the label files up to date with what was sent; a reader never sees half a file."""
        show = self._show
        known = [label for label in self._labels if label.start_ns <= self._sent_ns]
        self._told(known)
        if show.labels is None:
            return
        files = [show.labels] + ([show.look_alikes] if show.look_alikes is not None else [])
        fresh = [file.with_name(f".{file.name}.new") for file in files]
        write_labels(known, fresh[0], fresh[1] if len(fresh) > 1 else None)
        for new, file in zip(fresh, files, strict=True):
            new.replace(file)

    def summary(self, seconds: float) -> SyntheticFeedSummary:
        """What was sent. seconds : wall time, s."""
        show, writer, sent = self._show, self._live.writer, self._live.writer.sent
        injected: dict[str, int] = {}
        for label in self._labels:
            if label.start_ns <= self._sent_ns:
                injected[label.scenario] = injected.get(label.scenario, 0) + 1
        return SyntheticFeedSummary(
            feed=writer.feed,
            topic=writer.topic,
            source=writer.source,
            epoch=writer.epoch,
            partitions=writer.partitions,
            seed=show.seed,
            fingerprint=self._market.fingerprint,
            instruments=len(self._market.instruments),
            rows=dict(sorted(sent.rows.items())),
            heartbeats=sent.heartbeats,
            frames=sent.frames,
            bytes=sent.bytes,
            started=to_rfc3339(self._start_ns),
            followed=to_rfc3339(self._followed_ns) if self._followed_ns else "",
            ended=to_rfc3339(self._sent_ns),
            back_dated_s=max(0, self._followed_ns - self._start_ns) // NANOS,
            caught_up_s=round(self._caught_up_s, 3),
            worst_behind_s=round(self._worst_behind / NANOS, 3),
            injected=dict(sorted(injected.items())),
            seconds=round(seconds, 3),
            rows_per_s=round(sent.rows.total() / max(seconds, 1e-9), 1),
        )


class ChunkPrefetcher:
    """A market's chunks, each with the labels of its time.

    They are simulated in a thread, a little ahead of their use, so that flushes need not wait.
    """

    def __init__(self, market: Market) -> None:
        self._market = market
        self._ready: queue.Queue[tuple[Chunk, list[Label]] | None] = queue.Queue(_AHEAD)
        self._closed = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._simulate, name="simulation", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[tuple[Chunk, list[Label]]]:
        while (item := self._ready.get()) is not None:
            yield item
        if self._error is not None:
            raise TapewatchError(f"the market simulation failed: {self._error}", "Report the seed.") from self._error

    def close(self) -> None:
        """End the simulation."""
        self._closed.set()
        self._thread.join(10)

    def _simulate(self) -> None:
        try:
            for chunk in self._market.chunks():
                if not self._put((chunk, self._market.labels())):
                    return
        except Exception as error:
            self._error = error
        self._put(None)

    def _put(self, item: tuple[Chunk, list[Label]] | None) -> bool:
        """Hand over, waiting for room; False once closed."""
        while not self._closed.is_set():
            try:
                self._ready.put(item, timeout=0.2)
                return True
            except queue.Full:
                continue
        return False
