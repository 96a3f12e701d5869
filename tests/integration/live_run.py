"""A live producer against a simulated venue, without Kafka: rows are kept by type."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from producers.base.feed_session import Connector
from producers.base.outlet import MemoryOutlet
from producers.base.runner import LiveRun
from producers.base.tape import Tape
from producers.base.universe import Choice
from producers.commands.live import pointed_at
from producers.simulators.faults import FaultPlan
from producers.simulators.server import ConnectionRules, SimulatorServer, Venue
from tapewatch.contract.rows import Rows, RowType, StatusKind
from tapewatch.settings import Settings
from tapewatch.settings.venues import ProduceSettings
from tests.eventually import eventually_async

PATIENCE_S = 60.0
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


class RowCollector(MemoryOutlet):
    """Keeps rows by type and instrument. count : rows so far; parts : all of them as they came"""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.parts: list[Rows] = []
        self._found: defaultdict[tuple[RowType, str], list[dict[str, Any]]] = defaultdict(list)

    def write(self, rows: Sequence[Rows]) -> None:
        self.parts += rows
        for part in rows:
            self.count += len(part)
            names = [part.instruments[code] for code in part.columns["instrument"]]
            for index, name in enumerate(names):
                self._found[part.type, name].append({key: column[index] for key, column in part.columns.items()})

    def of(self, row_type: RowType, instrument: str) -> list[dict[str, Any]]:
        """The rows of an instrument so far."""
        return self._found[row_type, instrument]

    def all_statuses(self) -> list[tuple[str, StatusKind, str]]:
        """Instrument, kind and detail of every status row."""
        return [
            (name, StatusKind(row["kind"]), row["detail"])
            for (row_type, name), rows in self._found.items()
            if row_type is RowType.STATUS
            for row in rows
        ]

    def statuses(self, instrument: str) -> list[tuple[StatusKind, str]]:
        """Kind and detail of its status rows."""
        return [(StatusKind(row["kind"]), row["detail"]) for row in self.of(RowType.STATUS, instrument)]

    def book(self, instrument: str) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
        """The newest book, bids and asks, best first."""
        rows = self.of(RowType.BOOK, instrument)
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


class SimulatedRun:
    """A run that stands: venue and its server, what came out, and the run itself."""

    def __init__(self, server: SimulatorServer, kept: RowCollector, run: LiveRun) -> None:
        self.server, self.plan, self.kept, self.run = server, server.plan, kept, run

    async def until(self, condition: Callable[[], bool], what: str = "", told: Callable[[], str] = str) -> None:
        """Wait for it. told : more to say of a wait in vain"""
        await eventually_async(condition, what=what, seconds=PATIENCE_S, told=told)


@asynccontextmanager
async def played(
    venue: Venue,
    connector: Callable[[Settings], Connector],
    *,
    plan: FaultPlan | None = None,
    choice: Choice | None = None,
    rules: ConnectionRules | None = None,
    produce: ProduceSettings = QUICK,
    tape: Tape | None = None,
) -> AsyncIterator[SimulatedRun]:
    """Serve a venue and run a connector against it."""
    async with SimulatorServer(venue, plan, rules=rules) as server:
        settings = pointed_at(Settings(produce=produce), venue.name, server.addresses())
        kept = RowCollector()
        run = LiveRun(settings, connector(settings), kept, choice or Choice(), tape=tape)
        stop = asyncio.Event()
        running = asyncio.create_task(run.run(stop))
        ready = asyncio.create_task(run.ready.wait())
        try:
            await asyncio.wait({ready, running}, timeout=PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                running.result()
            yield SimulatedRun(server, kept, run)
        finally:
            ready.cancel()
            stop.set()
            await asyncio.wait_for(running, PATIENCE_S)
