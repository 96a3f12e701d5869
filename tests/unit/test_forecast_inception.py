"""Factor images and the networks over them: nothing later shows, padding keeps sizes, noise gives chance."""

import dataclasses

import numpy as np
import pytest

from detectors import registry
from detectors.forecast.factors.table import LOOKBACK
from detectors.forecast.inception import model as inception
from detectors.forecast.inception.fitting import Calibration, fit, predicted
from detectors.forecast.inception.images import AHEAD, DAYS, REACH, Images, images
from detectors.forecast.inception.network import BLOCKS, STEM, NumpyLayers, TorchLayers, log_odds, shapes
from detectors.forecast.inception.network import inception as inception_block
from detectors.forecast.inception.rivals import logistic
from detectors.forecast.series import Panel, Series, hash_of
from detectors.forecast.walk import Fold
from tests.unit.inception_panel import factors, panel, series, walk_of


def waves_of(days: int, seed: int) -> np.ndarray:
    """Prices that go up for 14 days after they went down for 14, with a little noise."""
    wave = np.sin(2.0 * np.pi * np.arange(days) / (2.0 * AHEAD))
    return 100.0 * np.exp(0.05 * wave + np.random.default_rng(seed).normal(0.0, 0.003, days))


def halves(found: Images) -> Fold:
    """Fitted on the first 70 %, calibrated on the next 15 %, judged on the rest; labels never reach over."""
    rows = np.arange(len(found.at))
    first, second = int(len(rows) * 0.7), int(len(rows) * 0.85)
    return Fold(rows < first - AHEAD, (rows >= first) & (rows < second - AHEAD), found.labelled & (rows >= second))


def test_an_image_ends_on_its_day_and_is_scaled_by_the_days_it_reaches_back():
    given = panel()
    found = images(given, ("a", "b"), factors)
    values = factors(given.series["b"])[1]
    row = 7
    end = int(np.searchsorted(given.series["a"].at, found.at[row]))
    reached = values[end - REACH + 1 : end + 1]
    wanted = (reached[-DAYS:, :3] - reached[:, :3].mean(axis=0)) / reached[:, :3].std(axis=0)
    np.testing.assert_allclose(found.pixels[row, 1, :, :3], np.clip(wanted, -4, 4), rtol=1e-5, atol=1e-6)
    assert not found.pixels[row, 1, :, 3].any()  # a factor that stands still says nothing


def test_the_label_is_the_close_14_bars_later_and_known_only_then():
    given = panel()
    found = images(given, ("a", "b"), factors)
    close, at = given.series["a"].close, given.series["a"].at
    ends = np.searchsorted(at, found.at)
    labelled = found.labelled
    np.testing.assert_array_equal(found.up[labelled], close[ends[labelled] + AHEAD] > close[ends[labelled]])
    np.testing.assert_array_equal(found.known[labelled], at[ends[labelled] + AHEAD])
    assert labelled.sum() == len(labelled) - AHEAD


def test_later_bars_change_no_image():
    given = panel()
    changed = {}
    for name, bars in given.series.items():
        later = bars.close.copy()
        later[300:] *= 3.0
        changed[name] = dataclasses.replace(bars, open=later, high=later * 1.2, low=later * 0.7, close=later)
    before, after = (images(each, ("a", "b"), factors) for each in (given, Panel(changed)))
    same = before.at < given.series["a"].at[300]
    assert same.sum() > 100
    np.testing.assert_array_equal(before.pixels[same], after.pixels[same])
    known = same & (before.known < given.series["a"].at[300])
    np.testing.assert_array_equal(before.up[known], after.up[known])


def test_windows_are_counted_under_the_first_reason_that_drops_them():
    a, b = series("a", walk_of(400, 0)), series("b", walk_of(300, 1), first=60)
    hole = np.delete(np.arange(300), 200)
    b = Series("b", *(getattr(b, name)[hole] for name in Series.__slots__[1:]))
    found = images(Panel({"a": a, "b": b}), ("a", "b"), factors)
    lost = found.loss
    assert lost.possible == 400 - DAYS + 1
    assert lost.used + sum(lost.dropped.values()) == lost.possible
    # b begins on day 60 and ends on day 359: 40 windows end behind it, those that begin before it reach up to day 170.
    assert lost.dropped["non_overlapping"] == (170 - DAYS + 2) + 40
    # Its factors are warm on its 21st day.
    assert lost.dropped["warm_up"] == 20
    # Day 260 is missing in b: 112 windows reach back over it, up to day 359.
    assert lost.dropped["channel_missing"] == 100
    assert lost.dropped["nan_factor"] == 0 and lost.dropped["label_unknown"] == 0
    assert lost.ratios["channel_missing"] == pytest.approx(100 / 345)


def test_a_hole_in_a_factor_and_labels_not_yet_known_drop_windows():
    def holed(of: Series) -> tuple[tuple[str, ...], np.ndarray]:
        names, values = factors(of)
        values[250, 2] = np.nan
        return names, values

    lost = images(panel(), ("a",), holed).loss
    assert lost.dropped["nan_factor"] == REACH
    assert lost.dropped["label_unknown"] == AHEAD


def test_a_channel_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="no bars of z"):
        images(panel(), ("a", "z"), factors)


def drawn(size: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Arrays of a network."""
    rng = np.random.default_rng(5)
    return {name: rng.normal(0.0, 0.3, shape).astype(np.float32) for name, shape in size.items()}


@pytest.mark.parametrize(("days", "columns"), [(56, 41), (7, 6), (1, 3)])
def test_same_padding_keeps_rows_and_columns_through_a_block(days, columns):
    parameters = drawn(shapes("inception", 2, DAYS, 8))
    given = np.random.default_rng(0).normal(size=(2, STEM, days, columns))
    assert inception_block(NumpyLayers(), parameters, "block0", given).shape == (2, BLOCKS[0].width, days, columns)


@pytest.mark.parametrize("kind", ["inception", "cnn"])
@pytest.mark.parametrize(("days", "columns"), [(56, 9), (13, 5)])
def test_numpy_and_torch_give_the_same_log_odds(kind, days, columns):
    torch = pytest.importorskip("torch")
    parameters = drawn(shapes(kind, 2, days, columns))
    pixels = np.random.default_rng(1).normal(size=(3, 2, days, columns)).astype(np.float32)
    held = {name: torch.from_numpy(np.asarray(array)) for name, array in parameters.items()}
    of_torch = log_odds(kind, TorchLayers(torch), held, torch.from_numpy(pixels)).numpy()
    np.testing.assert_allclose(predicted(kind, parameters, pixels), of_torch, rtol=1e-4, atol=1e-4)


def test_both_networks_are_of_one_size():
    weights = [
        sum(int(np.prod(shape)) for shape in shapes(kind, 3, DAYS, 41).values()) for kind in ("inception", "cnn")
    ]
    assert abs(weights[0] - weights[1]) < 0.05 * weights[0]


def auc(chance: np.ndarray, up: np.ndarray) -> float:
    """Chance that a rise is ranked above a fall."""
    above = chance[up][:, None] - chance[~up][None, :]
    return float((above > 0).mean() + 0.5 * (above == 0).mean())


def test_a_planted_wave_is_learnt_and_the_same_seed_gives_the_same_weights():
    pytest.importorskip("torch")
    found = images(panel(500, waves_of), ("a",), factors)
    fold = halves(found)
    first, again = (fit(found.pixels, found.up, fold, 3, steps=20) for _ in range(2))
    other = fit(found.pixels, found.up, fold, 4, steps=1)
    for name, array in first.parameters.items():
        np.testing.assert_array_equal(array, again.parameters[name])
    assert (first.parameters["stem.weight"] != other.parameters["stem.weight"]).any()
    assert auc(first.probabilities(found.pixels[fold.test]), found.up[fold.test]) > 0.9


@pytest.mark.slow
def test_labels_shuffled_within_blocks_and_noise_give_chance():
    pytest.importorskip("torch")
    found = images(panel(900, waves_of), ("a",), factors)
    fold = halves(found)
    rng = np.random.default_rng(0)
    shuffled = found.up.copy()
    for begin in range(0, len(shuffled), 4 * AHEAD):
        rng.shuffle(shuffled[begin : begin + 4 * AHEAD])
    noise = rng.normal(size=found.pixels.shape).astype(np.float32)
    of_shuffled = fit(found.pixels, shuffled, fold, 0, steps=40).probabilities(found.pixels[fold.test])
    of_noise = fit(noise, found.up, fold, 0, steps=40).probabilities(noise[fold.test])
    assert abs(auc(of_shuffled, shuffled[fold.test]) - 0.5) < 0.15
    assert abs(auc(of_noise, found.up[fold.test]) - 0.5) < 0.15
    flat = noise.reshape(len(noise), -1).astype(np.float64)
    assert abs(auc(logistic(flat, found.up, fold), found.up[fold.test]) - 0.5) < 0.15


@pytest.fixture(scope="module")
def bars() -> Panel:
    """Two indices long enough for the whole factor table."""
    return Panel({name: series(name, walk_of(620, seed)) for seed, name in enumerate(("SPY", "QQQ"))})


@pytest.fixture(scope="module")
def trained(bars) -> inception.InceptionModel:
    """A model trained for a few steps."""
    pytest.importorskip("torch")
    pytest.importorskip("talib")
    return inception.train(bars, 1, steps=4)


def test_model_file_comes_back_the_same_and_the_registry_reads_it(trained):
    data = trained.encoded()
    again = inception.decode(data)
    assert again.hash == trained.hash and again.described == trained.described
    known = registry.read(data)
    assert known.detector == inception.NAME and known.hash == trained.hash
    assert "SPY" in known.markdown() and known.summary()["target"] == "SPY"


def test_a_file_whose_arrays_are_not_the_networks_is_refused(trained):
    broken = inception.InceptionModel(
        trained.described, {name: array for name, array in trained.arrays.items() if name != "head.bias"}
    )
    with pytest.raises(ValueError, match="arrays are not"):
        inception.decode(broken.encoded())


def test_forecast_is_a_probability_of_the_newest_bar_and_needs_the_newest_bars_alone(trained, bars):
    (told,) = inception.predict(trained, bars)
    assert (told.instrument, told.horizon, told.target) == ("SPY", "14d", "direction")
    assert told.as_of == bars.series["SPY"].at[-1] and told.reference == bars.series["SPY"].close[-1]
    assert sum(told.classes.values()) == pytest.approx(1.0) and set(told.classes) == {"down", "up"}
    newest = Panel({name: each[-400:] for name, each in bars.series.items()})
    assert inception.predict(trained, newest) == [told]


def test_forecast_does_not_depend_on_how_far_back_a_channel_with_more_bars_reaches(trained):
    daily = series("QQQ", walk_of(900, 3))
    weekdays = np.flatnonzero(np.arange(900) % 7 < 4)
    target = series("SPY", walk_of(900, 4))
    some = Series("SPY", *(getattr(target, name)[weekdays] for name in Series.__slots__[1:]))
    whole = inception.predict(trained, Panel({"SPY": some, "QQQ": daily}))
    begin = int(np.searchsorted(daily.at, some.at[-REACH])) + 1 - LOOKBACK
    # Less than a bar for each bar of the target is not enough; what the image reaches back to is.
    assert whole and inception.predict(trained, Panel({"SPY": some, "QQQ": daily[begin:]})) == whole
    found = images(Panel({"SPY": some, "QQQ": daily}), ("SPY", "QQQ"), inception.factors)
    by_hand = predicted("inception", trained.arrays, found.pixels[-1:])
    learnt = Calibration(trained.described.base, trained.described.slope)
    assert whole[0].classes["up"] == float(learnt.probabilities(by_hand)[0])


def test_the_card_tells_the_data_and_how_to_make_the_model_again(trained, bars):
    assert trained.card.data_hash == hash_of(bars)
    assert trained.card.command == "tapewatch train all --models inception --seed 1"


def test_no_forecast_where_a_channel_lacks_the_newest_bar(trained, bars):
    assert inception.predict(trained, Panel({"SPY": bars.series["SPY"], "QQQ": bars.series["QQQ"][:-1]})) == []
    assert inception.predict(trained, Panel({"SPY": bars.series["SPY"]})) == []


def test_indices_are_the_channels_unless_others_are_named(bars):
    assert inception.channels_of(bars) == ("SPY", "QQQ")
    assert inception.channels_of(bars, target="QQQ") == ("QQQ", "SPY")
    assert inception.channels_of(panel()) == ("a", "b")
    venues = Panel(dict.fromkeys(("AAPL.XNAS", "QQQ.XNAS", "SPY.ARCX"), bars.series["SPY"]))
    assert inception.channels_of(venues) == ("SPY.ARCX", "QQQ.XNAS")
    with pytest.raises(ValueError, match="no bars of IWM"):
        inception.channels_of(bars, ("IWM",))
