"""How measured rates are counted: which alert belongs to which episode, and what the injected market does."""

import msgspec
import numpy as np
import pytest

from benchmarks.injected_market import IGNITION, INSTRUMENTS, InjectedEpisode, InjectedMarket, Leg, WashMarket
from benchmarks.scenario_rates import CONFIG, RAMPING, START_NS, Count, figures
from tapewatch.contract.rows import RowType


def test_an_alert_belongs_to_an_episode_of_its_instrument_up_to_a_minute_after_it() -> None:
    count = Count(instrument_hours=10.0)
    episodes = [("A", 100.0, 200.0), ("B", 100.0, 200.0)]
    count.match([("A", 150.0), ("A", 260.0), ("A", 261.0), ("B", 99.0)], episodes)
    assert (count.episodes, count.detected, count.false_alerts, count.delays_s) == (2, 1, 2, [50.0])
    found = figures(RAMPING, count)
    assert found["recall"]["low"] < found["recall"]["mean"] == 0.5 < found["recall"]["high"]
    assert found["false_alerts_per_instrument_hour"]["mean"] == pytest.approx(0.2)


def test_no_false_alert_still_has_an_upper_bound() -> None:
    assert figures(RAMPING, Count(episodes=1, instrument_hours=10.0))["false_alerts_per_instrument_hour"][
        "high"
    ] == pytest.approx(0.369, abs=1e-3)


def test_an_injected_path_goes_its_legs_and_fades() -> None:
    legs = (Leg(10.0, 20.0, 0.02, 5.0, 0.9), Leg(20.0, 40.0, -0.01, 5.0, 0.1))
    found = InjectedEpisode(IGNITION, "A", legs).offset(np.array([5.0, 15.0, 20.0, 40.0, 70.0, 200.0]))
    assert found.tolist() == pytest.approx([0.0, 0.01, 0.02, 0.01, 0.005, 0.0])


def test_the_injected_market_keeps_order_and_says_when_it_closes() -> None:
    small = msgspec.structs.replace(CONFIG, instruments=4, rows_per_second=40.0, seconds=60, warmup_s=0.0)
    details: set[str] = set()
    trades = 0
    for chunk in InjectedMarket(small, 1, START_NS, 0).chunks():
        for rows in chunk.rows:
            assert (np.diff(rows.ts_recv) >= 0).all()
            assert len(rows) == 0 or rows.ts_recv[-1] < chunk.end_ns
            details |= set(rows.columns["detail"].tolist()) if rows.type == RowType.STATUS else set()
            trades += int((rows.columns["trade_id"] > "w").sum()) if rows.type == RowType.TRADE else 0
    assert any(detail.startswith("closes=") for detail in details)
    assert trades > 0


@pytest.mark.slow
def test_half_of_the_wash_market_is_clean_and_the_same_seed_is_the_same_market() -> None:
    one, two = WashMarket(3), WashMarket(3)
    assert len(one.episodes) == INSTRUMENTS // 2
    assert one.episodes == two.episodes
