"""Upbit, Coinbase and Kraken: who is followed, clocks that are off, recorded sessions."""

from pathlib import Path

from producers.base.tape import Tape
from producers.base.universe import Choice, Rule
from producers.recordings import open_recording
from producers.simulators.faults import FaultKind, FaultPlan
from tapewatch.clock import NANOS
from tapewatch.contract.rows import Rows, RowType, StatusKind
from tests.integration.coin_scenes import Scene, Venue, every_venue, play


@every_venue
def test_venue_clock_that_is_off_is_kept_in_event_times_and_estimated(venue: Venue) -> None:
    plan = FaultPlan()
    plan.now(FaultKind.CLOCK_SKEW, seconds=5.0)

    async def scene(made: Scene) -> None:
        await made.run.until(lambda: plan.injected[FaultKind.CLOCK_SKEW] == 1, "skew")

        def ahead() -> int:
            """How far a trade's time is ahead of its receipt at most: a busy machine receives some of them late, ns."""
            trades = made.kept.of(RowType.TRADE, made.first)
            return max((int(trade["ts_event"]) - int(trade["ts_recv"]) for trade in trades), default=0)

        await made.run.until(lambda: ahead() > 4 * NANOS, "a trade by the venue's clock")
        assert ahead() < 6 * NANOS
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
