"""The live connector of Taiwan against its simulator, fifty times faster than usual and without Kafka."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from producers.base.outlet import MemoryOutlet
from producers.base.runner import LiveRun
from producers.base.tape import Tape
from producers.base.universe import Choice
from producers.commands.live import pointed_at
from producers.simulators.faults import Fault, FaultPlan
from producers.simulators.server import SimulatorServer
from producers.simulators.twse import RecordedMis, TaiwanVenue
from producers.venues.twse.arbiter import Rules
from producers.venues.twse.connector import TwseConnector
from tapewatch.contract.rows import Rows, RowType, StatusKind
from tapewatch.settings import Settings
from tests.eventually import eventually_async

PACE = 50.0
RULES = Rules(stale_s=0.4, lag_s=1.5, back_s=0.4)
PATIENCE_S = 60.0


class TaiwanRun:
    """A run under way. venue : what it asks; kept : what it gave"""

    def __init__(self, venue: TaiwanVenue, plan: FaultPlan, connector: TwseConnector, kept: MemoryOutlet) -> None:
        self.venue, self.plan, self.connector, self.kept = venue, plan, connector, kept
        self.decoder = connector.decoder

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until it holds."""
        await eventually_async(condition, what="it holds", seconds=PATIENCE_S)

    async def in_charge(self, upstream: str) -> None:
        """Wait until an upstream is in charge and has given rows."""
        await self.until(lambda: self.decoder.arbiter.in_charge == upstream)
        given = self.decoder.given.total()
        await self.until(lambda: self.decoder.given.total() > given)

    def rows(self, row_type: RowType, *columns: str) -> list[tuple[Any, ...]]:
        """Rows given so far: instrument and columns."""
        found = []
        for rows in self.kept.rows:
            if rows.type is row_type:
                names = [rows.instruments[code] for code in rows.columns["instrument"]]
                found += list(zip(names, *(rows.columns[column].tolist() for column in columns), strict=True))
        return found

    def statuses(self, kind: StatusKind, instrument: str = "*") -> list[str]:
        """Details of the status rows of a kind."""
        found = self.rows(RowType.STATUS, "kind", "detail")
        return [detail for name, value, detail in found if name == instrument and value == kind]

    def in_step(self) -> bool:
        """Whether the last quote of every instrument is what the market shows."""
        last = {row[0]: row[1:] for row in self.rows(RowType.QUOTE, "bid_price", "ask_price", "volume")}
        for name, stock in self.venue.market.stocks.items():
            instrument = f"{stock.code}.{'XTAI' if name.startswith('tse') else 'ROCO'}"
            if not stock.listed:
                continue
            bid, ask, volume = last[instrument]
            for levels, price in ((stock.shown.bids, bid), (stock.shown.asks, ask)):
                if price != levels[0][0] / 100 if levels else not math.isnan(price):
                    return False
            if volume != stock.shown.volume * 1000.0:
                return False
        return True

    def accounted(self) -> bool:
        """Whether every message ended as given, dropped or refused."""
        collector = self.decoder.collector
        ended = self.decoder.given.total() + collector.dropped.total() + collector.refused.total()
        return collector.messages.total() == ended


def told(parts: Sequence[Rows], row_type: RowType) -> list[tuple[Any, ...]]:
    """Rows of a type without the replay's heartbeats, as texts that can be compared."""
    found = []
    for rows in parts:
        if rows.type is row_type:
            names = [rows.instruments[code] for code in rows.columns["instrument"]]
            columns = [column.tolist() for name, column in rows.columns.items() if name != "instrument"]
            found += [(name, *map(str, row)) for name, *row in zip(names, *columns, strict=True)]
    beat = str(int(StatusKind.HEARTBEAT))
    return [row for row in found if row_type is not RowType.STATUS or row[3] != beat]


@asynccontextmanager
async def taiwan(
    channels: Sequence[str],
    *,
    yahoo: str = "quotes",
    asked: Sequence[str] = (),
    choice: Choice | None = None,
    tape: Path | None = None,
    recorded: RecordedMis | None = None,
    faults: Sequence[Fault] = (),
) -> AsyncIterator[TaiwanRun]:
    """A run that follows everything, or what is asked for."""
    plan = FaultPlan(script=faults)
    venue = TaiwanVenue(channels, seed=1, pace=PACE, yahoo=yahoo, recorded=recorded)
    async with SimulatorServer(venue, plan) as server:
        settings = pointed_at(Settings(), "twse", server.addresses())
        produce = msgspec.structs.replace(settings.produce, backoff_first_s=0.02, backoff_cap_s=0.1)
        settings = msgspec.structs.replace(settings, produce=produce)
        connector = TwseConnector(settings.venues.twse, asked, calendar="", rules=RULES, pace=PACE)
        kept = MemoryOutlet()
        stop = asyncio.Event()
        kept_tape = Tape(tape, "twse", settings=connector.tape_settings) if tape is not None else None
        run = LiveRun(settings, connector, kept, choice or Choice(), tape=kept_tape)
        task = asyncio.create_task(run.run(stop))
        try:
            under_way = TaiwanRun(venue, plan, connector, kept)
            await under_way.until(lambda: task.done() or connector.decoder.given.total() > 0)
            yield under_way
        finally:
            stop.set()
            await task
            if kept_tape is not None:
                await asyncio.to_thread(kept_tape.close)
