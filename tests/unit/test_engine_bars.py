"""Minute bars: the engine's own, and what venues' own bars become."""

import numpy as np

from streams.driver import Driver, table
from tapewatch.clock import NANOS
from tapewatch.contract.rows import StatusKind
from tests.unit import engine_market as m
from tests.unit.engine_market import START, bar, heartbeats, in_order, quote, run, status, trade


def bars(driver: Driver, instrument: str = "A.SIMX") -> dict[int, tuple[float, ...]]:
    """Open, high, low, close, volume, trades by the minute's number from the market's start."""
    found = table(driver.outgoing(), "bars")
    if not found:
        return {}
    mine = found["instrument"] == instrument
    minutes = (found["ts"][mine] // NANOS - START) / 60 - 1
    assert np.all(minutes == minutes.round())
    assert np.all(found["interval_s"] == 60)
    columns = [found[name][mine].tolist() for name in ("open", "high", "low", "close", "volume", "trades")]
    return dict(zip(minutes.astype(int).tolist(), zip(*columns, strict=True), strict=True))


def test_whole_minutes_are_marked_as_sealed_behind_their_bars() -> None:
    driver = run(in_order([trade("A.SIMX", when, 100.0) for when in (5, 70)], heartbeats(130)))
    kinds = [dict(record.headers)["type"] for record in driver.collect()["bars"]]
    assert kinds.index(b"bars") < kinds.index(b"sealed-minutes")
    sealed = table(driver.collect()["bars"], "sealed-minutes")
    assert ((sealed["ts"] // NANOS - START) / 60).tolist() == [1.0, 2.0]
    assert set(sealed["instrument"]) == {"*"}


def test_bar_counts_buys_and_sells_by_aggressor_side() -> None:
    sides = [(5, 1), (6, 1), (7, -1), (8, 0), (61, -1)]
    driver = run(in_order([trade("A.SIMX", when, 100.0, 1.0, side) for when, side in sides], heartbeats(121)))
    found = table(driver.outgoing(), "bars")
    assert (found["buys"].tolist(), found["sells"].tolist()) == ([2.0, 0.0], [1.0, 1.0])


def test_bar_is_first_highest_lowest_and_last_trade_of_the_minute() -> None:
    prices = [(5, 100.0, 1.0), (20, 104.0, 2.0), (40, 97.0, 3.0), (59.9, 101.0, 4.0), (60, 500.0, 1.0)]
    driver = run(in_order([trade("A.SIMX", when, price, qty) for when, price, qty in prices], heartbeats(61)))
    assert bars(driver) == {0: (100.0, 104.0, 97.0, 101.0, 10.0, 4.0)}


def test_minute_without_trades_is_a_flat_bar_at_the_price() -> None:
    driver = run(in_order([trade("A.SIMX", 5, 100.0)], [quote("A.SIMX", 70, 101, 103)], heartbeats(181)))
    assert bars(driver) == {
        0: (100.0, 100.0, 100.0, 100.0, 1.0, 1.0),
        1: (102.0, 102.0, 102.0, 102.0, 0.0, 0.0),
        2: (102.0, 102.0, 102.0, 102.0, 0.0, 0.0),
    }


def test_only_regular_and_auction_trades_make_bars() -> None:
    trades = [trade("A.SIMX", 5, 100.0), trade("A.SIMX", 6, 110.0, condition=1), trade("A.SIMX", 7, 900.0, condition=2)]
    assert bars(run(in_order(trades, heartbeats(61))))[0] == (100.0, 110.0, 100.0, 110.0, 2.0, 2.0)


def test_venue_bar_gives_its_own_extremes_and_volume() -> None:
    rows = [bar("A.SIMX", 59, (100.0, 105.0, 95.0, 102.0), 70.0, 9)]
    assert bars(run(in_order(rows, heartbeats(61)))) == {0: (100.0, 105.0, 95.0, 102.0, 70.0, 9.0)}


def test_venue_bar_counts_in_the_second_in_which_it_came() -> None:
    rows = [bar("A.SIMX", 0.5, (100.0, 105.0, 95.0, 102.0), 70.0, 9)]
    driver = run(in_order(rows, heartbeats(1)))
    assert m.feature(driver, "A.SIMX", "volume_1s") == {0: 70.0}
    assert m.feature(driver, "A.SIMX", "trades_1s") == {0: 9.0}


def test_bar_of_a_minute_in_which_the_session_closed_ends_with_its_minute() -> None:
    rows = [trade("A.SIMX", 10, 100.0), status(StatusKind.CLOSE, 30, "A.SIMX"), trade("A.SIMX", 30.5, 101.0, 5.0)]
    rows += [status(StatusKind.OPEN, 300.5, "A.SIMX"), trade("A.SIMX", 301, 200.0)]
    found = bars(run(in_order(rows, heartbeats(361))))
    assert found == {0: (100.0, 101.0, 100.0, 101.0, 6.0, 2.0), 5: (200.0, 200.0, 200.0, 200.0, 1.0, 1.0)}


def test_bar_of_a_minute_in_which_the_feed_fell_silent_ends_with_its_minute() -> None:
    rows = [trade("A.SIMX", 10, 100.0), trade("A.SIMX", 310, 200.0)]
    found = bars(run(in_order(rows, heartbeats(20), heartbeats(361, since=310))))
    assert found == {0: (100.0, 100.0, 100.0, 100.0, 1.0, 1.0), 5: (200.0, 200.0, 200.0, 200.0, 1.0, 1.0)}


def test_silence_within_a_minute_leaves_one_bar() -> None:
    rows = [trade("A.SIMX", 10, 100.0), trade("A.SIMX", 40, 200.0)]
    found = bars(run(in_order(rows, heartbeats(20), heartbeats(61, since=40))))
    assert found == {0: (100.0, 200.0, 100.0, 200.0, 2.0, 2.0)}


def classic_scores(driver: Driver) -> list[float]:
    found = table(driver.outgoing(), "scores")
    return [float(raw) for raw, detector in zip(found["raw"], found["detector"], strict=True) if detector == 1]


def test_classic_pair_needs_two_minutes_with_volume_side_by_side() -> None:
    rows = [trade("A.SIMX", 60 * minute + 5, 100.0) for minute in (0, 1, 3, 4)]
    scores = classic_scores(run(in_order(rows, heartbeats(301))))
    assert [bool(np.isnan(score)) for score in scores] == [True, False, False, True, False]


def test_classic_pair_does_not_reach_over_a_silence() -> None:
    rows = [trade("A.SIMX", 60 * minute + 5, 100.0) for minute in (0, 1, 5, 6)]
    scores = classic_scores(run(in_order(rows, heartbeats(100), heartbeats(421, since=305))))
    assert [bool(np.isnan(score)) for score in scores] == [True, False, True, False]
