"""Upbit, Coinbase and Kraken: each connector against its venue on loopback, and every fault that applies."""

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from producers.base.runner import LiveRun
from producers.base.tape import Tape
from producers.base.universe import Choice, Rule
from producers.commands.live import pointed_at
from producers.recordings import open_recording
from producers.simulators.coinbase import CoinbaseVenue
from producers.simulators.coins import CoinVenue
from producers.simulators.faults import BODY_FAULTS, REFUSAL_FAULTS, FaultKind, FaultPlan
from producers.simulators.kraken import KrakenVenue
from producers.simulators.server import SimulatorServer
from producers.simulators.upbit import ID_STEP, UpbitVenue
from producers.venues.coinbase.source import coinbase
from producers.venues.kraken.source import kraken
from producers.venues.spoken import SpokenConnector
from producers.venues.upbit.source import upbit
from tapewatch.rows import Condition, Rows, RowType, StatusKind
from tapewatch.settings import Settings
from tests.integration.live_run import QUICK, KeptRows, Played, played


@dataclass(frozen=True)
class Venue:
    """A venue under test. ids : steps between consecutive trades; counts : whether a lost message shows by itself"""

    name: str
    make: type[CoinVenue]
    source: Callable[[Settings, argparse.Namespace], SpokenConnector]
    symbols: tuple[str, ...]
    ids: int = 1
    counts: bool = True

    def connector(self, settings: Settings) -> SpokenConnector:
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

    def __init__(self, venue: Venue, simulated: CoinVenue, run: Played) -> None:
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
            self.simulated.stir() if self.run.run.station.links[0].is_up else None
            return self.closed() and all(
                self.kept.book(self.venue.instrument(name)) == self.simulated.book(name) for name in symbols
            )

        async with asyncio.timeout(20.0):
            while not in_step():
                for _ in range(20):
                    await asyncio.sleep(0.01)
                    if self.closed() and all(
                        self.kept.book(self.venue.instrument(name)) == self.simulated.book(name) for name in symbols
                    ):
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

            await self.run.until(complete, f"trades of {name}")

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


@every_venue
def test_books_trades_and_quotes_are_the_venues(venue: Venue) -> None:
    async def scene(made: Scene) -> None:
        await made.some(400)
        await made.settled()
        await made.no_trade_is_missing()
        assert sorted(made.kept.instruments) == sorted(map(venue.instrument, venue.symbols))
        for name in venue.symbols:
            quote = made.kept.of(RowType.QUOTE, venue.instrument(name))[-1]
            bids, asks = made.simulated.book(name)
            assert (quote["bid_price"], quote["bid_qty"]) == bids[0]
            assert (quote["ask_price"], quote["ask_qty"]) == asks[0]
            conditions = {int(row["condition"]) for row in made.kept.of(RowType.TRADE, venue.instrument(name))}
            assert conditions == {int(Condition.REGULAR)}
        assert made.kept.all_statuses() == [] and made.kept.refused == []

    play(venue, scene)


@every_venue
@pytest.mark.parametrize(
    "fault", [FaultKind.DISCONNECT, FaultKind.SILENCE, FaultKind.AGE_CUT, FaultKind.MAINTENANCE], ids=str
)
def test_broken_connection_is_a_gap_and_what_the_venue_keeps_is_fetched_again(venue: Venue, fault: FaultKind) -> None:
    async def scene(made: Scene) -> None:
        await made.some()
        made.plan.now(fault)
        await made.run.until(lambda: StatusKind.RESYNC in made.kinds(), "resync")
        await made.settled()
        await made.no_trade_is_missing()
        kinds = [kind for kind in made.kinds() if kind in (StatusKind.GAP, StatusKind.RESYNC)]
        assert kinds == [StatusKind.GAP, StatusKind.RESYNC] * (len(kinds) // 2)
        if fault is FaultKind.MAINTENANCE:
            assert StatusKind.HALT in made.kinds()

    play(venue, scene)


@every_venue
@pytest.mark.parametrize("fault", [FaultKind.GAP, FaultKind.REORDERED, FaultKind.DUPLICATE], ids=str)
@pytest.mark.parametrize("stream", ["@orderbook", "@trade"], ids=["book", "trade"])
def test_lost_late_and_repeated_messages_leave_true_books(venue: Venue, fault: FaultKind, stream: str) -> None:
    channels = {"coinbase": {"@orderbook": "@level2", "@trade": "@market_trades"}, "kraken": {"@orderbook": "@book"}}

    async def scene(made: Scene) -> None:
        await made.some()
        made.plan.now(fault, match=channels.get(venue.name, {}).get(stream, stream))
        await made.run.until(lambda: made.plan.pending() == 0, "fault")
        await made.some()
        await made.settled()
        gaps = [row for row in made.kept.all_statuses() if row[1] is StatusKind.GAP]
        if fault is FaultKind.DUPLICATE or not venue.counts:
            assert gaps == []
        elif stream == "@trade" or venue.name == "coinbase":
            assert gaps
        if venue.counts or fault is not FaultKind.GAP or stream != "@trade":
            await made.no_trade_is_missing()

    play(venue, scene)


@every_venue
def test_web_service_that_fails_is_asked_until_it_answers(venue: Venue) -> None:
    faults = [*sorted(REFUSAL_FAULTS), *sorted(BODY_FAULTS, reverse=True)]
    plan = FaultPlan()
    for fault in faults:
        plan.now(fault, seconds=0.2)

    async def scene(made: Scene) -> None:
        await made.some()
        assert [plan.injected[fault] for fault in faults] == [1] * len(faults)
        plan.now(FaultKind.HTML)
        plan.now(FaultKind.TRUNCATED_GZIP)
        plan.now(FaultKind.DISCONNECT)
        await made.run.until(lambda: StatusKind.RESYNC in made.kinds(), "resync")
        await made.settled()
        await made.no_trade_is_missing()

    play(venue, scene, plan=plan)


def test_certificate_that_nobody_signed_is_not_trusted() -> None:
    async def scene() -> None:
        async with SimulatorServer(VENUES[0].simulated(), tls=True) as server:
            settings = pointed_at(Settings(produce=QUICK), "upbit", server.addresses())
            connector = VENUES[0].connector(settings)
            run = LiveRun(settings, connector, KeptRows(), Choice())
            stop = asyncio.Event()
            running = asyncio.create_task(run.run(stop))
            while not run.station.failures["tls"]:
                await asyncio.sleep(0.01)
            assert not run.ready.is_set() and server.opened == 0
            stop.set()
            await running

    asyncio.run(scene())


@every_venue
def test_old_snapshot_does_not_last(venue: Venue) -> None:
    async def scene(made: Scene) -> None:
        await made.some()
        made.plan.now(FaultKind.OLD_SNAPSHOT, match=venue.symbols[0])
        made.plan.now(FaultKind.DISCONNECT)
        await made.run.until(lambda: StatusKind.RESYNC in made.kinds(), "resync")
        await made.some()
        await made.settled()

    play(venue, scene)


@every_venue
def test_connection_is_renewed_without_a_hole(venue: Venue) -> None:
    async def scene(made: Scene) -> None:
        await made.run.until(lambda: made.run.run.station.links[0].connections >= 3, "renewals")
        await made.settled()
        await made.no_trade_is_missing()
        assert made.kept.all_statuses() == []
        assert made.run.run.station.links[0].losses == 0

    produce = msgspec.structs.replace(QUICK, link_max_age_s=0.5, overlap_s=0.2)
    play(venue, scene, produce=produce)


@every_venue
def test_venue_clock_that_is_off_is_kept_in_event_times_and_estimated(venue: Venue) -> None:
    plan = FaultPlan()
    plan.now(FaultKind.CLOCK_SKEW, seconds=5.0)

    async def scene(made: Scene) -> None:
        await made.run.until(lambda: plan.injected[FaultKind.CLOCK_SKEW] == 1, "skew")
        await made.some()
        trade = made.kept.of(RowType.TRADE, made.first)[-1]
        assert 4.0e9 < int(trade["ts_event"]) - int(trade["ts_recv"]) < 6.0e9
        await made.settled()

    play(venue, scene, plan=plan)


@every_venue
def test_delisted_instrument_is_halted_and_followed_no_longer(venue: Venue) -> None:
    async def scene(made: Scene) -> None:
        await made.some()
        made.plan.now(FaultKind.DELISTED, match=venue.symbols[0])
        await made.run.until(lambda: StatusKind.HALT in made.kinds(), "halt")
        await made.run.run.look()
        assert [one.symbol for one in made.run.run.listings] == list(venue.symbols[1:])
        await made.run.until(lambda: made.kinds()[-1] is StatusKind.CLOSE, "close")
        await made.some()
        await made.settled()

    play(venue, scene)


@counting
def test_hole_of_trades_names_the_ids(venue: Venue) -> None:
    async def scene(made: Scene) -> None:
        await made.some()
        made.simulated.rate = 0.0
        match = "@market_trades" if venue.name == "coinbase" else "@trade"
        made.plan.now(FaultKind.GAP, match=f"{venue.symbols[0]}{match}")
        book = made.simulated.market.books[venue.symbols[0]]
        await made.run.until(lambda: made.trade_ids(venue.symbols[0])[-1:] == [book.trade_id], "quiet")
        for _ in range(2):
            made.simulated.traded(book, book.trade(made.run.server.now()))
        await made.run.until(lambda: made.kinds()[-1:] == [StatusKind.RESYNC], "resync")
        await made.no_trade_is_missing()
        reasons = [detail for kind, detail in made.kept.statuses(made.first) if kind is StatusKind.GAP]
        assert reasons == [
            "1 messages missing"
            if venue.name == "coinbase"
            else f"trades {book.trade_id - 1} to {book.trade_id - 1} missing"
        ]
        late = [row for row in made.kept.of(RowType.TRADE, made.first) if int(row["condition"]) == Condition.LATE]
        assert [int(row["trade_id"]) for row in late][:1] == [book.trade_id - 1]

    play(venue, scene)


@every_venue
def test_most_traded_are_chosen_and_later_ones_join_without_a_restart(venue: Venue) -> None:
    async def scene(made: Scene) -> None:
        assert [one.symbol for one in made.run.run.listings] == list(venue.symbols[:2])
        await made.some()
        made.run.run.universe.choice = Choice()
        await made.run.run.look()
        third = venue.instrument(venue.symbols[2])
        await made.run.until(lambda: made.kept.of(RowType.BOOK, third) != [], "third book")
        assert made.run.run.station.links[0].losses == 0
        await made.settled()

    play(venue, scene, choice=Choice(top=2))


@every_venue
def test_rule_chooses_by_quote_asset(venue: Venue) -> None:
    quote = {"upbit": "KRW", "coinbase": "EUR", "kraken": "EUR"}[venue.name]

    async def scene(made: Scene) -> None:
        expected = list(venue.symbols) if venue.name == "upbit" else [venue.symbols[2]]
        assert [one.symbol for one in made.run.run.listings] == expected
        await made.some(20)

    play(venue, scene, choice=Choice(rules=(Rule.parse(f"quote={quote}"),)))


def table(parts: list[Rows], kind: RowType) -> list[tuple[object, ...]]:
    """The rows of one type in the order in which they came, instruments by name."""
    found: list[tuple[object, ...]] = []
    for rows in parts:
        if rows.type is kind:
            columns = [
                [str(value) for value in column] for name, column in rows.columns.items() if name != "instrument"
            ]
            names = [rows.instruments[code] for code in rows.columns["instrument"]]
            found += list(zip(names, *columns, strict=True))
    return found


@every_venue
def test_recorded_session_with_faults_replays_as_its_own_rows(venue: Venue, tmp_path: Path) -> None:
    path = tmp_path / f"{venue.name}.tape.gz"
    kept: list[Rows] = []

    async def scene(made: Scene) -> None:
        await made.some()
        made.plan.now(FaultKind.GAP, count=3)
        made.plan.now(FaultKind.DUPLICATE, count=3)
        await made.some()
        made.plan.now(FaultKind.DISCONNECT)
        await made.run.until(lambda: StatusKind.RESYNC in made.kinds(), "resync")
        await made.settled()
        kept.extend(made.kept.parts)

    tape = Tape(path, venue.name)
    play(venue, scene, tape=tape)
    tape.close()
    replayed = [rows for chunk in open_recording([path]).chunks() for rows in chunk.rows]
    for kind in (RowType.TRADE, RowType.QUOTE, RowType.BOOK, RowType.STATUS):
        live = table(kept, kind)
        # Rows of the last flushes came after the scene had looked.
        assert live and table(replayed, kind)[: len(live)] == live
