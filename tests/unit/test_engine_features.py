"""The engine's features against a plain reference, and what a second, a session, a halt and a silence do to them."""

import json
import math

import numpy as np
import pytest

from streams.driver import table
from streams.engine import features
from streams.engine.features import NAMES
from tapewatch.clock import NANOS
from tapewatch.contract import topics
from tapewatch.contract.rows import StatusKind
from tests.unit import engine_market as m
from tests.unit.engine_market import START, book, feature, heartbeats, in_order, quote, run, status, trade
from tests.unit.reference_features import Reference

INTERRUPTED = [
    status(StatusKind.GAP, 90.5, "TRADED.SIMX"),
    status(StatusKind.HALT, 1150.2, "BOOKS.SIMX"),
    status(StatusKind.RESUME, 1162.7, "BOOKS.SIMX"),
    status(StatusKind.CLOSE, 1170.1, "QUOTED.SIMX"),
    status(StatusKind.AUCTION, 1176.4, "QUOTED.SIMX"),
    status(StatusKind.OPEN, 1180.4, "QUOTED.SIMX"),
    status(StatusKind.HALT, 1200.1),
    status(StatusKind.RESUME, 1203.1),
]


@pytest.fixture(scope="module")
def both() -> tuple[dict[tuple[str, int], list[float]], dict[tuple[str, int], np.ndarray]]:
    """The rows of the reference and of the engine over 1,300 seconds with a silence, halts, an auction and a hole."""
    events = in_order(m.RandomMarket(seed=4, seconds=1300, silence=(150, 158)).events(), INTERRUPTED)
    wanted = Reference().run(events)
    found = table(run(events).outgoing(), "features")
    values = np.stack([found[name] for name in NAMES], axis=1)
    keys = zip(found["instrument"], (found["ts"] // NANOS - 1).tolist(), strict=True)
    return wanted, dict(zip(keys, values, strict=True))


@pytest.mark.slow
def test_engine_closes_the_same_seconds_as_the_reference(both) -> None:
    wanted, found = both
    assert set(found) == set(wanted)
    assert len(found) > 4_000


@pytest.mark.parametrize("name", NAMES)
def test_feature_equals_the_reference(both, name: str) -> None:
    wanted, found = both
    column = NAMES.index(name)
    truth = np.array([wanted[key][column] for key in found])
    mine = np.array([row[column] for row in found.values()], dtype=np.float64)
    assert np.isfinite(truth).sum() > 300, "the market must bring the feature to life"
    scale = np.nanmax(np.abs(truth))
    np.testing.assert_allclose(mine, truth, rtol=3e-5, atol=2e-6 * scale)


def test_idle_instrument_closes_its_second_on_heartbeat() -> None:
    driver = run(in_order([quote("IDLE.SIMX", 0.5, 99, 101)], heartbeats(5)))
    assert feature(driver, "IDLE.SIMX", "quote_rate_1s") == {0: 1.0, 1: 0.0, 2: 0.0, 3: 0.0, 4: 0.0}
    assert feature(driver, "IDLE.SIMX", "spread_bps")[4] == 200.0


def test_second_is_not_closed_before_the_log_says_so() -> None:
    driver = run([quote("A.SIMX", 0.5, 99, 101), quote("A.SIMX", 0.9, 99, 101)])
    assert feature(driver, "A.SIMX", "spread_bps") == {}


def test_silence_is_recorded_in_coverage_and_restarts_windows() -> None:
    quotes = [quote("A.SIMX", second, 99, 101) for second in (*range(20), *range(40, 60))]
    driver = run(quotes)
    returns = feature(driver, "A.SIMX", "ret_10s")
    assert set(returns) == {*range(20), *range(40, 59)}
    assert [second for second in returns if not math.isnan(returns[second])] == [*range(10, 20), *range(50, 59)]
    (record,) = [json.loads(value) for value in m.messages_of(driver.outgoing(), topics.COVERAGE)]
    assert (record["instrument"], record["reason"], record["seconds"]) == ("*", "silent", 20)


def test_pause_of_five_seconds_is_no_silence() -> None:
    driver = run([quote("A.SIMX", second, 99, 101) for second in (0, 6, 12)])
    assert len(feature(driver, "A.SIMX", "spread_bps")) == 12
    assert m.messages_of(driver.outgoing(), topics.COVERAGE) == []


def test_coverage_of_a_silence_does_not_depend_on_when_it_is_written() -> None:
    """An instrument that is first met after a silence was not part of it, whatever the batch."""
    events = [quote("A.SIMX", 0, 99, 101), quote("A.SIMX", 20, 99, 101), quote("B.SIMX", 21, 99, 101)]
    written = []
    for at_once in (True, False):
        driver = m.new_driver(["A.SIMX", "B.SIMX"])
        for event in events:
            m.send(driver, [event], [event.instrument])
            if not at_once:
                driver.outgoing()
        written.append(m.messages_of(driver.outgoing(), topics.COVERAGE))
    assert written[0] == written[1]


def test_sealed_second_never_changes() -> None:
    driver = m.new_driver(["A.SIMX"])
    names = ["*", "A.SIMX"]
    m.send(driver, [quote("A.SIMX", 0, 99, 101), quote("A.SIMX", 1, 99, 101)], names)
    first = feature(driver, "A.SIMX", "spread_bps")
    m.send(driver, [quote("A.SIMX", 0.5, 80, 120)], names)
    m.send(driver, [quote("A.SIMX", 2, 99, 101)], names)
    assert first == {0: 200.0}
    assert feature(driver, "A.SIMX", "spread_bps") == {0: 200.0, 1: 200.0}


def test_late_row_is_refused_and_its_frame_used() -> None:
    driver = m.new_driver(["A.SIMX"])
    rows = [quote("A.SIMX", 5, 99, 101), quote("A.SIMX", 4.9, 80, 120), quote("A.SIMX", 6, 98, 102)]
    m.send(driver, rows, ["A.SIMX"])
    assert dict(driver.task.tally.refused) == {"late": 1}
    assert feature(driver, "A.SIMX", "quote_rate_1s") == {5: 1.0}
    (letter,) = driver.collect()["market.driver.dlq"]
    assert ("row", b"1") in letter.headers


def test_row_received_earlier_within_the_second_is_not_late() -> None:
    driver = run([quote("A.SIMX", 5.9, 99, 101), trade("A.SIMX", 5.1, 100.0), quote("A.SIMX", 6, 98, 102)])
    assert feature(driver, "A.SIMX", "trades_1s") == {5: 1.0}


def test_halted_instrument_closes_no_second_and_its_halt_is_in_coverage() -> None:
    events = [quote(name, second, 99, 101) for second in range(30) for name in ("A.SIMX", "B.SIMX")]
    halt, resume = status(StatusKind.HALT, 10.5, "A.SIMX"), status(StatusKind.RESUME, 20.5, "A.SIMX")
    driver = run(in_order(events, [halt, resume]))
    assert set(feature(driver, "A.SIMX", "ret_1s")) == {*range(10), *range(20, 29)}
    assert set(feature(driver, "B.SIMX", "ret_1s")) == set(range(29))
    assert math.isnan(feature(driver, "A.SIMX", "ret_1s")[20])
    (record,) = [json.loads(value) for value in m.messages_of(driver.outgoing(), topics.COVERAGE)]
    assert (record["instrument"], record["reason"], record["seconds"]) == ("A.SIMX", "halt", 10)


def test_instrument_first_met_in_a_halt_of_all_was_not_halted_before() -> None:
    driver = m.new_driver(["A.SIMX", "B.SIMX"])
    for event in in_order(
        [quote("A.SIMX", 0, 99, 101), status(StatusKind.HALT, 1), quote("B.SIMX", 5, 99, 101)],
        heartbeats(12),
        [status(StatusKind.RESUME, 10.5)],
    ):
        m.send(driver, [event], [event.instrument])
    records = [json.loads(value) for value in m.messages_of(driver.outgoing(), topics.COVERAGE)]
    assert {record["instrument"]: record["seconds"] for record in records} == {"A.SIMX": 9, "B.SIMX": 5}


def test_session_open_resets_vwap_and_extremes() -> None:
    events = [trade("A.SIMX", 0, 50.0), trade("A.SIMX", 1, 150.0), status(StatusKind.CLOSE, 3.5, "A.SIMX")]
    events += [status(StatusKind.OPEN, 10.2, "A.SIMX"), trade("A.SIMX", 10.5, 100.0), trade("A.SIMX", 11, 100.0)]
    driver = run(in_order(events, heartbeats(13)))
    assert feature(driver, "A.SIMX", "vwap_dev_bps")[1] == 5000.0
    for name in ("vwap_dev_bps", "high_dist_bps", "low_dist_bps"):
        assert feature(driver, "A.SIMX", name)[11] == 0.0


def test_auction_trade_counts_without_a_side() -> None:
    driver = run(in_order([quote("A.SIMX", 0, 99, 101), trade("A.SIMX", 0.5, 101.0, 3.0, 1, 1)], heartbeats(1)))
    assert feature(driver, "A.SIMX", "volume_1s")[0] == 3.0
    assert feature(driver, "A.SIMX", "signed_volume_1s")[0] == 0.0
    assert feature(driver, "A.SIMX", "rush_1s")[0] == 0.0


def test_off_book_trade_moves_neither_price_nor_volume() -> None:
    driver = run(in_order([trade("A.SIMX", 0.1, 100.0, 3.0), trade("A.SIMX", 0.5, 500.0, 9.0, 1, 2)], heartbeats(1)))
    assert feature(driver, "A.SIMX", "volume_1s")[0] == 3.0
    assert feature(driver, "A.SIMX", "vwap_dev_bps")[0] == 0.0


def test_first_quote_of_an_instrument_leans_neither_way() -> None:
    driver = run(in_order([quote("A.SIMX", 0.1, 99, 101)], heartbeats(1)))
    assert feature(driver, "A.SIMX", "ofi_1s")[0] == 0.0


def test_bid_that_steps_up_adds_its_whole_size() -> None:
    events = [quote("A.SIMX", 0.1, 99, 101, 5, 5), quote("A.SIMX", 1.1, 100, 101, 7, 5)]
    assert feature(run(in_order(events, heartbeats(2))), "A.SIMX", "ofi_1s")[1] == 7.0


def test_removed_depth_that_a_trade_explains_is_not_counted() -> None:
    bids, asks = [(99.0, 10.0), (98.0, 10.0)], [(101.0, 10.0), (102.0, 10.0)]
    events = [book("A.SIMX", 0.1, bids, asks), trade("A.SIMX", 0.2, 101.0, 4.0, 1)]
    events += [book("A.SIMX", 0.3, [(99.0, 10.0), (98.0, 4.0)], [(101.0, 5.0), (102.0, 12.0)])]
    driver = run(in_order(events, heartbeats(10)))
    assert feature(driver, "A.SIMX", "depth_removed_10s")[9] == 7.0
    assert feature(driver, "A.SIMX", "depth_added_10s")[9] == 2.0


def test_empty_book_leaves_no_price_and_windows_start_anew() -> None:
    full = ([(99.0, 1.0)], [(101.0, 1.0)])
    events = [book("A.SIMX", 0.1, *full), book("A.SIMX", 20.1, [], []), book("A.SIMX", 25.1, *full)]
    driver = run(in_order(events, heartbeats(40)))
    returns = feature(driver, "A.SIMX", "ret_1s")
    assert set(returns) == {*range(20), *range(25, 40)}
    assert {value for value in returns.values() if not math.isnan(value)} == {0.0}
    assert math.isnan(returns[25])


def test_cumulative_volume_of_quotes_makes_up_for_missing_trades() -> None:
    events = [
        quote("A.SIMX", 0.1, 99, 101, last=100.0, volume=500.0),
        quote("A.SIMX", 1.1, 99, 101, last=101.0, volume=530.0),
        quote("A.SIMX", 2.1, 99, 101, last=99.0, volume=540.0),
        quote("A.SIMX", 3.1, 99, 101, last=99.0, volume=540.0),
    ]
    driver = run(in_order(events, heartbeats(4)))
    volumes = feature(driver, "A.SIMX", "volume_1s")
    assert math.isnan(volumes[0])
    assert [volumes[second] for second in (1, 2, 3)] == [30.0, 10.0, 0.0]
    assert [feature(driver, "A.SIMX", "signed_volume_1s")[second] for second in (1, 2, 3)] == [30.0, -10.0, 0.0]


def test_trade_rows_take_over_from_cumulative_volume() -> None:
    events = [
        trade("A.SIMX", 0.1, 100.0, 2.0),
        quote("A.SIMX", 0.2, 99, 101, last=100.0, volume=2.0),
        trade("A.SIMX", 1.1, 101.0, 3.0),
        quote("A.SIMX", 1.2, 99, 101, last=101.0, volume=5.0),
    ]
    assert feature(run(in_order(events, heartbeats(2))), "A.SIMX", "volume_1s") == {0: 2.0, 1: 3.0}


def test_feature_times_are_the_close_of_the_second() -> None:
    driver = run(in_order([quote("A.SIMX", 0.1, 99, 101)], heartbeats(1)))
    assert m.features(driver)["ts"].tolist() == [(START + 1) * NANOS]


def test_constants_that_kernels_use_are_the_places_of_their_names() -> None:
    assert [getattr(features, name.upper()) for name in NAMES] == list(range(features.COUNT))
