"""Upbit, Coinbase and Kraken: each connector against its venue on loopback, and every fault that applies."""

import asyncio
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from producers.base.runner import LiveRun
from producers.base.universe import Choice
from producers.commands.live import pointed_at
from producers.simulators.connection import Connection
from producers.simulators.faults import BODY_FAULTS, REFUSAL_FAULTS, FaultKind, FaultPlan
from producers.simulators.server import SimulatorServer
from producers.venues.kraken.language import KrakenProtocol
from tapewatch.contract.rows import Condition, RowType, StatusKind
from tapewatch.settings import Settings
from tests.eventually import eventually_async
from tests.integration.coin_scenes import VENUES, Scene, Venue, counting, every_venue, play
from tests.integration.live_run import PATIENCE_S, QUICK, RowCollector


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
        # Three of one symbol: a single change may be made good by the next one before anybody could have seen it.
        made.plan.now(fault, count=3, match=venue.symbols[0] + channels.get(venue.name, {}).get(stream, stream))
        await made.run.until(lambda: made.plan.pending() == 0, "fault")
        await made.some()
        await made.settled()
        gaps = [row for row in made.kept.all_statuses() if row[1] is StatusKind.GAP]
        if fault is FaultKind.DUPLICATE or not venue.counts:
            assert gaps == []
        else:
            assert gaps
        if venue.counts or fault is not FaultKind.GAP or stream != "@trade":
            await made.no_trade_is_missing()

    # A machine that stands still for a second is no silence here.
    play(venue, scene, produce=msgspec.structs.replace(QUICK, stale_s=10.0))


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
            run = LiveRun(settings, connector, RowCollector(), Choice())
            stop = asyncio.Event()
            running = asyncio.create_task(run.run(stop))
            await eventually_async(lambda: run.station.failures["tls"], what="the handshake fails")
            assert not run.ready.is_set() and server.opened == 0
            stop.set()
            await running

    asyncio.run(scene())


@pytest.mark.parametrize("venue", VENUES[::2], ids=[venue.name for venue in VENUES[::2]])
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

    # Side by side longer than a loaded machine takes to answer a subscription.
    produce = msgspec.structs.replace(QUICK, link_max_age_s=1.0, overlap_s=1.0)
    # Few enough that a loaded machine reads them as they come: what the old side has not read at its end is a gap.
    play(venue, scene, rate=100.0, produce=produce)


class Renewal:
    """Watches a connection's renewal. old, new : the venue's ends, oldest first"""

    def __init__(self, made: Scene) -> None:
        self._made, self._taken = made, 0
        self.old, self.new = list(made.simulated.connections), list[Connection]()
        self._opened = made.simulated.opened
        decoder: Any = made.run.run._connector.decoder
        self._take = decoder.message
        # The connection that stands reads with what it found when it began.
        decoder.message = self._read
        made.simulated.opened = self._open  # type: ignore[method-assign]

    async def begun(self) -> None:
        """A second connection brings more than its snapshots."""
        await self._made.run.until(lambda: self._taken > 100, "a second connection")

    async def _open(self, connection: Connection) -> None:
        await self._opened(connection)
        self.new.append(connection)

    def _read(self, data: bytes | str, received: int) -> None:
        self._take(data, received)
        self._taken += 1


RENEWED = msgspec.structs.replace(QUICK, link_max_age_s=3.0, overlap_s=PATIENCE_S)
"""A first renewal soon, that goes on as long as a test wants."""


@every_venue
def test_renewal_that_breaks_after_its_snapshots_leaves_true_books(venue: Venue) -> None:
    async def scene(made: Scene) -> None:
        await made.some(1)
        renewal = Renewal(made)
        await renewal.begun()
        await renewal.new[0].close(1001, "gone")
        await made.run.until(lambda: len(renewal.new) > 1, "a third one")
        await made.settled()
        await made.no_trade_is_missing()
        lost = made.run.run.station.links[0].losses > 0
        assert lost == (venue.name == "coinbase"), "its books belonged to the connection that broke"

    play(venue, scene, rate=100.0, produce=RENEWED)


@every_venue
def test_old_connection_that_breaks_while_it_is_renewed_is_a_gap(venue: Venue) -> None:
    async def scene(made: Scene) -> None:
        await made.some(1)
        renewal = Renewal(made)
        await renewal.begun()
        assert made.kept.all_statuses() == []
        await renewal.old[0].close(1001, "gone")
        await made.run.until(lambda: StatusKind.RESYNC in made.kinds(), "resync")
        await made.settled()
        await made.no_trade_is_missing()
        assert made.kinds()[:2] == [StatusKind.GAP, StatusKind.RESYNC]

    play(venue, scene, rate=100.0, produce=RENEWED)


@pytest.mark.parametrize("venue", VENUES[::2], ids=[venue.name for venue in VENUES[::2]])
def test_symbols_that_join_during_a_renewal_come_by_the_connection_that_is_left(venue: Venue) -> None:
    async def scene(made: Scene) -> None:
        await made.some(1)
        renewal = Renewal(made)
        await renewal.begun()
        made.run.run.universe.choice = Choice()
        await made.run.run.look()
        third = venue.instrument(venue.symbols[2])
        await made.run.until(lambda: made.kept.of(RowType.BOOK, third) != [], "third book")
        await made.settled()
        await renewal.new[0].close(1001, "gone")
        before = len(made.kept.of(RowType.BOOK, third))
        made.simulated.rate = 100.0
        await made.run.until(lambda: len(made.kept.of(RowType.BOOK, third)) > before, "third book's later states")
        await made.settled()
        assert len(renewal.new) == 1

    produce = msgspec.structs.replace(RENEWED, backoff_first_s=1000.0, backoff_cap_s=1000.0)
    play(venue, scene, rate=100.0, produce=produce, choice=Choice(top=2))


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


SLOW = msgspec.structs.replace(QUICK, stale_s=0.5)


@pytest.fixture
def slow_venue(monkeypatch: pytest.MonkeyPatch) -> Venue:
    """Two messages a second, and four of a subscription: longer than until a book is asked for again."""
    monkeypatch.setattr(KrakenProtocol, "limits", replace(KrakenProtocol.limits, messages=(2.0, 1.0)))
    return next(one for one in VENUES if one.name == "kraken")


def test_books_asked_for_while_a_connection_subscribes_do_not_hold_it_up(slow_venue: Venue) -> None:
    async def scene(made: Scene) -> None:
        await made.some()
        made.plan.now(FaultKind.DISCONNECT)
        await made.run.until(lambda: StatusKind.RESYNC in made.kinds(), "resync")
        await made.settled()
        assert made.run.server.opened == 2

    play(slow_venue, scene, produce=SLOW)


def test_symbols_that_join_while_a_connection_subscribes_come_by_the_next(slow_venue: Venue) -> None:
    async def scene(made: Scene) -> None:
        await made.some(1)
        link = made.run.run.station.links[0]
        made.plan.now(FaultKind.DISCONNECT)
        await made.run.until(lambda: link.connections == 2 and not link.is_up, "a connection that subscribes")
        made.run.run.universe.choice = Choice()
        await made.run.run.look()
        third = slow_venue.instrument(slow_venue.symbols[2])
        await made.run.until(lambda: made.kept.of(RowType.BOOK, third) != [], "third book")
        await made.settled()
        assert link.connections == 3

    play(slow_venue, scene, produce=SLOW, choice=Choice(top=2))
