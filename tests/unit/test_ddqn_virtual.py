"""The virtual position: fills at the next quote with cost, masks, hysteresis, what the policy sees."""

import numpy as np
import pytest

from detectors.ddqn import virtual
from detectors.ddqn.lanes import ACTIONS, BUY, CANCEL_BUY, HOLD, SELL
from detectors.ddqn.virtual import (
    PRIVATE,
    Rows,
    act_lanes,
    close_lanes,
    create_lanes,
    equity_lanes,
    scaled_rows,
    see_lanes,
    steadied,
)

NAN = np.nan
COST = (0.001, 0.003)


class Lane:
    """One lane over quotes of seconds: (first bid, first ask, last bid, last ask)."""

    def __init__(self, quotes: list[tuple[float, float, float, float]], wait_s: float = 0.0, shorting: bool = False):
        count = len(quotes)
        self.rows = Rows(
            features=np.zeros((count, 2), dtype=np.float32),
            second=1_000 + np.arange(count),
            quotes=np.array(quotes),
            context=np.tile([1.0, 0.5], (count, 1)),
            tradable=np.ones(count, dtype=np.bool_),
            costs=np.tile(COST, (count, 1)),
        )
        self.state, self._own, self.masks = create_lanes(1)
        self.out = np.zeros((1, 2 + len(PRIVATE)), dtype=np.float32)
        self.at, self.wait_s, self.shorting = -1, wait_s, shorting

    def close(self, ended: bool = False) -> list[str]:
        """Close the next second; returns what may be done."""
        self.at += 1
        row = np.array([self.at])
        close_lanes(self.state, self.rows, row, np.array([ended]))
        see_lanes(self.state, self.rows, row, self.shorting, self.wait_s, self._own, self.out, self.masks)
        return [name for name, may in zip(ACTIONS, self.masks[0], strict=True) if may]

    def act(self, action: int) -> None:
        act_lanes(self.state, self.rows, np.array([self.at]), np.array([action]))

    @property
    def equity(self) -> float:
        found = np.zeros(1)
        equity_lanes(self.state, found)
        return float(found[0])


def test_a_buy_fills_at_the_first_ask_of_the_next_quoted_second_with_cost() -> None:
    lane = Lane([(9, 11, 9, 11), (NAN, NAN, 9, 11), (10, 12, 20, 22)])
    assert lane.close() == ["hold", "buy"]
    lane.act(BUY)
    assert lane.close() == ["hold", "cancel_buy"]
    assert lane.state[0, virtual.POSITION] == 0.0
    assert lane.close() == ["hold", "sell"]
    assert lane.state[0, virtual.ENTRY] == pytest.approx(12 * 1.001)
    assert lane.equity == pytest.approx(20 * 0.997 / (12 * 1.001) - 1.0)


def test_closing_realises_what_the_mark_said_and_equity_does_not_jump() -> None:
    lane = Lane([(9, 11, 9, 11), (10, 12, 20, 22), (20, 22, 5, 7)])
    lane.close()
    lane.act(BUY)
    lane.close()
    before = lane.equity
    lane.act(SELL)
    lane.close()
    assert lane.state[0, virtual.POSITION] == 0.0
    assert lane.equity == pytest.approx(before)


def test_a_cancelled_order_does_not_fill() -> None:
    lane = Lane([(9, 11, 9, 11), (NAN, NAN, 9, 11), (10, 12, 10, 12)])
    lane.close()
    lane.act(BUY)
    lane.close()
    lane.act(CANCEL_BUY)
    lane.close()
    assert lane.state[0, virtual.POSITION] == 0.0
    assert lane.equity == 0.0


def test_selling_what_is_not_held_needs_shorting() -> None:
    lane = Lane([(9, 11, 9, 11), (10, 12, 10, 12)], shorting=True)
    assert lane.close() == ["hold", "buy", "sell"]
    lane.act(SELL)
    assert lane.close() == ["hold", "buy"]
    assert lane.equity == pytest.approx(-(12 * 1.001 / (10 * 0.997) - 1.0))


def test_nothing_is_allowed_before_the_wait_is_over() -> None:
    lane = Lane([(9, 11, 9, 11)] * 4, wait_s=2.0)
    lane.close()
    lane.act(BUY)
    assert lane.close() == ["hold"]
    assert lane.close() == ["hold", "sell"]


def test_an_action_below_the_margin_is_a_hold() -> None:
    assert steadied(BUY, 0.5, 0.4) == BUY
    assert steadied(BUY, 0.3, 0.4) == HOLD
    assert steadied(BUY, NAN, 0.0) == HOLD


def test_a_session_ends_flat() -> None:
    lane = Lane([(9, 11, 9, 11), (10, 12, 20, 22)])
    lane.close()
    lane.act(BUY)
    lane.close(ended=True)
    assert lane.state[0, [virtual.POSITION, virtual.PENDING, virtual.UNREALISED]].tolist() == [0.0, 0.0, 0.0]
    assert lane.equity == pytest.approx(20 * 0.997 / (12 * 1.001) - 1.0)


def test_the_state_row_tells_position_gain_orders_trend_and_time() -> None:
    lane = Lane([(9, 11, 9, 11), (10, 12, 10, 12)])
    lane.close()
    assert lane.out[0, 2:].tolist() == [0.0, 0.0, 0.0, 0.0, 1.0, 0.5]
    lane.act(BUY)
    lane.close()
    assert lane.out[0, 2:].tolist() == [1.0, -virtual.GAIN_LIMIT, 0.0, 0.0, 1.0, 0.5]


def test_features_are_scaled_clipped_and_nan_is_zero() -> None:
    features = np.array([[3.0, NAN], [100.0, -100.0]], dtype=np.float32)
    out = np.zeros_like(features)
    scaled_rows(features, np.array([1, 0], dtype=np.float32), np.array([0.5, 2], dtype=np.float32), out)
    assert out.tolist() == [[1.0, 0.0], [5.0, -5.0]]


def test_the_trend_compares_five_minutes_with_their_volatility() -> None:
    assert [virtual.trend(0.02, 0.01), virtual.trend(-0.02, 0.01), virtual.trend(0.005, 0.01)] == [1.0, -1.0, 0.0]
    assert virtual.trend(NAN, NAN) == 0.0
    assert virtual.trend(NAN, 0.01) == 0.0


def test_a_venue_that_never_closes_has_all_its_time_left() -> None:
    assert virtual.session_left(99, NAN, NAN) == 1.0
    assert virtual.session_left(149, 100, 200) == 0.5
    assert virtual.session_left(500, 100, 200) == 0.0
