"""Scenes that Upbit's, Coinbase's and Kraken's connectors play against their venues on loopback."""

import argparse
import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from producers.simulators.coinbase import CoinbaseVenue
from producers.simulators.coins import CoinVenue
from producers.simulators.kraken import KrakenVenue
from producers.simulators.upbit import ID_STEP, UpbitVenue
from producers.venues.coinbase.source import coinbase
from producers.venues.kraken.source import kraken
from producers.venues.spoken import SubscriptionConnector
from producers.venues.upbit.source import upbit
from tapewatch.contract.rows import RowType, StatusKind
from tapewatch.settings import Settings
from tests.integration.live_run import PATIENCE_S, SimulatedRun, played


@dataclass(frozen=True)
class Venue:
    """A venue under test. ids : steps between consecutive trades; counts : whether a lost message shows by itself"""

    name: str
    make: type[CoinVenue]
    source: Callable[[Settings, argparse.Namespace], SubscriptionConnector]
    symbols: tuple[str, ...]
    ids: int = 1
    counts: bool = True

    def connector(self, settings: Settings) -> SubscriptionConnector:
        return self.source(settings, argparse.Namespace())

    def instrument(self, symbol: str) -> str:
        return f"{symbol.replace('/', '-')}.{self.name.upper()}"

    def simulated(self, rate: float = 800.0) -> CoinVenue:
        return self.make(self.symbols, seed=3, rate=rate, beat_s=0.1)


VENUES = (
    Venue("upbit", UpbitVenue, upbit, ("KRW-BTC", "KRW-ETH", "KRW-XRP"), ids=ID_STEP, counts=False),
    Venue("coinbase", CoinbaseVenue, coinbase, ("BTC-USD", "ETH-USD", "SOL-EUR")),
    Venue("kraken", KrakenVenue, kraken, ("BTC/USD", "ETH/USD", "DOGE/EUR")),
)
every_venue = pytest.mark.parametrize("venue", VENUES, ids=[venue.name for venue in VENUES])
counting = pytest.mark.parametrize("venue", VENUES[1:], ids=[venue.name for venue in VENUES[1:]])


class Scene:
    """A run against a venue, and what a test wants to know of it."""

    def __init__(self, venue: Venue, simulated: CoinVenue, run: SimulatedRun) -> None:
        self.venue, self.simulated, self.run, self.kept, self.plan = venue, simulated, run, run.kept, run.plan
        self.first = venue.instrument(venue.symbols[0])

    async def some(self, rows: int = 150) -> None:
        """Let rows come."""
        wanted = self.kept.count + rows
        await self.run.until(lambda: self.kept.count >= wanted, "rows")

    async def settled(self) -> None:
        """Every book becomes the venue's, and every gap is closed, once the venue has calmed down."""
        self.simulated.rate = 0.0
        symbols = [name for name in self.venue.symbols if self.simulated.market.books[name].listed]

        def in_step() -> bool:
            return self.closed() and all(
                self.kept.book(self.venue.instrument(name)) == self.simulated.book(name) for name in symbols
            )

        async with asyncio.timeout(PATIENCE_S):
            while True:
                if self.run.run.station.links[0].is_up:
                    self.simulated.stir()
                for _ in range(20):
                    await asyncio.sleep(0.01)
                    if in_step():
                        return

    def closed(self) -> bool:
        """Whether no gap is open."""
        open_gaps: dict[str, bool] = {}
        for name, kind, _ in self.kept.all_statuses():
            if kind in (StatusKind.GAP, StatusKind.RESYNC):
                open_gaps[name] = kind is StatusKind.GAP
        return not any(open_gaps.values())

    def kinds(self, instrument: str = "") -> list[StatusKind]:
        """Kinds of the status rows of an instrument, the first where none is named."""
        return [kind for kind, _ in self.kept.statuses(instrument or self.first)]

    def trade_ids(self, symbol: str) -> list[int]:
        """Ids of the trades that came, in the simulator's count."""
        rows = self.kept.of(RowType.TRADE, self.venue.instrument(symbol))
        return [int(row["trade_id"]) // self.venue.ids for row in rows]

    async def no_trade_is_missing(self) -> None:
        """From the first one that came to the last one that happened, each trade is there once."""
        for name in self.venue.symbols:
            last = self.simulated.market.books[name].trade_id

            def complete(name: str = name, last: int = last) -> bool:
                ids = self.trade_ids(name)
                return sorted(ids) == list(range(min(ids), last + 1)) if ids else False

            def told(name: str = name, last: int = last) -> str:
                ids = Counter(self.trade_ids(name))
                twice = sorted(each for each, count in ids.items() if count > 1)
                lacking = sorted(set(range(min(ids, default=last), last + 1)) - ids.keys())
                return f"up to {last}, lacking {lacking[:9]}, twice {twice[:9]}; {self.kept.all_statuses()[-9:]}"

            await self.run.until(complete, f"trades of {name}", told)

    def accounted(self) -> bool:
        """Every item of every message ended somewhere."""
        counted = self.run.run.station.collector
        given = self.run.run._connector.decoder.given  # type: ignore[attr-defined]
        return bool(counted.messages.total() == given.total() + counted.dropped.total() + counted.refused.total())


def play(venue: Venue, scene: Callable[[Scene], Awaitable[None]], rate: float = 800.0, **options: object) -> None:
    """Play a scene against a venue."""

    async def whole() -> None:
        simulated = venue.simulated(rate)
        async with played(simulated, venue.connector, **options) as run:  # type: ignore[arg-type]
            made = Scene(venue, simulated, run)
            await scene(made)
            assert made.accounted()

    asyncio.run(whole())
