"""Charts that are polled, as a live feed of bars."""

import argparse
import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from producers.base.answers import Answer, HttpError
from producers.base.collector import Collector
from producers.base.decoder import DecoderRequest
from producers.base.feed_session import FeedSession
from producers.base.universe import Listing
from producers.venues.bars import Bar
from producers.venues.live_bars import LiveBars
from tapewatch.clock import NANOS

LOOK_BACK_NS = 30 * 60 * NANOS
"""How far back the log is read at the start, and charts are asked for."""

AFTER_END_NS = 6 * NANOS
"""How long after a bar's end it is asked for."""


LATEST = "latest"
"""Note on a tape: JSON, opening of the newest bar in the log at the start by instrument."""


class NoChartError(Exception):
    """A body without a chart. reason : for the dead letter"""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class ChartPage:
    """bars : whole ones, oldest first; refused : reason and text of what was none"""

    bars: Sequence[Bar]
    refused: Sequence[tuple[str, bytes]] = ()


Parse = Callable[[bytes, int], ChartPage]
"""A body and its receipt time -> its page; NoChartError where there is none."""


def symbols_of(args: argparse.Namespace, asked: Sequence[str]) -> list[str]:
    """The symbols that were asked for; of a simulated venue, where none were, those that it makes up."""
    if not asked and getattr(args, "against", None) == "sim":
        return [f"SIM{number}" for number in range(args.sim_symbols)]
    return list(asked)


class ChartDecoder:
    """Rows of the bars in the answers to `Want("chart", symbol)`. What the venue repeats, it drops.

    A bad row is refused once: it is looked for again only while it is newer than everything that was taken.
    """

    def __init__(
        self, parse: Parse, interval_s: int, delayed_s: float = 0.0, collector: Collector | None = None
    ) -> None:
        self.collector = collector or Collector()
        self.wants: deque[DecoderRequest] = deque()
        self.bars = LiveBars(self.collector, interval_s, delayed_s=delayed_s)
        self.delayed_s = delayed_s
        self._parse = parse
        self._ids: dict[str, str] = {}
        self._refused: set[bytes] = set()

    def watch(self, ids: dict[str, str]) -> None:
        """The instrument ids by the venue's symbol; others are not taken any more."""
        self._ids = dict(ids)

    def message(self, data: bytes | str, received: int) -> None:
        """Nothing is pushed to a feed that polls."""
        self.collector.refuse("unexpected_message", "pushed", data, received)

    def answer(self, want: DecoderRequest, data: bytes, received: int) -> None:
        """Take a chart."""
        self.collector.messages["chart"] += 1
        instrument = self._ids.get(want.symbol)
        if instrument is None:
            self.collector.dropped["not_followed"] += 1
            return
        try:
            page = self._parse(data, received)
        except NoChartError as error:
            self.collector.refuse(error.reason, f"chart {want.symbol} {error.detail[:100]}".strip(), data, received)
            self.bars.lost([instrument], f"no chart: {error.reason}", received)
            return
        for reason, raw in page.refused:
            if raw not in self._refused:
                self._refused.add(raw)
                self.collector.refuse(reason, f"chart {want.symbol}", raw, received)
        self.bars.take(instrument, page.bars, received)

    def lost(self, symbols: Collection[str], reason: str, received: int) -> None:
        """The venue did not answer: a gap row each until it does."""
        self.bars.lost([self._ids[symbol] for symbol in symbols if symbol in self._ids], reason, received)


class PollingConnector:
    """A feed of polled charts.

    listings : what there is to follow; ask : the answer with a symbol's newest bars; latest : opening of the newest
    bar in the log by instrument, read once before the first poll
    poll_s : time between two polls of one symbol; the rate limit may make it longer
    """

    def __init__(
        self,
        feed: str,
        calendar: str,
        decoder: ChartDecoder,
        listings: Callable[[FeedSession], Awaitable[list[Listing]]],
        ask: Callable[[FeedSession, DecoderRequest], Awaitable[Answer]],
        latest: Callable[[int], dict[str, int]],
        poll_s: float,
    ) -> None:
        self.feed, self.calendar, self.decoder = feed, calendar, decoder
        self._listings, self._ask, self._latest, self._poll_s = listings, ask, latest, poll_s
        self.tape_settings: dict[str, Any] = {"interval_s": decoder.bars.interval_s, "delayed_s": decoder.delayed_s}
        self._symbols: list[str] = []
        self._begun = False

    async def listed(self, station: FeedSession) -> list[Listing]:
        """What there is to follow."""
        return await self._listings(station)

    async def follow(self, station: FeedSession, listings: Sequence[Listing]) -> None:
        """Poll these from now on; at the start, go on after what lies in the log."""
        if not self._begun:
            self._begun = True
            found = await asyncio.to_thread(self._latest, station.now() - LOOK_BACK_NS)
            self.decoder.bars.latest.update(found)
            station.tape_note(LATEST, station.now(), reason=msgspec.json.encode(found).decode())
        self.decoder.watch({one.symbol: one.instrument.id for one in listings})
        self._symbols = [one.symbol for one in listings]

    async def run(self, station: FeedSession) -> None:
        """Poll until cancelled: at once, then shortly after each bar's end."""
        await self.poll(station)
        step = int(self._poll_s * NANOS)
        after_end = min(AFTER_END_NS, step // 4)
        await asyncio.sleep((step - (station.now() - after_end) % step) / NANOS)
        await station.every(self._poll_s, lambda: self.poll(station))

    async def poll(self, station: FeedSession) -> None:
        """Ask for every symbol's newest bars once."""
        await station.gate.wait()
        await asyncio.gather(*(self._one(station, symbol) for symbol in self._symbols))

    async def _one(self, station: FeedSession, symbol: str) -> None:
        want = DecoderRequest("chart", symbol)
        try:
            answer = await self._ask(station, want)
        except HttpError as error:
            station.failures[error.reason] += 1
            station.log.warning("chart failed", symbol=symbol, reason=error.reason, detail=error.detail)
            at, reason = station.now(), f"chart failed: {error.reason}"
            station.tape_lost("", [symbol], reason, at)
            self.decoder.lost([symbol], reason, at)
            return
        at = answer.received
        if not at:
            at = station.now()
            station.tape_answer(want, answer.body, at)
        self.decoder.answer(want, answer.body, at)
