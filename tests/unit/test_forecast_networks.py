"""Networks of the next day's class: one arithmetic in torch and numpy, no look ahead, chance where there is nothing."""

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from benchmarks.direction_losses import halved
from detectors import registry
from detectors.forecast.classes import CLASSES
from detectors.forecast.direction.fitting import Rows
from detectors.forecast.networks import architectures, attention, model
from detectors.forecast.networks.architectures import Numpy, Torch
from detectors.forecast.networks.fitting import LOSSES, Network, Recipe, fit, initial, loss, windows
from detectors.forecast.series import Panel, Series
from detectors.forecast.walk import Fold
from tests.needs import needs

pytestmark = needs("torch")

SMALL = Recipe(batches=40, batch=128, every=10, patience=2)
INPUTS = 5
UNSCALED = {"location": np.zeros(INPUTS, np.float32), "scale": np.ones(INPUTS, np.float32)}


@pytest.fixture
def torch() -> Any:
    """The library, which takes seconds to load."""
    import torch

    return torch


def rows(count: int = 1600, seed: int = 3, signal: float = 0.0) -> tuple[Rows, np.ndarray, Fold]:
    """Two instruments of noise; with a signal the newest first input leans to the next return."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((count, INPUTS))
    returns = rng.standard_normal(count) + signal * values[:, 0]
    each = count // 2
    at = np.tile(np.arange(each), 2)
    made = Rows(
        tuple(f"x{place}" for place in range(INPUTS)), ("A", "B"), np.array([0, each, count]), at, at + 1,
        values, np.ones(count), returns,
    )  # fmt: skip
    fold = Fold(at < 0.5 * each, (at > 0.5 * each) & (at < 0.65 * each), at > 0.65 * each)
    labels = np.searchsorted(np.quantile(returns[fold.fit], np.arange(1, 7) / 7), returns)
    return made, labels, fold


def seen(made: Rows, labels: np.ndarray, fold: Fold) -> tuple[Rows, np.ndarray]:
    """As learners are given them: nothing of what came after rows to be judged."""
    hidden = ~(fold.fit | fold.calibrate)
    return replace(made, returns=np.where(hidden, np.nan, made.returns)), np.where(hidden, -1, labels)


def right(made: Rows, labels: np.ndarray, fold: Fold, name: str = "attention", seed: int = 0) -> float:
    """Rank correlation of the expected class with the true one over the rows to judge."""
    network = fit(name, *seen(made, labels, fold), fold, seed, SMALL)
    expected = network.probabilities(made, fold.test) @ np.arange(7.0)
    return float(np.corrcoef(np.argsort(np.argsort(expected)), labels[fold.test])[0, 1])


@pytest.mark.parametrize("name", architectures.NAMES)
def test_numpy_tells_what_torch_told(torch: Any, name: str) -> None:
    weights = initial(torch, name, INPUTS, 7)
    x = np.random.default_rng(1).standard_normal((9, architectures.STEPS, INPUTS)).astype(np.float32)
    with torch.no_grad():
        wanted = architectures.outputs(name, Torch(torch), weights, torch.from_numpy(x)).numpy()
    arrays = {key: value.detach().numpy() for key, value in weights.items()}
    np.testing.assert_allclose(architectures.outputs(name, Numpy(), arrays, x), wanted, atol=1e-5)


@pytest.mark.parametrize("name", architectures.NAMES)
def test_same_seed_gives_the_same_network_and_another_seed_another(name: str) -> None:
    made, labels, fold = rows(800)
    short = replace(SMALL, batches=4, every=2)
    one, again, other = (fit(name, *seen(made, labels, fold), fold, seed, short) for seed in (1, 1, 2))
    assert all(np.array_equal(one.arrays[key], again.arrays[key]) for key in one.arrays)
    assert not np.array_equal(one.arrays["head_w"], other.arrays["head_w"])


def test_window_begins_with_its_instrument_and_ends_with_its_row() -> None:
    found = windows(np.array([0, 40, 80]), np.array([3, 39, 40, 79]))
    assert found.shape == (4, architectures.STEPS)
    assert found[:, -1].tolist() == [3, 39, 40, 79]
    assert (found[0][:-4] == -1).all() and found[0][-4:].tolist() == [0, 1, 2, 3]
    assert (found[2][:-1] == -1).all() and found[3].min() == 48


@pytest.mark.parametrize("name", architectures.NAMES)
def test_later_bars_and_other_instruments_change_no_forecast(torch: Any, name: str) -> None:
    made, _, _ = rows(200)
    arrays = {key: value.detach().numpy() for key, value in initial(torch, name, INPUTS, 1).items()}
    network = Network(name, arrays | UNSCALED)
    wanted = np.arange(200) == 60
    changed = made.values.copy()
    changed[61:] += 5.0
    before = network.probabilities(made, wanted)
    assert np.array_equal(before, network.probabilities(replace(made, values=changed), wanted))
    changed[60] += 5.0
    assert not np.allclose(before, network.probabilities(replace(made, values=changed), wanted))


def test_fit_looks_at_no_target_and_no_input_of_rows_to_judge() -> None:
    made, labels, fold = rows(800)
    short = replace(SMALL, batches=4, every=2)
    one = fit("attention", *seen(made, labels, fold), fold, 0, short)
    values = made.values.copy()
    values[fold.test] = 99.0
    other = fit("attention", *seen(replace(made, values=values), labels, fold), fold, 0, short)
    assert all(np.array_equal(one.arrays[key], other.arrays[key]) for key in one.arrays)


@pytest.mark.slow
@pytest.mark.parametrize("name", architectures.NAMES)
def test_noise_is_told_by_chance_and_a_planted_lean_is_found(name: str) -> None:
    assert abs(right(*rows(), name=name)) < 0.15
    assert right(*rows(signal=1.0), name=name) > 0.4


def test_labels_shuffled_within_blocks_are_told_by_chance() -> None:
    made, labels, fold = rows(signal=1.0)
    rng = np.random.default_rng(5)
    shuffled = np.arange(len(made)).reshape(-1, 20)
    order = rng.permuted(shuffled, axis=1).ravel()
    mixed = replace(made, returns=made.returns[order])
    assert abs(right(mixed, labels[order], fold)) < 0.15


def test_inputs_that_are_not_known_stand_at_their_median() -> None:
    made, labels, fold = rows(800)
    values = made.values.copy()
    values[:, 0], values[::3, 1] = np.nan, np.nan
    holed = replace(made, values=values)
    network = fit("resnet", *seen(holed, labels, fold), fold, 0, replace(SMALL, batches=2, every=1))
    found = network.probabilities(holed, fold.test)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found.sum(axis=1), 1.0)


def test_too_few_rows_are_refused() -> None:
    made, labels, fold = rows(200)
    with pytest.raises(ValueError, match="too few"):
        fit("attention", *seen(made, labels, fold), fold, 0, SMALL)


def test_focal_loss_counts_rows_told_well_less_and_multi_task_adds_the_return(torch: Any) -> None:
    sure = torch.zeros(1, 8)
    sure[0, 2] = 5.0
    labels, returns = torch.tensor([2]), torch.tensor([1.0])
    plain, focal, both = (float(loss(torch, name, sure, labels, returns)) for name in LOSSES)
    assert focal < 0.01 * plain
    assert both == pytest.approx(plain + 0.5 * 0.5)
    with pytest.raises(ValueError, match="no loss"):
        loss(torch, "other", sure, labels, returns)


def file(name: str = "resnet") -> model.NetworkModel:
    import torch

    arrays = {key: value.detach().numpy() for key, value in initial(torch, name, INPUTS, 1).items()}
    cuts = (-0.03, -0.02, -0.01, 0.01, 0.02, 0.03)
    described = model.NetworkMetadata(name, tuple(f"x{place}" for place in range(INPUTS)), cuts, 1.5, "focal")
    return model.NetworkModel(described, arrays | UNSCALED)


def test_model_file_comes_back_as_it_was_and_tells_the_same() -> None:
    made, _, fold = rows(200)
    one = file()
    again = model.decode(one.encoded())
    assert again.hash == one.hash and again.described == one.described
    assert np.array_equal(again.network().probabilities(made, fold.test), one.network().probabilities(made, fold.test))
    known = registry.read(one.encoded())
    assert known.detector == "resnet" and known.summary()["inputs"] == INPUTS and "Temperature" in known.markdown()


def test_model_file_with_wrong_arrays_or_description_is_refused() -> None:
    one = file()
    with pytest.raises(ValueError, match="arrays are not those"):
        model.decode(model.NetworkModel(one.described, {"head_w": one.arrays["head_w"]}).encoded())
    with pytest.raises(ValueError, match="not above 0"):
        model.decode(model.NetworkModel(one.described, one.arrays | {"scale": np.zeros(INPUTS, np.float32)}).encoded())
    with pytest.raises(ValueError, match="six increasing"):
        model.decode(model.NetworkModel(msgspec.structs.replace(one.described, cuts=(0.0,)), one.arrays).encoded())
    other = msgspec.structs.replace(one.described, detector="kmeans")
    with pytest.raises(ValueError, match="is not attention"):
        model.decode(model.NetworkModel(other, one.arrays).encoded())


def panel(bars: int = 420) -> Panel:
    """Two instruments of daily bars that walk at random."""
    series = {}
    for seed, name in enumerate(("A", "B")):
        rng = np.random.default_rng(seed)
        close = 50.0 * np.exp(np.cumsum(0.01 * rng.standard_normal(bars)))
        first = close * np.exp(0.003 * rng.standard_normal(bars))
        high, low = np.maximum(first, close) * 1.005, np.minimum(first, close) * 0.995
        at = (np.datetime64("2018-01-02", "D") + np.arange(bars)).astype("datetime64[ns]").astype(np.int64)
        series[name] = Series(name, at, first, high, low, close, 1e6 * np.exp(0.2 * rng.standard_normal(bars)))
    return Panel(series)


def test_network_is_trained_on_a_panel_and_tells_every_instruments_newest_bar() -> None:
    pytest.importorskip("talib", reason="the extra `forecast` is not installed")
    bars, said = panel(), list[str]()
    one = attention.train(bars, 3, said.append, recipe=replace(SMALL, batches=4, every=2))
    assert "rows fitted" in said[0] and one.card.rows > 200 and one.described.detector == attention.NAME
    told = attention.predict(attention.decode(one.encoded()), bars)
    assert [each.instrument for each in told] == ["A", "B"]
    for each in told:
        assert tuple(each.classes) == CLASSES and sum(each.classes.values()) == pytest.approx(1.0)
        assert each.reference == bars.series[each.instrument].close[-1]
        assert (each.horizon, each.target, each.as_of) == ("1d", "direction", bars.series[each.instrument].at[-1])
    cut = bars.until(int(bars.series["A"].at[-2]))
    assert attention.predict(one, cut) != told == attention.predict(one, bars)


def test_losses_are_compared_on_rows_that_neither_fit_nor_stop_and_no_judged_year_has() -> None:
    made, _, _ = rows(1600)
    day = (np.datetime64("2014-06-01", "D") + np.arange(800)).astype("datetime64[ns]").astype(np.int64)
    at = np.tile(day, 2)
    dated = replace(made, at=at, known=at + 86_400_000_000_000)
    fold = halved(dated, 2016)
    begin = np.datetime64("2016-01-01", "ns").astype(np.int64)
    assert dated.known[fold.test].max() < begin
    assert dated.known[fold.calibrate].max() < at[fold.test].min()
    assert dated.known[fold.fit].max() < at[fold.calibrate].min()
    assert fold.test.sum() > 50
    with pytest.raises(ValueError, match="no bars before"):
        halved(dated, 2010)
