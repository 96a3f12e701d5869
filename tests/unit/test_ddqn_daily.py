"""The daily protocol: accounting in whole shares, features that look back only, and no skill on a shuffled future."""

import numpy as np
import pytest

from detectors.commands.daily_files import Instrument, read_folder
from detectors.ddqn.daily_account import (
    CAPITAL,
    FIRST,
    LONG,
    SHORT,
    account,
    averages_rule,
    fitted_averages,
    sharpe,
)
from detectors.ddqn.daily_market import COLUMNS, INPUTS, WARM, Bars, DailyMarket, bars_of, features, joined
from detectors.ddqn.daily_training import decide
from detectors.ddqn.model import Policy, PolicyMetadata
from evaluation.ddqn import figures, text, trade
from evaluation.ddqn_figures import intervals, shuffled_skill
from evaluation.strategies import EvaluatedInstrument
from tapewatch.errors import TapewatchError


def market(rows: int = 700, seed: int = 1, start: str = "2015-01-01") -> Bars:
    """A random walk with a volume."""
    random = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(random.normal(0.0, 0.01, rows)))
    high, low = close * (1.0 + random.uniform(0.0, 0.01, rows)), close * (1.0 - random.uniform(0.0, 0.01, rows))
    dates = np.datetime64(start) + np.arange(rows)
    return Bars(dates, close, high, low, close, random.uniform(1e5, 2e5, rows))


def follower(sign: float = 1.0) -> Policy:
    """A policy that goes the way of the last day's return, whatever it holds."""
    w1 = np.zeros((4, len(INPUTS)), dtype=np.float32)
    w1[0, 0], w1[1, 0] = 1.0, -1.0
    w = np.array([[0, 1, 0, 0], [1, 0, 0, 0]], dtype=np.float32) * np.float32(1.0)
    w = w[::-1].copy() if sign < 0.0 else w
    four, two = np.zeros(4, dtype=np.float32), np.zeros(2, dtype=np.float32)
    arrays = {"w1": w1, "b1": four, "w2": np.eye(4, dtype=np.float32), "b2": four, "w": w, "b": two}
    return Policy(PolicyMetadata("daily", INPUTS, ("short", "long")), arrays)


def split(bars: Bars, begins: int) -> Instrument:
    return Instrument("X", bars[:begins], bars[begins:], bars, begins)


def test_nothing_is_bought_before_the_thirty_first_row() -> None:
    found = account(np.linspace(100.0, 200.0, 60), np.full(60, LONG))
    assert (found.money[:FIRST] == CAPITAL).all()
    assert found.money[FIRST] < CAPITAL  # The cost of buying.


def test_buying_and_holding_owns_whole_shares_and_pays_once() -> None:
    close = np.concatenate([np.full(30, 100.0), [300.0, 330.0]])
    found = account(close, np.full(32, LONG))
    shares = 333  # floor(100,000 / 300.3)
    assert found.money[-1] == pytest.approx(CAPITAL - shares * 300.0 * 1.001 + shares * 330.0)
    assert found.trades == 1


def test_a_turn_from_short_to_long_pays_for_both_trades() -> None:
    close = np.full(32, 100.0)
    found = account(close, np.array([SHORT] * 31 + [LONG]))
    sold = 999
    assert found.money[30] == pytest.approx(CAPITAL - sold * 0.1)
    cash = found.money[30] - sold * 0.1
    bought = int(cash / 100.1)
    assert found.money[31] == pytest.approx(cash - bought * 0.1)


def test_a_short_position_that_lost_much_is_cut_down() -> None:
    close = np.concatenate([np.full(31, 100.0), 100.0 * 1.02 ** np.arange(1, 40)])
    found = account(close, np.full(len(close), SHORT))
    uncut = CAPITAL - 99.9 + 999 * (100.0 - close)
    assert found.money[40] == pytest.approx(uncut[40])
    assert found.money[-1] > uncut[-1] + 1000.0


def test_without_cost_money_changes_only_by_the_price() -> None:
    random = np.random.default_rng(5)
    for _ in range(20):
        close = 50.0 * np.exp(np.cumsum(random.normal(0.0, 0.01, 80)))
        actions = random.integers(0, 2, 80)
        found = account(close, actions, cost=0.0)
        side = np.where(actions == LONG, 1.0, -1.0)
        earned = np.sign(found.returns[FIRST + 1 :])
        assert (earned == np.sign(side[FIRST:-1] * np.diff(close[FIRST:]))).all()


def test_a_ratio_of_nothing_is_nothing() -> None:
    assert sharpe(np.zeros(10)) == 0.0


def test_rules_use_only_closes_before_their_row() -> None:
    close = market(200).close
    changed = close.copy()
    changed[150:] *= 3.0
    for trend in (True, False):
        before, after = averages_rule(close, 3, 9, trend), averages_rule(changed, 3, 9, trend)
        assert (before[:151] == after[:151]).all()


def test_the_fitted_windows_follow_a_trend_where_there_is_one() -> None:
    close = 100.0 * np.exp(np.cumsum(np.tile(np.repeat([0.01, -0.01], 40), 5)))
    shorter, longer = fitted_averages(close, trend=True)
    found = account(close, averages_rule(close, shorter, longer, trend=True))
    assert sharpe(found.returns) > 3.0


def test_features_of_a_day_do_not_change_when_later_days_do() -> None:
    bars, at = market(), 500
    columns = {name: getattr(bars, name.lower()).copy() for name in COLUMNS}
    for values in columns.values():
        values[at + 1 :] *= np.linspace(2.0, 9.0, len(bars) - at - 1)
    changed = bars_of(bars.dates, columns)
    assert features(bars)[: at + 1].tobytes() == features(changed)[: at + 1].tobytes()
    assert (features(bars)[at + 1 :] != features(changed)[at + 1 :]).any()
    # What is carried out at the close of row 501 was decided on row 500.
    first, second = decide(follower(), bars, 300), decide(follower(), changed, 300)
    assert (first[: at + 2] == second[: at + 2]).all()


def test_missing_values_take_the_last_one_known_and_never_a_later_one() -> None:
    bars = market(10)
    columns = {name: getattr(bars, name.lower()).copy() for name in COLUMNS}
    columns["Volume"][[0, 4, 5]] = 0.0
    columns["Close"][7] = np.nan
    filled = bars_of(bars.dates, columns)
    assert filled.volume[[4, 5]].tolist() == [bars.volume[3]] * 2
    assert filled.volume[0] == bars.volume[1]  # The first rows have nothing before them.
    assert filled.close[7] == bars.close[6]


def test_bars_that_go_back_in_time_are_refused() -> None:
    bars = market(10)
    with pytest.raises(ValueError, match="increase"):
        bars_of(bars.dates[::-1], {name: getattr(bars, name.lower()) for name in COLUMNS})


def test_days_that_both_files_have_count_once() -> None:
    bars = market(100)
    whole, begins = joined(bars[:62], bars[60:])
    assert (len(whole), begins) == (100, 60)


def test_a_reward_is_what_the_position_earns_after_it_was_taken() -> None:
    bars = market(WARM + 10)
    lanes = DailyMarket([bars], 1)
    lanes.reset(3)
    lanes.at[:], lanes.held[:], lanes.age[:] = 2, 1.0, 0
    change = np.diff(bars.close) / bars.close[:-1]
    unit = np.std(change[WARM:])
    step = lanes.step(np.array([SHORT]))
    earned = -(bars.close[WARM + 4] / bars.close[WARM + 3] - 1.0) - 2.0 * 0.001
    assert step.rewards[0] == pytest.approx(earned / unit, rel=1e-5)
    assert step.next_states[0, -1] == -1.0
    assert step.next_states[0, :-1].tobytes() == features(bars)[WARM + 3].tobytes()


def test_an_episode_is_cut_off_at_the_last_row_and_never_terminates() -> None:
    lanes = DailyMarket([market(WARM + 10)], 4)
    lanes.reset(0)
    truncated = 0
    for _ in range(50):
        step = lanes.step(np.ones(4, dtype=np.int64))
        truncated += int(step.truncated.sum())
        assert not step.terminated.any()
    assert truncated > 10


def test_the_market_goes_on_from_its_state() -> None:
    one, two = DailyMarket([market()], 3), DailyMarket([market()], 3)
    one.reset(1)
    for _ in range(300):
        one.step(np.array([0, 1, 0]))
    two.restore(one.state())
    for _ in range(300):
        first, second = one.step(np.array([1, 0, 1])), two.step(np.array([1, 0, 1]))
        assert all(a.tobytes() == b.tobytes() for a, b in zip(first, second, strict=True))


def test_a_shuffled_future_shows_no_skill() -> None:
    instruments = [split(market(seed=seed), 350) for seed in range(4)]
    found = shuffled_skill(instruments, [follower(), follower(-1.0)], draws=20, seed=1)
    assert found["low"] < 0.15
    assert found["high"] > -0.15


def test_a_leak_would_show_on_a_shuffled_future() -> None:
    bars = market(seed=3)
    actions = decide(follower(), bars, 380)
    honest = sharpe(account(bars.close, actions, cost=0.0).returns)
    leaking = sharpe(account(bars.close, np.roll(actions, -2), cost=0.0).returns)
    assert leaking > 5.0 > abs(honest)


def test_a_policy_that_is_the_benchmark_differs_from_it_by_nothing() -> None:
    random = np.random.default_rng(2)
    returns = random.normal(0.0005, 0.01, (5, 1, 300))
    means, apart = intervals({"policy": np.repeat(returns, 3, axis=1), "hold": returns}, "policy", "hold", seed=1)
    assert apart == pytest.approx({"mean": 0.0, "low": 0.0, "high": 0.0})
    assert means["hold"]["low"] < means["hold"]["mean"] < means["hold"]["high"]


def test_figures_have_every_strategy_with_an_interval() -> None:
    traded: list[EvaluatedInstrument] = [
        trade(split(market(500, seed=seed), 380), [follower(), follower(-1.0)]) for seed in (1, 2)
    ]
    traded[1] = EvaluatedInstrument(
        split(market(500, seed=2), 380), *(getattr(traded[1], name) for name in type(traded[1]).__slots__[1:])
    )
    document = figures([traded[0]], seed=1)
    assert set(document["mean"]) == {"policy", "buy_and_hold", "sell_and_hold", "trend_following", "mean_reversion"}
    assert len(document["instruments"]["X"]["policy"]["by_seed"]) == 2
    more = {"shuffled_future": document["difference_to_buy_and_hold"], "seeds": 2, "recipe": {"steps": 1}, "seconds": 1}
    assert "policy less buy-and-hold" in text(document | more)


def test_a_folder_without_bars_says_what_it_needs(tmp_path) -> None:
    with pytest.raises(TapewatchError, match="2012-1-1"):
        read_folder(tmp_path)
    (tmp_path / "X_2012-1-1_2018-1-1.csv").write_text("a,b\n1,2\n")
    with pytest.raises(TapewatchError, match="daily bars"):
        read_folder(tmp_path)
