"""A live connector against a simulated venue in one event loop, without Kafka: what fault tests stand on."""

import asyncio
import contextlib
from argparse import Namespace
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from producers.base.outlet import MemoryOutlet
from producers.base.runner import LiveRun, LiveSummary
from producers.base.universe import Choice
from producers.commands.live import pointed_at
from producers.simulators.binance import BinanceVenue
from producers.simulators.faults import FaultPlan
from producers.simulators.server import ConnectionRules, SimulatorServer
from producers.sources import SOURCES
from tapewatch.contract.rows import Rows, RowType, StatusKind
from tapewatch.settings import Settings
from tests.eventually import eventually_async

SOURCE_OF = {"binance": "binance", "binance_usdm": "binance-usdm", "binance_coinm": "binance-coinm"}
PATIENCE_S = 60.0


def hasty(**more: float) -> Settings:
    """Settings whose waits are short."""
    usual: dict[str, Any] = {
        "flush_ms": 2.0,
        "backoff_first_s": 0.02,
        "backoff_cap_s": 0.1,
        "request_timeout_s": 1.0,
        "ping_s": 0.1,
        "stale_s": 0.5,
        "overlap_s": 0.2,
    }
    produce = msgspec.structs.replace(Settings().produce, **(usual | more))
    return msgspec.structs.replace(Settings(), produce=produce)


async def until(condition: Callable[[], bool], what: str) -> None:
    """Wait until something holds."""
    await eventually_async(condition, what=what, seconds=PATIENCE_S, pause=0.005)


@dataclass
class BinanceScene:
    """A run under way. `rest` and the properties after it read what the outlet was given."""

    venue: BinanceVenue
    server: SimulatorServer
    run: LiveRun
    connector: Any
    outlet: MemoryOutlet
    stop: asyncio.Event
    task: "asyncio.Task[LiveSummary]"

    @property
    def plan(self) -> FaultPlan:
        return self.server.plan

    @property
    def markets(self) -> dict[str, Any]:
        found: dict[str, Any] = self.connector.decoder.markets
        return found

    def in_step(self) -> bool:
        """Every book rebuilt and no trade id missing."""
        return all(one.book.in_step and not one.ids.missing for one in self.markets.values())

    async def injected(self, kind: str, count: int = 1, **more: Any) -> None:
        """Let a fault happen, and wait until it did."""
        before = self.plan.injected[kind]  # type: ignore[index]
        self.plan.now(kind, count=count, **more)
        await until(lambda: self.plan.injected[kind] >= before + count, kind)  # type: ignore[index]

    async def recovered(self, gaps: int = 1) -> None:
        """Wait for gap rows, and until all is in step again."""
        await until(lambda: len(self.statuses(StatusKind.GAP)) >= gaps, "gap rows")
        await until(self.in_step, "books and ids in step")

    async def settled(self) -> None:
        """Stop the market, tell all its changes, wait until the books hold them, and compare them with the true."""
        await until(self.in_step, "books and ids in step")
        # What was missed of the trades shows with the next one.
        streams = {
            name: one for name, one in self.venue.streams.streams.items() if name.endswith(("@trade", "@aggTrade"))
        }
        made = {name.partition("@")[0].upper(): one.last_id for name, one in streams.items()}
        for name, market in self.markets.items():
            await until(lambda: market.ids.last > made[name], f"a trade of {name} after {made[name]}")  # noqa: B023
        await until(self.in_step, "books and ids in step")
        # Calmer than before: a machine that has much else to do must come to the end of what is on its way.
        rate = min(self.venue.rate, 300.0)

        async def is_complete() -> bool:
            if await self._still():
                return True
            # A connection that broke just now, as on a machine with much to do, is in step with what happens next.
            self.venue.rate = rate
            return False

        await eventually_async(is_complete, what="the last of the books and trades", seconds=2 * PATIENCE_S, pause=0.1)
        for name, market in self.markets.items():
            bids, asks = self.venue.market.books[name].floats()
            assert market.book.bids.highest(len(bids) + 10) == bids
            assert market.book.asks.lowest(len(asks) + 10) == asks

    async def _still(self) -> bool:
        """Stop the market and tell all its changes; whether all of it is here before long."""
        self.venue.rate = 0.0
        await asyncio.sleep(0.05)
        self.venue.settle()
        for _ in range(600):
            if self._holds_all():
                return True
            await asyncio.sleep(0.005)
        return False

    def _holds_all(self) -> bool:
        """Whether every book stands where the venue's does, and the outlet has every row."""
        true = self.venue.market.books
        return (
            self.in_step()
            and all(one.book.last_id == true[name].last_id for name, one in self.markets.items())
            and all(self.markets[symbol].ids.last >= stream.last_id for symbol, stream in self.trade_streams())
            and not self.connector.decoder.collector.waiting
        )

    def trade_streams(self) -> list[tuple[str, Any]]:
        """The venue's streams of trades of the markets followed, each with its symbol, as far as it sent any."""
        found = []
        for stream in self.venue.streams.streams.values():
            symbol, _, kind = stream.name.partition("@")
            if kind in ("trade", "aggTrade") and symbol.upper() in self.markets and stream.made:
                found.append((symbol.upper(), stream))
        return found

    async def end(self) -> LiveSummary:
        """Stop the run."""
        self.stop.set()
        return await self.task

    def rows(self, kind: RowType) -> list[dict[str, Any]]:
        """All rows of a type, each as a dictionary; instrument is its id."""
        return [row for rows in self.outlet.rows if rows.type is kind for row in _each(rows)]

    def statuses(self, kind: StatusKind) -> list[str]:
        """Details of the status rows of a kind, each after its instrument."""
        found = [row for row in self.rows(RowType.STATUS) if row["kind"] == kind]
        return [f"{row['instrument']} {row['detail']}" for row in found]

    def trade_ids(self, symbol: str) -> list[int]:
        """Ids of an instrument's trade rows, in the order in which they came."""
        market = self.markets[symbol]
        name = next(one.instrument.id for one in self.run.listings if one.symbol == symbol)
        assert market is not None
        return [int(row["trade_id"]) for row in self.rows(RowType.TRADE) if row["instrument"] == name]

    def check_trades(self) -> None:
        """Every trade that the venue made came exactly once, at once or late."""
        for symbol, stream in self.trade_streams():
            ids = self.trade_ids(symbol)
            assert len(ids) == len(set(ids)), "twice"
            assert sorted(ids) == list(range(stream.first_id, stream.last_id + 1)), stream.name


@contextlib.asynccontextmanager
async def binance_scene(
    plan: FaultPlan | None = None,
    *,
    dialect: str = "binance",
    symbols: tuple[str, ...] = ("BTCUSDT", "ETHUSDT", "XRPUSDT"),
    rate: float = 1_500.0,
    rules: ConnectionRules | None = None,
    settings: Settings | None = None,
    channels: str = "",
    choice: Choice | None = None,
    kept: int = 0,
) -> AsyncIterator[BinanceScene]:
    """A connector that is in step with a simulated Binance, until the block's end."""
    venue = BinanceVenue(symbols, dialect=dialect, seed=7, rate=rate, kept=kept)
    async with SimulatorServer(venue, plan, rules=rules) as server:
        source = SOURCES[SOURCE_OF[dialect]]
        pointed = pointed_at(settings or hasty(), dialect, server.addresses())
        connector = source.function(source.connect)(pointed, Namespace(channels=channels))
        outlet = MemoryOutlet()
        run = LiveRun(pointed, connector, outlet, choice or Choice())
        stop = asyncio.Event()
        task = asyncio.create_task(run.run(stop))
        scene = BinanceScene(venue, server, run, connector, outlet, stop, task)
        try:
            await until(lambda: run.ready.is_set() or task.done(), "the start")
            await until(lambda: task.done() or scene.in_step(), "the first books")
            yield scene
        finally:
            stop.set()
            await asyncio.wait({task}, timeout=PATIENCE_S)
            if not task.done():
                task.cancel()


def _each(rows: Rows) -> list[dict[str, Any]]:
    names = [rows.instruments[code] for code in rows.columns["instrument"]]
    columns = {name: column.tolist() for name, column in rows.columns.items()} | {"instrument": names}
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
