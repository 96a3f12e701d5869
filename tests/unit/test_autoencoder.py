"""The autoencoder compiled: equal to torch, the same however rows are cut into calls, NaN where it cannot know."""

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest

from detectors.autoencoder import batch, inputs, model, score, training
from detectors.kmeans.sample import Sample, build

VECTORS = Path(__file__).resolve().parents[1] / "vectors" / "autoencoder.json"
RNG_SEED = 5


def network_arrays(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    arrays = {name: rng.normal(0.0, 0.2, shape).astype(np.float32) for name, shape in score.SHAPES.items()}
    arrays["scaling"] = np.array([np.full(inputs.COUNT, 0.1), np.full(inputs.COUNT, 0.7)], dtype=np.float32)
    arrays["weight"] = rng.uniform(0.5, 2.0, inputs.COUNT).astype(np.float32)
    return arrays


def made(seed: int = 0) -> model.AutoencoderModel:
    described = model.AutoencoderMetadata("stock", inputs.INPUTS, inputs.SOURCES, ((0.0, 0.0), (9.0, 0.9)), 5.0)
    return model.AutoencoderModel(described, network_arrays(seed))


def market(seconds: int = 60, instruments: int = 3, seed: int = RNG_SEED) -> Sample:
    rng = np.random.default_rng(seed)
    rows = seconds * instruments
    values = np.abs(rng.normal(1.0, 0.5, (rows, len(inputs.SOURCES))))
    names = np.repeat([f"S{number}" for number in range(instruments)], seconds).astype(object)
    steps = np.tile(np.arange(1000, 1000 + seconds, dtype=np.int64), instruments)
    return build(names, steps, inputs.SOURCES, values)


def plain_errors(arrays: dict[str, np.ndarray], rows: Sample, reconstruct) -> np.ndarray:
    """The score by its definition, window by window. reconstruct : of [windows, 32, 16], newest first."""
    index = np.arange(len(inputs.SOURCES))
    x = batch.prepared(rows.values.T.astype(np.float32), index, arrays["scaling"]).T
    found = np.full(len(rows), np.nan)
    for first, end in zip(rows.starts, rows.starts[1:], strict=False):
        for at in range(first + score.WINDOW - 1, end):
            window = x[at - np.arange(score.WINDOW)]
            out, code = reconstruct(np.nan_to_num(window)[None])
            apart = np.square(out.reshape(score.PATCH, inputs.COUNT) - window[: score.PATCH]) * arrays["weight"]
            there = np.count_nonzero(~np.isnan(apart)) + score.CODE
            found[at] = np.sqrt((np.nansum(apart) + np.square(code).sum()) / there)
    return found


def plain_reconstruct(arrays: dict[str, np.ndarray]):
    w = {name: array.astype(np.float64) for name, array in arrays.items()}

    def run(window: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        patches = window.reshape(8, 64).astype(np.float64)
        h1 = np.maximum(patches @ w["w1"].T + w["b1"], 0.0)
        h2 = np.maximum(h1.reshape(2, 64) @ w["w2"].T + w["b2"], 0.0)
        code = h2.reshape(32) @ w["w3"].T + w["b3"]
        up = np.maximum(code @ w["w4"].T + w["b4"], 0.0)
        return up @ w["w5"].T + w["b5"], code

    return run


def test_compiled_steps_equal_the_network_written_out() -> None:
    rows, arrays = market(), network_arrays()
    found = batch.score_rows(made().network(rows.names), rows)
    np.testing.assert_allclose(found, plain_errors(arrays, rows, plain_reconstruct(arrays)), atol=1e-5)


def test_compiled_steps_equal_recorded_outputs_of_torch() -> None:
    wanted = json.loads(VECTORS.read_text())
    found = batch.score_rows(made().network(inputs.SOURCES), market())
    np.testing.assert_allclose(found[~np.isnan(found)], wanted["scores"], atol=1e-5)


def test_compiled_steps_equal_torch() -> None:
    torch = pytest.importorskip("torch", reason="the extra `train` is not installed")
    rows, arrays = market(), network_arrays()
    parameters = {name: torch.from_numpy(array) for name, array in arrays.items()}

    def reconstruct(window: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        out, code = training.reconstruct(torch, parameters, torch.from_numpy(window))
        return out.numpy(), code.numpy()

    found = batch.score_rows(made().network(rows.names), rows)
    np.testing.assert_allclose(found, plain_errors(arrays, rows, reconstruct), atol=1e-5)


def test_no_score_before_a_whole_window_of_consecutive_seconds() -> None:
    rows = market(seconds=80, instruments=1)
    broken = rows.where(rows.steps != 1040)
    found = batch.score_rows(made().network(rows.names), broken)
    scored = broken.steps[~np.isnan(found)]
    assert scored.tolist() == [*range(1031, 1040), *range(1072, 1080)]


def test_how_instruments_are_cut_into_calls_changes_no_bit() -> None:
    rows = market(seconds=40, instruments=150)
    net = made().network(rows.names)
    (history,) = batch.histories(rows)
    slots = np.arange(150)
    whole, parts = np.zeros(150), np.zeros(150)
    states = [score.create_state(150) for _ in range(2)]
    work = score.create_work()
    for t in range(40):
        columns = history.values[t]
        score.scores(columns, slots, 1000 + t, net, states[0], work, whole)
        for low, high in ((0, 1), (1, 70), (70, 150)):
            cut = np.ascontiguousarray(columns[:, low:high])
            score.scores(cut, slots[low:high], 1000 + t, net, states[1], work, parts[low:high])
    assert whole.tobytes() == parts.tobytes()
    assert not np.isnan(whole).any()


def test_missing_inputs_are_left_out_and_more_than_half_of_them_give_no_score() -> None:
    rows, arrays = market(), network_arrays()
    net = made().network(rows.names)
    books = rows.masked(("depth_imb_5", "depth_imb_10"))
    np.testing.assert_allclose(
        batch.score_rows(net, books), plain_errors(arrays, books, plain_reconstruct(arrays)), atol=1e-5
    )
    assert np.isnan(batch.score_rows(net, rows.masked(inputs.SOURCES[:9]))).all()


def test_model_file_round_trips_to_the_same_hash_and_refuses_what_does_not_fit() -> None:
    ours = made()
    read = model.decode(ours.encoded())
    assert read.hash == ours.hash
    assert read.described == ours.described
    with pytest.raises(ValueError, match="no safetensors file"):
        model.decode(b"not a model")
    other = msgspec.structs.replace(ours.described, instrument_class="bond")
    with pytest.raises(ValueError, match="class 'bond'"):
        model.decode(model.AutoencoderModel(other, ours.arrays).encoded())
    with pytest.raises(ValueError, match="arrays"):
        model.decode(model.AutoencoderModel(ours.described, {"w1": ours.arrays["w1"]}).encoded())


def test_training_is_reproducible_to_the_bit_and_finds_what_it_has_not_seen() -> None:
    pytest.importorskip("torch", reason="the extra `train` is not installed")
    usual = market(seconds=4000, instruments=3)
    recipe = training.Recipe(steps=60)
    first, second = training.fit(usual, recipe), training.fit(usual, recipe)
    assert all(first[name].tobytes() == second[name].tobytes() for name in first)
    net = model.AutoencoderModel(made().described, first).network(usual.names)
    strange = market(seconds=60, instruments=1, seed=9)
    strange.values[50:, 4:8] += 10.0
    found = batch.score_rows(net, strange)
    assert found[52:].min() > 1.5 * np.nanmax(found[:50])
