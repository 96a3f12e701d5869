"""A live producer against a simulated venue, without Kafka: rows are kept by type."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from producers.base.collector import RefusedMessage
from producers.base.connector import Connector
from producers.base.runner import LiveRun
from producers.base.universe import Choice
from producers.simulators.faults import FaultPlan
from producers.simulators.server import ConnectionRules, SimulatorServer, Venue
from tapewatch.instruments import Instrument
from tapewatch.rows import Rows, RowType, StatusKind
from tapewatch.settings import Settings
from tapewatch.venue_settings import ExchangeSettings, ProduceSettings, VenueSettings

PATIENCE_S = 20.0
QUICK = ProduceSettings(
    flush_ms=2.0,
    connect_timeout_s=2.0,
    request_timeout_s=2.0,
    backoff_first_s=0.05,
    backoff_cap_s=0.2,
    ping_s=0.2,
    stale_s=1.0,
    overlap_s=0.3,
)


class KeptRows:
    """An outlet that keeps what it is given."""

    def __init__(self) -> None:
        self.newest_ns = 0
        self.waiting = 0
        self.registered: list[Instrument] = []
        self.refused: list[RefusedMessage] = []
        self.count = 0
        self._rows: defaultdict[tuple[RowType, str], list[dict[str, Any]]] = defaultdict(list)

    async def open(self, feed: str, instruments: Sequence[Instrument]) -> None:
        await self.register(instruments)

    async def register(self, instruments: Sequence[Instrument]) -> None:
        self.registered += instruments

    def write(self, rows: Sequence[Rows]) -> None:
        for part in rows:
            self.count += len(part)
            names = [part.instruments[code] for code in part.columns["instrument"]]
            for index, name in enumerate(names):
                self._rows[part.type, name].append({key: column[index] for key, column in part.columns.items()})

    def refuse(self, refused: Iterable[RefusedMessage]) -> None:
        self.refused += refused

    def flush(self, now: int, beat: bool) -> None:
        return

    async def close(self, now: int) -> None:
        return

    def rows(self, row_type: RowType, instrument: str) -> list[dict[str, Any]]:
        """The rows of an instrument so far."""
        return self._rows[row_type, instrument]

    def all_statuses(self) -> list[tuple[str, StatusKind, str]]:
        """Instrument, kind and detail of every status row."""
        return [
            (name, StatusKind(row["kind"]), row["detail"])
            for (row_type, name), rows in self._rows.items()
            if row_type is RowType.STATUS
            for row in rows
        ]

    def statuses(self, instrument: str) -> list[tuple[StatusKind, str]]:
        """Kind and detail of its status rows."""
        return [(StatusKind(row["kind"]), row["detail"]) for row in self.rows(RowType.STATUS, instrument)]

    def book(self, instrument: str) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
        """The newest book, bids and asks, best first."""
        rows = self.rows(RowType.BOOK, instrument)
        if not rows:
            return [], []
        bids, asks = (
            [
                (float(price), float(qty))
                for price, qty in zip(rows[-1][f"{side}_price"], rows[-1][f"{side}_qty"], strict=True)
                if price == price
            ]
            for side in ("bid", "ask")
        )
        return bids, asks


class Played:
    """A run that stands: venue and its server, what came out, and the run itself."""

    def __init__(self, server: SimulatorServer, kept: KeptRows, run: LiveRun) -> None:
        self.server, self.plan, self.kept, self.run = server, server.plan, kept, run

    async def until(self, condition: Callable[[], bool], what: str = "") -> None:
        """Wait for it."""
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                await asyncio.sleep(0.01)


@asynccontextmanager
async def played(
    venue: Venue,
    connector: Callable[[Settings], Connector],
    *,
    plan: FaultPlan | None = None,
    choice: Choice | None = None,
    rules: ConnectionRules | None = None,
    produce: ProduceSettings = QUICK,
    tls: bool = False,
) -> AsyncIterator[Played]:
    """Serve a venue and run a connector against it."""
    async with SimulatorServer(venue, plan, rules=rules, tls=tls) as server:
        addresses = ExchangeSettings(**server.addresses())
        venues = msgspec.structs.replace(VenueSettings(), **{venue.name: addresses})
        settings = Settings(produce=produce, venues=venues)
        kept = KeptRows()
        run = LiveRun(settings, connector(settings), kept, choice or Choice())
        stop = asyncio.Event()
        running = asyncio.create_task(run.run(stop))
        ready = asyncio.create_task(run.ready.wait())
        try:
            await asyncio.wait({ready, running}, timeout=PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                running.result()
            yield Played(server, kept, run)
        finally:
            ready.cancel()
            stop.set()
            await asyncio.wait_for(running, 5.0)
