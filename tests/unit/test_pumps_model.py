"""The pump model: exported trees, the shipped file, the threshold, and what it takes for a pump."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from benchmarks import thin_market
from detectors.boosted import forest
from detectors.pumps import batch, features, model, training
from detectors.pumps.model import markdown
from detectors.pumps.training import FeatureRows, Material, Recipe
from tapewatch.kernels import kernel

SHIPPED = Path(model.__file__).parent / "shipped" / "pumps.json"


def published(x: np.ndarray) -> FeatureRows:
    coins = np.array([f"C{row % 12}" for row in range(len(x))], dtype=object)
    return FeatureRows(x, coins, np.arange(len(x)))


def material(seed: int = 1) -> Material:
    rng = np.random.default_rng(seed)
    pumps, spikes = rng.lognormal(-1.0, 1.0, (90, features.COUNT)), rng.normal(0.0, 0.2, (300, features.COUNT))
    quiet = rng.normal(0.0, 0.05, (400, 3, features.COUNT))
    quiet[:50, 2] = np.nan
    return Material([published(pumps)] * 3, [published(spikes)] * 3, [quiet])


@kernel
def log_odds(x, window, model, out):
    for row in range(x.shape[0]):
        out[row] = forest.log_odds(x[row], window, model)


@pytest.mark.slow
def test_exported_trees_say_what_scikit_learn_says() -> None:
    rows, recipe = material(), Recipe(trees=30)
    made = training.train(rows, recipe, model.Card())
    x = np.concatenate([rows.positives[0].x, rows.spikes[0].x])
    for window in range(3):
        found = np.empty(len(x))
        log_odds(x, window, made.trees().forest, found)
        wanted = training.fit(rows, window, recipe).predict_proba(x)[:, 1]
        np.testing.assert_allclose(1.0 / (1.0 + np.exp(-found)), wanted, atol=1e-7)


@pytest.mark.slow
def test_same_seed_gives_the_same_hash() -> None:
    recipe = Recipe(trees=10)
    hashes = {training.train(material(), recipe, model.Card()).hash for _ in range(2)}
    assert len(hashes) == 1


def test_coins_left_out_are_in_no_chunk_length() -> None:
    rest = material().without(("C3",))
    assert all("C3" not in rows.symbol for rows in rest.positives)
    assert all(len(rows) < 90 for rows in rest.positives)


def test_alert_probability_spends_the_budget() -> None:
    seconds = np.arange(10) * 10_000
    runs = [(seconds, np.linspace(0.05, 0.95, 10))]
    assert training.alert_probability(runs, 3, 1800) == pytest.approx(0.75)
    assert training.alert_probability(runs, 0, 1800) == 1.0


def test_no_second_alert_within_the_cooldown() -> None:
    seconds, found = np.array([0, 100, 1799, 1800, 1900]), np.full(5, 0.9)
    assert batch.alerts(seconds, found, 0.5, 1800).tolist() == [0, 3]


def test_shipped_model_is_small_whole_and_as_its_card_says() -> None:
    assert SHIPPED.stat().st_size < 300_000
    shipped = model.shipped()
    assert shipped.encoded() == SHIPPED.read_bytes()
    assert shipped.problem() == ""
    assert (Path(__file__).parents[2] / "docs" / "cards" / "pumps.md").read_text().startswith(markdown(shipped))


@pytest.mark.parametrize(
    "change",
    [{"alert": 0.0}, {"inputs": ("hour_sin",)}, {"version": "2.0"}, {"boosters": ()}, {"detector": "kmeans"}],
)
def test_model_that_does_not_fit_together_is_refused(change: dict[str, Any]) -> None:
    wrong = msgspec.structs.replace(model.shipped(), **change)
    with pytest.raises(ValueError):
        model.decode(wrong.encoded())


def test_trees_that_never_end_are_refused() -> None:
    booster = model.shipped().boosters[0]
    node = next(n for n, feature in enumerate(booster.feature) if feature >= 0)
    left = (*booster.left[:node], node, *booster.left[node + 1 :])
    assert msgspec.structs.replace(booster, left=left).problem() == "a node's children do not lie behind it"


def crowd(rng: np.random.Generator, start_ms: int, price: float):
    """A crowd's buys: three hundred orders in twenty seconds that fill several others each and drive the price up."""
    at = np.sort(rng.integers(start_ms, start_ms + 20_000, 300))
    ms = np.repeat(at, rng.integers(1, 6, len(at)))
    return ms, price * np.exp(0.3 * (ms - start_ms) / 20_000), rng.lognormal(0.5, 1.0, len(ms))


def test_crowd_in_a_thin_coin_is_found_within_seconds_and_ordinary_days_raise_nothing() -> None:
    shipped = model.shipped()
    trades = thin_market.simulate(99, 4.0)
    ms, price = trades.ms[trades.buy], trades.price[trades.buy]
    notional = (trades.price * trades.qty)[trades.buy]
    seconds, found = batch.chances(ms, price, notional, shipped.trees())
    assert len(batch.alerts(seconds, found, shipped.alert, 1800)) == 0
    start = int(ms[-1]) // 60_000 * 60_000 + 60_000
    more = crowd(np.random.default_rng(1), start, float(price[-1]))
    ms, price, notional = (np.concatenate(pair) for pair in zip((ms, price, notional), more, strict=True))
    seconds, found = batch.chances(ms, price, notional, shipped.trees())
    opened = seconds[batch.alerts(seconds, found, shipped.alert, 1800)]
    assert len(opened) == 1
    assert start // 1000 <= opened[0] <= start // 1000 + 8


def test_one_whale_that_sweeps_the_book_is_no_pump() -> None:
    shipped = model.shipped()
    trades = thin_market.simulate(98, 4.0)
    ms, price = trades.ms[trades.buy], trades.price[trades.buy]
    notional = (trades.price * trades.qty)[trades.buy]
    whale = np.full(15, ms[-1] + 90_000)
    seconds, found = batch.chances(
        np.concatenate([ms, whale]),
        np.concatenate([price, price[-1] * np.linspace(1.0, 1.03, 15)]),
        np.concatenate([notional, np.full(15, 10.0 * notional.mean())]),
        shipped.trees(),
    )
    late = found[seconds >= whale[0] // 1000]
    assert (late < shipped.alert).all()
