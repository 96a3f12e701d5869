"""The trading environment: accounting through random episodes, masks, no look-ahead, determinism, planted markets."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.ddqn.lanes import BUY, CANCEL_BUY, HOLD, PRIVATE, SELL
from detectors.ddqn.planted import best_result, patternless, planted, venue
from detectors.ddqn.sessions import Session, laid_out
from detectors.ddqn.trading import Rules, TradingEnvironment
from detectors.trading import state
from detectors.trading.tape import Tape, merged, quotes_part, trades_part
from detectors.trading.units import Units
from detectors.trading.venues import TWSE, VenueRules

SECOND = 1_000_000_000
UNITS = Units(2, 0)


def random_session(seed: int, rules: VenueRules, unit: int, seconds: int = 40) -> Session:
    """Quotes and trades that wander by chance, several a second, now and then with an empty side."""
    rng = np.random.default_rng(seed)
    count = seconds * 4
    ts = np.sort(rng.integers(0, seconds * SECOND, count))
    ts[0] = 0
    middle = 100.0 + 0.5 * np.cumsum(rng.integers(-1, 2, count))
    bid, ask = middle - 0.5 * rng.integers(1, 3, count), middle + 0.5 * rng.integers(1, 3, count)
    ask[1:][rng.random(count - 1) < 0.05] = np.nan
    qty = rng.integers(1, 6, (2, count)) * float(unit)
    quotes = quotes_part(UNITS, ts, bid, qty[0], ask, qty[1])
    side = rng.choice(np.array([-1, 0, 1], dtype=np.int8), count)
    trades = trades_part(UNITS, np.sort(rng.integers(1, seconds * SECOND, count)), bid, qty[0] / 2, side)
    closes = (np.arange(seconds) + 1) * SECOND
    features = rng.standard_normal((seconds, 3)).astype(np.float32)
    return Session("T.TEST", closes, features, merged(quotes, trades), rules, UNITS, unit)


def play(env: TradingEnvironment, seed: int, steps: int, mostly_hold: bool = False) -> list[Any]:
    """Random allowed actions."""
    rng = np.random.default_rng(seed)
    _, masks = env.reset(seed)
    found = []
    for _ in range(steps):
        keys = np.where(masks, rng.random(masks.shape), -1.0)
        if mostly_hold:
            keys[:, HOLD] += 0.7
        step = env.step(keys.argmax(axis=1))
        masks = step.masks
        found.append(step)
    return found


@settings(deadline=None, max_examples=25)
@given(
    st.integers(0, 10**6),
    st.sampled_from([venue(500), TWSE]),
    st.sampled_from(["market", "limit"]),
    st.integers(1, 3),
    st.integers(-1, 2),
)
def test_equity_is_what_came_in_plus_results_less_charges_after_every_step(
    seed: int, rules: VenueRules, order: Any, limit: int, offset: int
) -> None:
    unit = 2000
    env = TradingEnvironment([random_session(seed, rules, unit)], 3, Rules(order=order, limit=limit, offset=offset))
    rng = np.random.default_rng(seed)
    _, masks = env.reset(seed)
    earned = np.zeros(3)
    for _ in range(60):
        ended_before = len(env.finished)
        step = env.step(np.where(masks, rng.random(masks.shape), -1.0).argmax(axis=1))
        masks = step.masks
        earned += step.rewards
        for lane in range(3):
            p = env.books[lane]
            start = env.rules.capital_units * env.unit_value[lane]
            assert p[state.CASH] == start - p[state.COST] + p[state.REALISED] - p[state.FEES] - p[state.TAXES]
            assert abs(p[state.POSITION]) <= limit * unit
            assert rules.shorting or p[state.POSITION] >= 0
        for lane, episode in zip(np.flatnonzero(step.terminated).tolist(), env.finished[ended_before:], strict=True):
            share = episode.result / max(1, int(episode.unit_value * env.rules.reward_unit))
            assert earned[lane] == pytest.approx(share, rel=1e-4, abs=1e-3)
            earned[lane] = 0.0


def test_a_session_ends_flat() -> None:
    env = TradingEnvironment([random_session(3, venue(500), 10)], 1, Rules(order="market"))
    env.reset(0)
    step = env.step(np.array([BUY]))
    while not step.terminated[0]:
        step = env.step(np.array([HOLD]))
    position = list(PRIVATE).index("position") + 3
    assert step.next_states[0, position] == 0.0
    assert env.finished[0].turnover > 0


def test_masks_forbid_what_is_not_there_to_sell_or_cancel() -> None:
    env = TradingEnvironment([random_session(3, TWSE, 1000)], 1, Rules(order="limit", offset=-3, starts="opening"))
    _, masks = env.reset(0)
    assert masks[0].tolist() == [True, True, False, False, False]
    step = env.step(np.array([BUY]))
    assert step.masks[0].tolist() == [True, False, False, True, False]
    step = env.step(np.array([CANCEL_BUY]))
    assert step.masks[0].tolist() == [True, True, False, False, False]
    assert env.books[0, state.POSITION] == 0


def test_a_forbidden_action_is_a_hold() -> None:
    env = TradingEnvironment([random_session(3, TWSE, 1000)], 1, Rules(starts="opening"))
    env.reset(0)
    env.step(np.array([SELL]))
    assert env.books[0, state.NEXT_ORDER] == 0


def test_shorting_is_open_where_the_venue_has_it() -> None:
    env = TradingEnvironment([random_session(3, venue(500), 10)], 1, Rules(order="market", starts="opening"))
    _, masks = env.reset(0)
    assert masks[0, SELL]
    env.step(np.array([SELL]))
    env.step(np.array([HOLD]))
    assert env.books[0, state.POSITION] == -10


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 10**6), st.integers(1, 30))
def test_what_comes_later_changes_nothing_seen_before(seed: int, row: int) -> None:
    session = random_session(seed, venue(500), 10)
    rng = np.random.default_rng(seed + 1)
    later = session.tape.ts >= session.ts[row]
    values = session.tape.values.copy()
    values[later, :3:2] += 50 * rng.integers(0, 9)
    features = session.features.copy()
    features[row + 1 :] = rng.standard_normal(features[row + 1 :].shape)
    changed = Session(
        session.instrument, session.ts, features, session.tape._replace(values=values), session.rules, UNITS, 10
    )
    rules = Rules(window=4, starts="opening")
    seen = []
    for market in (session, changed):
        env = TradingEnvironment([market], 1, rules)
        states, masks = env.reset(0)
        trail, chance = [states], np.random.default_rng(seed)
        for _ in range(row):
            step = env.step(np.where(masks, chance.random(masks.shape), -1.0).argmax(axis=1))
            masks = step.masks
            trail += [step.next_states, step.rewards]
        seen.append(np.concatenate([part.ravel() for part in trail]))
    assert seen[0].tobytes() == seen[1].tobytes()


def test_the_same_seed_gives_the_same_bits_and_a_checkpoint_goes_on_with_them() -> None:
    sessions = [planted(1, 60), patternless(2, 50)]
    first = play(TradingEnvironment(sessions, 5), 7, 80)
    env = TradingEnvironment(sessions, 5)
    again = play(env, 7, 80)
    assert all(a.states.tobytes() == b.states.tobytes() for a, b in zip(first, again, strict=True))
    kept = env.state()
    held = np.zeros(5, dtype=np.int64)
    expected = [env.step(held).states.tobytes() for _ in range(70)]
    fresh = TradingEnvironment(sessions, 5)
    fresh.reset(0)
    fresh.restore(kept)
    assert [fresh.step(held).states.tobytes() for _ in range(70)] == expected


def test_an_episode_cut_off_is_truncated_and_a_session_that_ends_is_terminated() -> None:
    env = TradingEnvironment([planted(1, 60)], 1, Rules(starts="opening", episode_rows=50))
    steps = play(env, 0, 50, mostly_hold=True)
    assert steps[49].truncated[0]
    assert not steps[49].terminated[0]
    env = TradingEnvironment([planted(1, 60)], 1, Rules(starts="opening"))
    steps = play(env, 0, 59, mostly_hold=True)
    assert steps[58].terminated[0]
    assert not any(step.terminated[0] for step in steps[:58])


def turn_with_the_swing(states: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Long while the planted price rises, short while it falls."""
    wanted = np.where(states[:, 0] < 0.0, 1.0, -1.0)
    position = states[:, 6]
    chosen = np.where(position < wanted, BUY, np.where(position > wanted, SELL, HOLD))
    return np.where(masks[np.arange(len(chosen)), chosen], chosen, HOLD)


def played(env: TradingEnvironment, policy: Any) -> None:
    states, masks = env.reset(0)
    while len(env.finished) < len(env.tracks.first):
        step = env.step(policy(states, masks))
        states, masks = step.states, step.masks


def test_the_planted_pattern_pays_who_reads_it_and_no_policy_beats_the_best() -> None:
    sessions = [planted(seed, 600) for seed in range(4)]
    env = TradingEnvironment(sessions, 4, Rules(order="market", starts="opening"))
    played(env, turn_with_the_swing)
    for episode in env.finished:
        best = best_result(sessions[episode.session], env.rules.latency_ns)
        assert 0.8 * best < episode.result <= best


def test_without_a_pattern_trading_costs_and_holding_does_not() -> None:
    env = TradingEnvironment([patternless(seed, 600) for seed in range(4)], 4, Rules(order="market", starts="opening"))
    played(env, turn_with_the_swing)
    assert all(episode.result < 0 for episode in env.finished)
    played(env, lambda states, masks: np.full(len(states), HOLD))
    assert [(episode.result, episode.turnover) for episode in env.finished] == [(0, 0)] * 4


def test_points_count_round_trips_against_the_target() -> None:
    rules = Rules(order="market", starts="opening", reward="points", target_return=0.001)
    env = TradingEnvironment([planted(1, 600)], 1, rules)
    states, masks = env.reset(0)
    given_points = set()
    step = None
    while step is None or not step.terminated[0]:
        step = env.step(turn_with_the_swing(states, masks))
        states, masks = step.states, step.masks
        given_points.add(float(step.rewards[0]))
    assert given_points <= {-1.0, 0.0, 1.0}
    assert 1.0 in given_points


def test_a_drawdown_penalty_only_takes_away() -> None:
    plain, strict = (
        TradingEnvironment([planted(1, 60)], 1, Rules(drawdown_penalty=k, starts="opening")) for k in (0.0, 0.5)
    )
    for a, b in zip(play(plain, 3, 58), play(strict, 3, 58), strict=True):
        assert b.rewards[0] <= a.rewards[0]


def test_a_session_that_is_not_quoted_before_its_first_row_is_refused() -> None:
    session = planted(1, 20)
    later = session.tape.ts > session.ts[0]
    cut = Tape(session.tape.ts[later], session.tape.kind[later], session.tape.values[later], session.tape.books)
    with pytest.raises(ValueError, match="quoted"):
        laid_out([Session("A.B", session.ts, session.features, cut, session.rules, UNITS, 10)])
