"""Running a live producer: universe, sessions, flushes, back-pressure, and an orderly end."""

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from datetime import time as time_of_day
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from producers.base.answers import HttpError
from producers.base.backoff import Backoff
from producers.base.feed_session import Connector, FeedSession, Tape
from producers.base.metrics import FeedMetrics
from producers.base.outlet import KafkaOutlet, Outlet
from producers.base.sessions import SessionCalendar
from producers.base.universe import Choice, Listing, Universe, change
from producers.feed import FeedWriter, writer_metrics
from tapewatch.clock import NANOS, WALL, Clock, SteadyClock
from tapewatch.contract.checks import MAX_SKEW_NS
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.rows import RowType, StatusKind
from tapewatch.errors import TapewatchError
from tapewatch.rfc3339 import to_rfc3339
from tapewatch.runtime.monitoring import Monitor, gauge
from tapewatch.settings import Settings

SILENCE = gauge(
    "tapewatch_producer_silence_seconds", "Since the venue's newest row, or since the start where none came.", "feed"
)
SESSION_OPEN = gauge("tapewatch_producer_session_open", "1 while the venue's calendar says that it trades.", "feed")

END_S = 3.0
"""How long connections may take to end."""
REPORT_S = 5.0
ACKNOWLEDGE_S = 0.002
SHORT_GAP_NS = 2 * NANOS
"""A writer that follows another within this time leaves no gap worth telling."""


class LiveSummary(msgspec.Struct, frozen=True):
    """What a live producer did.

    messages : received, by kind; rows : given, by type; dropped : rightly left out, refused : kept as dead letters, by
    reason; violations : unsound books by kind; connections, losses : of websockets; failures : of requests by reason
    latency : receipt to Kafka's acknowledgement; offset_s : the venue's clock less ours, None where unknown
    raised : rows whose ts_recv was raised; held : times that Kafka's queue stopped the reading of sockets
    shed : connections closed for that, each a gap
    """

    feed: str
    instruments: int
    seconds: float
    cpu_s: float
    messages: dict[str, int]
    rows: dict[str, int]
    gaps: int
    resyncs: int
    dropped: dict[str, int]
    refused: dict[str, int]
    violations: dict[str, int]
    connections: int
    losses: int
    failures: dict[str, int]
    held: int
    shed: int
    offset_s: float | None
    raised: int = 0
    frames: int = 0
    bytes: int = 0
    acknowledged: int = 0
    latency: dict[str, float | int] = {}


class LiveRun:
    """One run of a connector. `ready` is set when it follows its universe."""

    def __init__(
        self,
        settings: Settings,
        connector: Connector,
        outlet: Outlet,
        choice: Choice,
        *,
        clock: Clock = WALL,
        tape: Tape | None = None,
        metrics: FeedMetrics | None = None,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.universe = Universe(choice)
        self.listings: list[Listing] = []
        self.ready = asyncio.Event()
        self.held = 0
        self._settings, self._connector, self._outlet, self._say = settings, connector, outlet, say
        self._clock = SteadyClock(clock)
        self._begun = self._clock.now()
        self._tape = tape
        self._collector = connector.decoder.collector
        self.metrics = metrics or FeedMetrics(connector.feed)
        self.monitor = Monitor("producer", settings)
        self.monitor.show_text(self.metrics.exposition)
        writer_metrics.show(self.monitor, self._writer)
        self.monitor.show(SILENCE, lambda: {(connector.feed,): self._silence_s()})
        self.monitor.show(SESSION_OPEN, lambda: {(connector.feed,): self._open})
        self.metrics.collector = self._collector
        self.station = FeedSession(settings, connector.feed, self._collector, self._register, self._clock, tape)
        self.metrics.offset = self.station.offset
        self.metrics.links, self.metrics.services = self.station.links, self.station.services
        self._calendar = SessionCalendar(connector.calendar)
        self._open = self._calendar.is_open(self._clock.now())

    async def run(self, stop: asyncio.Event) -> LiveSummary:
        """Run until `stop`; everything that was received is then sent and acknowledged."""
        begun, cpu = time.monotonic(), time.process_time()
        over = asyncio.create_task(stop.wait())
        try:
            beginning = asyncio.create_task(self._begin())
            await asyncio.wait({beginning, over}, return_when=asyncio.FIRST_COMPLETED)
            if beginning.done():
                beginning.result()
                waited: set[asyncio.Future[Any]] = {over, self.station.failed}
                await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
                if self.station.failed.done():
                    self.station.failed.result()
            else:
                beginning.cancel()
                await asyncio.gather(beginning, return_exceptions=True)
        finally:
            over.cancel()
            try:
                await asyncio.wait_for(self.station.close(), END_S)
            except TimeoutError:
                self.station.log.warning("connections did not end in time")
            self._hand_over()
            await self._outlet.close(self._clock.now())
        return self.summary(time.monotonic() - begun, time.process_time() - cpu)

    def summary(self, seconds: float, cpu_s: float) -> LiveSummary:
        """What was done so far. seconds, cpu_s : wall and processor time"""
        station, collector, outlet = self.station, self._collector, self._outlet
        offset = station.offset.estimate
        kafka: dict[str, Any] = {}
        if isinstance(outlet, KafkaOutlet) and outlet.is_open:
            sent = outlet.live.writer.sent
            kafka = {
                "raised": outlet.live.raised,
                "frames": sent.frames,
                "bytes": sent.bytes,
                "acknowledged": sent.acknowledged,
                "latency": self.metrics.ack.as_dict(),
            }
        return LiveSummary(
            feed=self._connector.feed,
            instruments=len(self.listings),
            seconds=round(seconds, 3),
            cpu_s=round(cpu_s, 3),
            messages=dict(sorted(collector.messages.items())),
            rows=self.metrics.rows_by_type(),
            gaps=self.metrics.status(StatusKind.GAP),
            resyncs=self.metrics.status(StatusKind.RESYNC),
            dropped=dict(sorted(collector.dropped.items())),
            refused=dict(sorted(collector.refused.items())),
            violations=dict(sorted(collector.violations.items())),
            connections=sum(link.connections for link in station.links),
            losses=sum(link.losses for link in station.links),
            failures=dict(sorted(station.failures.items())),
            held=self.held,
            shed=self.station.shed,
            offset_s=None if offset is None else round(offset.offset_s, 3),
            **kafka,
        )

    async def _begin(self) -> None:
        """Find the universe, open the feed, and set everything going."""
        chosen = await self._choose()
        if not chosen:
            raise TapewatchError(
                f"{self._connector.feed}: nothing to follow; {self._left_out()}",
                "Choose other symbols.",
            )
        self.listings = chosen
        await self._outlet.open(self._connector.feed, [one.instrument for one in chosen])
        self._clock.not_before(self._outlet.newest_ns)
        begun = self._after_a_break()
        station, connector = self.station, self._connector
        await self._follow(chosen)
        station.spawn(connector.run(station), "connector")
        station.spawn(self._flush(), "flush")
        station.spawn(self._look_daily(), "universe")
        station.spawn(self._report(), "report")
        if not self._calendar.always_open:
            station.spawn(self._keep_sessions(begun), "sessions")
        self._say(f"{connector.feed}: following {len(chosen):,} instruments")
        self.ready.set()
        self.monitor.ready()

    def _silence_s(self) -> float:
        """Since the newest row of the venue, or since the start, s."""
        return (self._clock.now() - max(self.metrics.newest_ns, self._begun)) / NANOS

    def _writer(self) -> FeedWriter | None:
        """What writes into Kafka, once it is open; None on the screen."""
        outlet = self._outlet
        return outlet.live.writer if isinstance(outlet, KafkaOutlet) and outlet.is_open else None

    async def _follow(self, listings: Sequence[Listing]) -> None:
        """Let the connector follow these and no others."""
        if self._tape is not None:
            self._tape.follow(listings, self._clock.now())
        await self._connector.follow(self.station, listings)

    def _left_out(self) -> str:
        """Why nothing is left, in words."""
        named = [f"{name} {reason}" for name, reason in self.universe.missing.items()]
        return ", ".join(named or [f"{count:,} {reason}" for reason, count in self.universe.left_out.items()])

    async def _choose(self) -> list[Listing]:
        """Ask who is listed until the venue answers."""
        backoff = Backoff(self.station.produce.backoff_first_s, self.station.produce.backoff_cap_s)
        while True:
            try:
                found = self.universe.choose(await self._connector.listed(self.station))
                self.monitor.has("venue")
                return found
            except HttpError as error:
                wait_s = backoff.next()
                self.station.failures[error.reason] += 1
                self.monitor.beat()
                self.monitor.waits_for("venue", error.message)
                self._say(
                    f"{self._connector.feed}: who is listed is not known ({error.message}); again in {wait_s:.1f} s"
                )
                await asyncio.sleep(wait_s)

    async def _register(self, instruments: Sequence[Instrument]) -> None:
        await self._outlet.register(instruments)

    def _after_a_break(self) -> int:
        """The state of the session, and a gap where the log ends some time ago; the time this was said for."""
        now, newest = self._clock.now(), self._outlet.newest_ns
        # The venue may have been waited for since this run was made.
        self._open = self._calendar.is_open(now)
        if self._open and not self._calendar.always_open:
            self._session_row(StatusKind.OPEN, now)
        if newest and self._open and now - newest > SHORT_GAP_NS:
            self._collector.status(0, StatusKind.GAP, f"no producer for {(now - newest) / NANOS:.1f} s", now)
        return now

    async def _flush(self) -> None:
        """Send what was received every few milliseconds; read no sockets while Kafka or the tape cannot keep up."""
        step_s, limit, gate = (
            self.station.produce.flush_ms / 1e3,
            self.station.produce.unacknowledged,
            self.station.gate,
        )
        loop = asyncio.get_running_loop()
        while True:
            self.monitor.beat()
            due = loop.time() + step_s
            self._hand_over()
            self._outlet.flush(self._clock.now(), self._open)
            if self._connector.decoder.wants:
                self.station.wanted.set()
            behind = self._tape is not None and self._tape.behind
            if gate.is_set() and (behind or self._outlet.waiting > limit):
                gate.clear()
                self.held += 1
                self.station.log.warning("sockets are not read", frames_unacknowledged=self._outlet.waiting)
            elif not gate.is_set() and not behind and self._outlet.waiting <= limit // 2:
                gate.set()
            # Acknowledgements are taken more often than rows are sent, so that what is measured is Kafka's time.
            while (left := due - loop.time()) > 0.0:
                await asyncio.sleep(min(left, ACKNOWLEDGE_S))
                self._outlet.poll()
            await asyncio.sleep(0)

    def _hand_over(self) -> None:
        """Give the collected rows and refusals to the outlet."""
        rows = self._collector.take()
        if rows:
            for part in rows:
                self.metrics.rows(part)
                if part.type is RowType.TRADE:
                    # The one row whose time is always the venue's own.
                    self.station.offset.events(part.columns["ts_event"], part.ts_recv)
            self._outlet.write(rows)
        refused = self._collector.take_refused()
        if refused:
            self._outlet.refuse(refused)

    async def _look_daily(self) -> None:
        """Look at what is listed once a day, and follow what changed."""
        while True:
            await asyncio.sleep(self._seconds_to_look())
            await self.look()

    async def look(self) -> None:
        """Look at what is listed now; new instruments are registered before they are followed."""
        chosen = await self._choose()
        found = change(self.listings, chosen)
        if not found or not chosen:
            return
        await self._register([one.instrument for one in (*found.added, *found.renewed)])
        now = self._clock.now()
        for one in found.removed:
            code = self._collector.code(one.instrument.id)
            self._collector.status(code, StatusKind.CLOSE, "no longer followed", now)
        self.listings = chosen
        await self._follow(chosen)
        self._say(f"{self._connector.feed}: {len(found.added)} instruments more, {len(found.removed)} fewer")

    def _seconds_to_look(self) -> float:
        """Seconds to the next look, at the set time of day in the venue's zone."""
        zone = ZoneInfo(next((one.instrument.session.timezone for one in self.listings), "UTC"))
        at = datetime.fromtimestamp(self._clock.now() / NANOS, zone)
        wanted = time_of_day.fromisoformat(self.station.produce.universe_at)
        due = datetime.combine(at.date(), wanted, zone)
        if due <= at:
            due = datetime.combine(at.date() + timedelta(days=1), wanted, zone)
        return due.timestamp() - at.timestamp()

    async def _keep_sessions(self, at: int) -> None:
        """Write OPEN and CLOSE when the calendar says so; one that a sleep of this machine left behind is made up for,
        so that the session which runs now is not taken for closed. at : when its state was told last
        """
        while (found := self._calendar.next_change(at)) is not None:
            at, kind = found
            while (left := (at - self._clock.now()) / NANOS) > 0:
                await asyncio.sleep(min(left, 60.0))
            self._open = kind is StatusKind.OPEN
            self._session_row(kind, at)

    def _session_row(self, kind: StatusKind, at: int) -> None:
        closes = self._calendar.next_change(at) if kind is StatusKind.OPEN else None
        detail = f"closes={to_rfc3339(closes[0])}" if closes is not None else "by the calendar"
        now = self._clock.now()
        self._collector.status(0, kind, detail, now, max(at, now - MAX_SKEW_NS))

    async def _report(self) -> None:
        """Say every few seconds how it goes."""
        before, at = 0, time.monotonic()
        while True:
            await asyncio.sleep(REPORT_S)
            total, now = sum(self._collector.messages.values()), time.monotonic()
            rate, rows = (total - before) / (now - at), sum(self.metrics.rows_by_type().values())
            live = sum(1 for link in self.station.links if link.is_up)
            self._say(
                f"{self._connector.feed}: {rate:,.0f} messages/s, {rows:,} rows, "
                f"{live} of {len(self.station.links)} connections, {self.metrics.status(StatusKind.GAP):,} gaps, "
                f"{self.metrics.status(StatusKind.RESYNC):,} resyncs, "
                f"{sum(self._collector.refused.values()):,} refused, {self._outlet.waiting:,} frames unacknowledged"
            )
            before, at = total, now
            if self.station.offset.exceeded:
                self.station.log.warning(
                    "the venue's clock and ours are far apart", clock=self.station.offset.as_dict()
                )
