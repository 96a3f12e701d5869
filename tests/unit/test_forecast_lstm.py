"""The LSTM forecast: inputs of a window, inference without torch, training by seed, no skill where there is none."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from detectors import registry
from detectors.forecast import lstm
from detectors.forecast.lstm import forecasting, inputs, score, training
from detectors.forecast.lstm.forecasting import fit_fold, returns, rows_of, whole
from detectors.forecast.lstm.inputs import FEATURES, LOOKBACK, WINDOW
from detectors.forecast.lstm.model import DAY, MINUTE, LstmMetadata, Model
from detectors.forecast.lstm.training import Recipe
from detectors.forecast.series import Panel, Series, hash_of
from detectors.forecast.walk import folds
from tapewatch.cli import main
from tests.unit.minute_bars import untrained

_DAY_NS = 86_400_000_000_000
SMALL = Recipe(epochs=2, batch=32, units=8)


def random_walk(name: str = "A", rows: int = 400, seed: int = 0, step: int = _DAY_NS) -> Series:
    """Bars of a price that cannot be forecast."""
    random = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(random.normal(0.0, 0.01, rows)))
    low, high = (close * np.exp(sign * random.random(rows) * 0.01) for sign in (-1.0, 1.0))
    at = np.arange(1, rows + 1, dtype=np.int64) * step
    return Series(name, at, np.sqrt(low * high), high, low, close, random.lognormal(10.0, 1.0, rows))


def test_window_knows_no_bar_outside_it() -> None:
    bars = inputs.bars_of(random_walk())
    ends = np.array([200])
    changed = bars.copy()
    changed[: 200 - LOOKBACK] *= 3.0
    changed[200:] *= 5.0
    before, after = inputs.windows(bars, ends), inputs.windows(changed, ends)
    assert before.inputs.tobytes() == after.inputs.tobytes()
    assert before.volatility.tobytes() == after.volatility.tobytes()


def test_window_is_the_same_in_any_unit_of_price_and_volume() -> None:
    bars = inputs.bars_of(random_walk())
    scaled = bars * np.array([8.0, 8.0, 8.0, 8.0, 1024.0])
    ends = np.array([LOOKBACK, 300])
    np.testing.assert_allclose(inputs.windows(bars, ends).inputs, inputs.windows(scaled, ends).inputs, atol=1e-5)


def test_window_without_trade_or_move_is_finite() -> None:
    bars = np.tile([5.0, 5.0, 5.0, 5.0, 0.0], (LOOKBACK, 1))
    found = inputs.windows(bars, np.array([LOOKBACK]))
    assert not found.inputs.any()
    assert found.volatility[0] == inputs.LEAST_VOLATILITY


def test_window_is_not_taken_across_a_gap() -> None:
    at = np.arange(200, dtype=np.int64) * 60_000_000_000
    at[120:] += 2 * _DAY_NS
    ends = whole(at, _DAY_NS)
    assert ends.tolist() == [*range(LOOKBACK, 121), *range(120 + LOOKBACK, 201)]


def test_compiled_forecast_is_torchs() -> None:
    torch = pytest.importorskip("torch")
    recipe = Recipe(units=16)
    net = training.network(torch, recipe)
    given = np.random.default_rng(0).normal(size=(64, WINDOW, FEATURES)).astype(np.float32)
    with torch.no_grad():
        expected = net(torch.from_numpy(given), torch.ones(64, 16)).numpy()
    model = Model(LstmMetadata(DAY), lstm.model.arranged(training.state_of(net)))
    out = np.empty(64, dtype=np.float32)
    score.forecasts(model.network(), given, score.scratch(16), out)
    np.testing.assert_allclose(out, expected, atol=1e-5)


def test_one_window_and_many_give_the_same_bits() -> None:
    model, series = untrained(units=32), random_walk(rows=300)
    ends = whole(series.at, 30 * _DAY_NS)
    bars = inputs.bars_of(series)
    batch = returns(model, bars, ends)
    alone = [returns(model, bars[end - LOOKBACK : end], np.array([LOOKBACK]))[0] for end in ends]
    assert batch.tobytes() == np.array(alone).tobytes()
    assert len(np.unique(batch)) == len(ends)


def test_same_seed_trains_the_same_model_and_its_file_says_so() -> None:
    pytest.importorskip("torch")
    panel = Panel({"A": random_walk("A"), "B": random_walk("B", seed=1)})
    first, again, other = (lstm.train(panel, seed, recipe=SMALL) for seed in (1, 1, 2))
    assert first.encoded() == again.encoded() != other.encoded()
    known = registry.read(first.encoded())
    assert (known.detector, known.hash) == ("lstm", hashlib.sha256(first.encoded()).hexdigest()[:16])
    assert known.summary()["rows"] == 2 * (400 - LOOKBACK)
    assert "LSTM" in known.markdown()
    assert first.card.data_hash == hash_of(panel)


@pytest.mark.parametrize("sizes", [("--units", "6"), ("--epochs", "0"), ("--held-out", "1"), ("--held-out", "-1")])
def test_size_that_cannot_be_is_refused(sizes: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "lstm", "--minute", "none.csv", *sizes]) == 1
    assert sizes[0] in capsys.readouterr().err


def test_two_files_of_one_instruments_minutes_are_joined(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    for part in (0, 1):
        lines = [f"{60 * (150 * part + row)},9,11,8,{9 + row % 3},{row}" for row in range(200)]
        (tmp_path / f"BTC_1m_{part}.csv").write_text("\n".join(["timestamp,open,high,low,close,volume", *lines]))
    files = sorted(tmp_path.glob("*.csv"))
    sizes = ("--epochs", "1", "--units", "4", "--out", str(tmp_path / "model"))
    assert main(["--data", str(tmp_path), "train", "lstm", "--minute", *map(str, files), *sizes]) == 0
    assert lstm.decode((tmp_path / "model").read_bytes()).card.rows == 350 - LOOKBACK


def test_dropout_and_batches_do_not_depend_on_who_asks() -> None:
    whole_run = list(training.schedule(100, SMALL))
    again = list(training.schedule(100, SMALL))
    assert [step.number for step in whole_run] == list(range(2 * 3))
    assert all((a.rows == b.rows).all() and (a.keep == b.keep).all() for a, b in zip(whole_run, again, strict=True))
    assert training.kept(Recipe(dropout=0.0), 5, 7).min() == 1.0


def test_forecast_is_of_the_newest_bar_and_needs_a_whole_window() -> None:
    model = untrained(horizon=DAY)
    series = random_walk("A", rows=120)
    panel = Panel({"A": series, "B": random_walk("B", rows=LOOKBACK - 1)})
    (found,) = lstm.predict(model, panel)
    value = returns(model, inputs.bars_of(series), np.array([120]))[0]
    assert (found.instrument, found.as_of, found.horizon, found.target) == ("A", series.at[-1], "1d", "close")
    assert found.reference == series.close[-1]
    assert found.value == series.close[-1] * np.exp(value)


@pytest.mark.parametrize("wrong", ["arrays", "inputs", "horizon"])
def test_file_that_does_not_fit_is_refused(wrong: str) -> None:
    model = untrained()
    files = {
        "arrays": Model(model.described, model.arrays | {"bias": np.zeros(3, np.float32)}),
        "inputs": Model(LstmMetadata(MINUTE, inputs=("close",)), model.arrays),
        "horizon": Model(LstmMetadata("5d"), model.arrays),
    }
    with pytest.raises(ValueError, match="fit together" if wrong == "arrays" else wrong):
        lstm.decode(files[wrong].encoded())


def _ratio(panel: Panel, shuffled: bool) -> float:
    """RMSE on returns against persistence in the last fifth of time, learnt from the rest."""
    rows = rows_of(panel)
    if shuffled:
        random = np.random.default_rng(5)
        for begin in range(0, len(rows), 20):
            random.shuffle(rows.targets[begin : begin + 20])
    boundary = np.quantile(rows.at, [0.8, 1.0]).astype(np.int64)
    (fold,) = folds(rows.at, rows.known, boundary)
    actual = rows.targets[fold.test] * rows.volatility[fold.test]
    expected = fit_fold(rows, fold, Recipe(epochs=12, batch=32, units=16, learning_rate=3e-3))
    return float(np.sqrt(np.mean((expected - actual) ** 2) / np.mean(actual**2)))


def trending(rows: int = 1200) -> Panel:
    """Bars whose next return leans on the last one: there is something to learn."""
    random = np.random.default_rng(1)
    moves = random.normal(0.0, 0.01, rows)
    for row in range(1, rows):
        moves[row] += 0.8 * moves[row - 1]
    series = random_walk(rows=rows)
    close = 100.0 * np.exp(np.cumsum(moves))
    return Panel({"A": Series("A", series.at, close, close, close, close, series.volume)})


@pytest.mark.slow
def test_learns_what_can_be_learnt_and_nothing_from_targets_shuffled_in_blocks() -> None:
    pytest.importorskip("torch")
    assert _ratio(trending(), shuffled=False) < 0.9
    assert _ratio(trending(), shuffled=True) > 0.95


def test_noise_gives_no_better_than_persistence() -> None:
    pytest.importorskip("torch")
    assert _ratio(Panel({"A": random_walk(rows=800)}), shuffled=False) > 0.97


def test_too_little_to_learn_from_is_said() -> None:
    with pytest.raises(ValueError, match=f"fewer than {forecasting.LEAST_ROWS}"):
        rows_of(Panel({"A": random_walk(rows=100)}))
