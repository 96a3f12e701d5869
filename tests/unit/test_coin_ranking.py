"""The ranking: outcomes of barriers, no look-ahead, the model's file, and how it is trained."""

import math

import msgspec
import numpy as np
import pytest

from detectors.calibration import reliability
from detectors.coin_features import batch
from detectors.coin_features.state import Barriers
from detectors.ranking import features, model, training
from detectors.ranking.features import touch_probability
from detectors.regime import model as regime
from tapewatch.kernels import kernel
from tests.unit.coin_market import coin

ASKED = Barriers(3, 0.1, -0.1)
SHIPPED = model.shipped()


def history(*bars: tuple[float, float, float]) -> batch.History:
    """Minutes of (high, low, close)."""
    high, low, close = np.array(bars).T
    return batch.history(
        "c", np.arange(len(bars)), {"high": high, "low": low, "close": close, "volume": np.ones(len(bars))}
    )


FLAT = (100.0, 100.0, 100.0)


@pytest.mark.parametrize(
    ("after", "reached"),
    [
        ([FLAT, (111.0, 100.0, 110.0), FLAT], 1.0),
        ([FLAT, (105.0, 89.0, 100.0), (112.0, 100.0, 100.0)], 0.0),
        ([(111.0, 89.0, 100.0), FLAT, FLAT], 0.0),
        ([FLAT, FLAT, FLAT, (120.0, 100.0, 120.0)], 0.0),
        ([FLAT, (111.0, 100.0, 110.0)], math.nan),
    ],
    ids=["target", "stop first", "both in a minute", "too late", "history too short"],
)
def test_outcome_of_an_entry(after: list[tuple[float, float, float]], reached: float) -> None:
    assert np.array_equal(batch.outcome(history(FLAT, *after), ASKED)[0], reached, equal_nan=True)


@kernel
def touched(up: float, down: float, spread: float) -> float:
    return touch_probability(up, down, spread)


def test_touch_probability_is_the_share_of_simulated_walks() -> None:
    rng = np.random.default_rng(0)
    walks = np.cumsum(0.02 * rng.standard_normal((4000, 2500)), axis=1)
    up = np.where((walks >= 1.0).any(axis=1), (walks >= 1.0).argmax(axis=1), 9999)
    down = np.where((walks <= -0.5).any(axis=1), (walks <= -0.5).argmax(axis=1), 9999)
    share = float(np.mean(up < down))
    assert abs(touched(1.0, 0.5, 1.0) - share) < 0.02


@pytest.mark.parametrize(("spread", "expected"), [(0.0, 0.0), (1e-3, 0.0), (1e3, 1.0 / 3.0)])
def test_touch_probability_without_time_is_nothing_and_with_much_of_it_the_nearer_lines_share(
    spread: float, expected: float
) -> None:
    assert touched(1.0, 0.5, spread) == pytest.approx(expected, abs=1e-9)


def test_changing_the_future_changes_no_score_of_the_past() -> None:
    seen = coin(1500, seed=5)
    rng = np.random.default_rng(1)
    changed = batch.History(seen.name, seen.minutes, seen.bars.copy())
    changed.bars[1000:, :3] *= np.exp(0.02 * np.cumsum(rng.standard_normal(500)))[:, None]
    changed.bars[1000:, 3:] *= 7.0
    rules = regime.shipped().regimes()
    plain, other = (batch.watched(each, SHIPPED.asked, rules) for each in (seen, changed))
    for before, after in zip(plain, other, strict=True):
        assert before[:1000].tobytes() == after[:1000].tobytes()
    scores = SHIPPED.probability(plain.inputs[:1000])
    assert scores.tobytes() == SHIPPED.probability(other.inputs)[:1000].tobytes()
    assert np.isfinite(scores[features.WARM_MINUTES :]).all() and np.isnan(scores[: features.WARM_MINUTES - 1]).all()


def test_more_volatility_makes_both_barriers_likelier() -> None:
    rules = regime.shipped().regimes()
    chances = [
        SHIPPED.probability(batch.watched(coin(2000, volatility=each), SHIPPED.asked, rules).inputs)[-1]
        for each in (0.0001, 0.0004, 0.001)
    ]
    assert chances[0] < 0.02 < chances[1] < chances[2] < 0.5


def test_shipped_model_is_calibrated_on_a_driftless_walk() -> None:
    seen = coin(30_000, seed=11, volatility=0.0007)
    inputs = batch.watched(seen, SHIPPED.asked, regime.shipped().regimes()).inputs
    chance, reached = SHIPPED.probability(inputs), batch.outcome(seen, SHIPPED.asked)
    known = ~np.isnan(chance) & ~np.isnan(reached)
    assert reliability(chance[known], reached[known] == 1.0).error < 0.05


@pytest.mark.slow
def test_training_gives_the_same_file_twice_and_leaves_neighbouring_days_out() -> None:
    histories = [coin(8 * batch.DAY, seed=2)]
    recipe = training.Recipe(targets=(1.0,), ratios=(1.0,), every=30)
    made = [training.train(histories, recipe, model.Card(data="made", command="none")) for _ in range(2)]
    assert made[0].hash == made[1].hash
    assert model.decode(made[0].encoded()) == made[0]
    rows = training.rows_of(histories, recipe)
    seen_days: list[set[int]] = []

    def fit(kept: training.Rows) -> training.Scores:
        seen_days.append(set(kept.day.tolist()))
        return lambda inputs: np.zeros(len(inputs))

    training.held_out_log_odds(rows, fit, recipe)
    for part, days in zip(np.array_split(np.unique(rows.day), recipe.folds), seen_days, strict=True):
        assert not days & {int(day) + near for day in part for near in (-1, 0, 1)}


@pytest.mark.parametrize(
    "change",
    [{"stop": 0.1}, {"target": 0.0}, {"scale": (0.0,) * 5}, {"inputs": ("moon",) * 5}, {"knots": ()}, {"horizon": 0}],
    ids=lambda change: next(iter(change)),
)
def test_file_that_does_not_fit_together_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        model.decode(msgspec.structs.replace(SHIPPED, **change).encoded())
