"""Figures that the console works out itself: round trips, equity, drift of scores, checks of health."""

import numpy as np
import pytest

from console.api.rankings import charted
from console.api.signals import day_begin
from console.api.trading import Execution, round_trips, summed
from console.health_checks import HealthSnapshot, judged
from console.score_drift import chosen_step, compared
from tapewatch.clock import NANOS


def fill(side: str, price: float, qty: float, at: int, cost: float = 0.0, instrument: str = "A.X") -> Execution:
    return Execution(instrument, side, price, qty, cost, "USD", at)


def test_round_trip_ends_when_the_position_is_flat_and_pays_its_costs():
    trips = list(
        round_trips([fill("buy", 10.0, 1, 1, 0.1), fill("buy", 12.0, 1, 2, 0.1), fill("sell", 13.0, 2, 3, 0.2)])
    )
    assert [(trip.opened_ns, trip.closed_ns) for trip in trips] == [(1, 3)]
    assert trips[0].result == pytest.approx(4.0 - 0.4)


def test_fill_that_turns_a_position_around_closes_one_round_trip_and_opens_the_next():
    trips = list(round_trips([fill("buy", 10.0, 1, 1), fill("sell", 11.0, 3, 2, 0.3), fill("buy", 10.0, 2, 3)]))
    assert [trip.result for trip in trips] == pytest.approx([1.0 - 0.1, 2.0 - 0.2])
    assert [trip.opened_ns for trip in trips] == [1, 2]


def test_open_position_is_no_round_trip_and_instruments_are_kept_apart():
    fills = [
        fill("buy", 10.0, 1, 1),
        fill("sell", 9.0, 1, 2, instrument="B.X"),
        fill("buy", 8.0, 1, 3, instrument="B.X"),
    ]
    assert [(trip.instrument, trip.result) for trip in round_trips(fills)] == [("B.X", 1.0)]


def test_sums_of_floats_do_not_keep_a_round_trip_open():
    fills = [fill("buy", 1.0, 0.1, 1), fill("buy", 1.0, 0.2, 2), fill("sell", 2.0, 0.3, 3)]
    assert len(list(round_trips(fills))) == 1


def test_equity_carries_each_account_forward_and_keeps_currencies_apart():
    steps = [(1, 0, "USD", 1.0), (2, 2, "TWD", 50.0), (1, 3, "USD", 4.0)]
    found = summed(steps, {3: ("USD", 10.0)}, 0, NANOS, 4)
    assert found.at == [1000, 2000, 3000, 4000]
    assert found.result == {"USD": [11.0, 11.0, 11.0, 14.0], "TWD": [0.0, 0.0, 50.0, 50.0]}


def test_equity_begins_with_the_first_account():
    assert summed([(1, 2, "USD", 1.0)], {}, 0, NANOS, 4).at == [3000, 4000]


@pytest.mark.parametrize(
    ("bar_end", "zone", "begin"),
    [
        ("2024-01-03T05:30", "Asia/Taipei", "2024-01-02T16:00"),
        ("2024-01-03T05:30", "UTC", "2024-01-03T00:00"),
        ("2024-01-03T00:00", "UTC", "2024-01-02T00:00"),
        ("2024-01-03T05:30", "No/Such", "2024-01-03T00:00"),
    ],
)
def test_yesterday_ends_at_midnight_of_the_instruments_own_time_zone(bar_end, zone, begin):
    at = int(np.datetime64(bar_end, "ns").astype(np.int64))
    assert day_begin(at, zone) == int(np.datetime64(begin, "ns").astype(np.int64))


def test_scores_that_move_away_from_the_first_block_show_as_drift():
    draw = np.random.default_rng(1)
    calm, moved = draw.normal(0, 1, 1000), draw.normal(2, 1, 1000)
    rows = [(7, 30 * NANOS, raw, 0.1) for raw in calm] + [(7, 90 * NANOS, raw, 0.3) for raw in moved]
    rows += [(7, 150 * NANOS, 0.0, float("nan"))] * 5
    (found,) = compared(rows, {7: ("kmeans", "v1")}, 60)
    assert found.at == [60_000, 120_000, 180_000]
    assert found.psi[0] == pytest.approx(0.0, abs=1e-9)
    assert found.psi[1] is not None
    assert found.psi[1] > 0.25
    assert found.psi[2] is None
    assert found.state == "bad"
    assert found.probability == [pytest.approx(0.1), pytest.approx(0.3), None]


def test_blocks_of_drift_are_as_coarse_as_the_kept_time_allows():
    assert [chosen_step(span) for span in (30 * 86_400, 86_400, 7200, 100)] == [86_400, 3600, 600, 60]


def test_regimes_become_signs_by_horizon_in_their_order():
    found = charted([(1_000_000, 0.4, 1, {"24h": "bear", "1h": "bull"}), (2_000_000, None, None, {})])
    assert list(found.regimes) == ["1h", "24h"]
    assert found.regimes == {"1h": [1, 0], "24h": [-1, 0]}


def states(seen: HealthSnapshot) -> dict[str, str]:
    return {check.name: check.state for check in judged(seen)}


def test_reader_that_stands_still_with_work_to_do_is_bad_and_a_late_one_is_a_warning():
    found = states(HealthSnapshot(lag={"engine": 5, "sink": 9000}, moved_s={"engine": 90.0, "sink": 1.0}))
    assert (found["engine"], found["sink"]) == ("bad", "warn")
    assert states(HealthSnapshot(lag={"engine": 0}, moved_s={"engine": None}))["engine"] == "good"


def test_many_refusals_silence_and_fresh_dead_letters_are_told_with_what_to_do():
    seen = HealthSnapshot(refused=10, rows=90, silent={"market.x": 100.0}, dead=3, dead_fresh=1, running="kill")
    found = states(seen)
    assert found["refusals"] == "bad"
    assert {found[name] for name in ("feeds", "dead letters", "paper trading")} == {"warn"}
    assert all(check.next for check in judged(seen) if check.state != "good")


def test_server_that_does_not_answer_is_bad():
    assert states(HealthSnapshot(kafka_problem="refused"))["Kafka"] == "bad"
