"""Bull and bear: the filter against a plain forward pass, planted regimes, and the fitting."""

import numpy as np
import pytest

from detectors.coin_features import batch
from detectors.coin_features.state import Barriers
from detectors.regime import model, rules, training
from tapewatch.kernels import kernel
from tests.unit.coin_market import coin

SHIPPED = model.shipped()
ASKED = Barriers(60, 0.005, -0.005)


@kernel
def filtered(chance, seen, mean, deviation, stay):  # a door to the inlined kernel
    return rules.filtered(chance, seen, mean, deviation, stay)


def test_filter_is_the_forward_pass() -> None:
    mean, deviation, stay = np.array([0.2, -0.3]), np.array([0.7, 1.5]), np.array([0.9, 0.8])
    moves = np.random.default_rng(0).standard_normal(200)
    chance, plain = 0.5, np.array([0.5, 0.5])
    for move in moves:
        prior = np.array([[stay[0], 1 - stay[0]], [1 - stay[1], stay[1]]]).T @ plain
        plain = prior * np.exp(-0.5 * ((move - mean) / deviation) ** 2) / deviation
        plain /= plain.sum()
        chance = filtered(chance, move, mean, deviation, stay)
        assert chance == pytest.approx(plain[0], abs=2e-6)


@pytest.mark.parametrize("shock", [-1e6, 1e6, 0.0])
def test_no_shock_makes_the_filter_lose_its_mind(shock: float) -> None:
    found = filtered(0.5, shock, np.array([0.1, -0.1]), np.array([0.5, 1.5]), np.array([0.9, 0.9]))
    assert 0.0 < found < 1.0


def test_calls_are_unknown_until_half_of_the_horizon_is_behind_the_coin() -> None:
    calls = batch.watched(coin(1500), ASKED, SHIPPED.regimes()).calls
    for place, horizon in enumerate(rules.HORIZONS):
        assert np.all(calls[: horizon // 2 - 1, place] == rules.UNKNOWN)
        assert np.all(calls[horizon // 2 :, place, [rules.HMM, rules.NAIVE]] != rules.UNKNOWN)


def test_hidden_markov_model_calls_planted_regimes_better_than_the_naive_rule() -> None:
    seen, truth = training.planted(60, seed=100, days=12)
    calls = batch.watched(seen, ASKED, SHIPPED.regimes()).calls[training.WARM_DAYS * batch.DAY :, 0]
    right = (calls == truth[training.WARM_DAYS * batch.DAY :, None]).mean(axis=0)
    assert right[rules.HMM] > right[rules.NAIVE] + 0.1
    assert training.turns_a_day(calls[:, rules.HMM]) < training.turns_a_day(calls[:, rules.NAIVE])


def test_fitting_finds_the_states_that_made_the_series() -> None:
    rng = np.random.default_rng(4)
    state = np.cumsum(rng.random(6000) < 0.03) % 2
    series = np.where(state == 0, 0.5, -0.5) + np.where(state == 0, 0.6, 1.4) * rng.standard_normal(6000)
    mean, deviation, stay = training.fitted([series[:3000], series[3000:]])
    np.testing.assert_allclose(mean, [0.5, -0.5], atol=0.15)
    np.testing.assert_allclose(deviation, [0.6, 1.4], atol=0.1)
    np.testing.assert_allclose(stay, 0.97, atol=0.02)


def test_a_call_that_tells_nothing_gains_nothing() -> None:
    seen = coin(9 * batch.DAY, seed=9)
    known = batch.watched(seen, ASKED, SHIPPED.regimes())
    after = training.after(seen, known, 0)
    half = len(after.minutes) // 2
    first, second = np.arange(len(after.minutes)) < half, np.arange(len(after.minutes)) >= half
    told = training.gain(after.take(second), training.learnt([after.take(first)], rules.NAIVE), rules.NAIVE)
    assert abs(np.nanmean(told)) < 0.05


def test_what_followed_is_known_only_where_the_history_reaches_that_far() -> None:
    seen = coin(3000)
    after = training.after(seen, batch.watched(seen, ASKED, SHIPPED.regimes()), 1)
    assert np.isnan(after.moved[-360:]).all()
    row = 1000
    plain = np.log(seen.bars[row + 360, 2] / seen.bars[row, 2])
    assert after.moved[row] * np.sqrt(360) * training_usual(seen, row) == pytest.approx(plain)


def training_usual(seen: batch.History, row: int) -> float:
    """Root mean square of the minute returns so far; the first has none."""
    moves = np.diff(np.log(seen.bars[: row + 1, 2]), prepend=np.log(seen.bars[0, 2]))
    return float(np.sqrt(np.mean(moves**2)))


def test_training_gives_the_same_file_twice() -> None:
    histories = [coin(5 * batch.DAY, seed=6)]
    made = [training.train(histories, model.Card(data="made", command="none")) for _ in range(2)]
    assert made[0].encoded() == made[1].encoded()
    assert model.decode(made[0].encoded()) == made[0]
