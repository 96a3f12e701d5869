"""The eight pump features, second by second, against the paper's formulas over whole recordings."""

import numpy as np
import pytest

from detectors.pumps import batch, features


def ordinary(seed: int, seconds: int):
    """Buys of a coin that trades every few seconds."""
    rng = np.random.default_rng(seed)
    ms = np.sort(rng.integers(0, seconds * 1000, seconds // 3))
    ms = np.sort(np.concatenate([ms, rng.choice(ms, len(ms) // 3)]))
    price = np.exp(np.cumsum(rng.normal(0.0, 2e-4, len(ms))))
    return ms, price, rng.lognormal(0.0, 0.7, len(ms))


def reference(ms, price, notional, length, size):
    """The paper's features of the last chunk, from all chunks."""
    chunks, first, buys = np.unique(ms // 1000 // length, return_index=True, return_counts=True)
    times, orders = np.unique(ms, return_counts=True)
    rush = np.zeros(len(chunks))
    np.add.at(rush, np.searchsorted(chunks, times // 1000 // length), orders > 1)
    mean, high = np.add.reduceat(price, first) / buys, np.maximum.reduceat(price, first)
    volume = np.add.reduceat(notional, first)

    def change(statistic, values, chunks_back, **how):
        return statistic(values[-chunks_back:], **how) / statistic(values[-chunks_back - 1 : -1], **how) - 1.0

    return [
        change(np.std, rush, size, ddof=1), change(np.mean, rush, size), change(np.std, buys, size, ddof=1),
        change(np.std, volume, size, ddof=1), change(np.mean, volume, size), change(np.std, mean, size, ddof=1),
        change(np.mean, mean, 10), change(np.mean, high, 10),
    ]  # fmt: skip


@pytest.mark.parametrize("window", range(3))
def test_finished_chunk_has_the_features_of_the_paper(window: int) -> None:
    length = features.WINDOWS[window]
    ms, price, notional = ordinary(window, 1_200 * length)
    burst = int(ms[-1]) // 1000 // length * length * 1000 + 60 * length * 1000
    ms = np.concatenate([ms, burst + np.repeat(np.arange(12) * 40, 5)])
    price = np.concatenate([price, price[-1] * np.linspace(1.02, 1.08, 60)])
    notional = np.concatenate([notional, np.full(60, 8.0)])
    seconds, rows = batch.gated_rows(ms, price, notional, 0.0, -1.0)
    assert seconds[-1] == burst // 1000
    wanted = reference(ms, price, notional, length, features.CHUNKS[window])
    # What leaves the long windows is a block's mean, so those of them that are small differ in the third digit.
    np.testing.assert_allclose(rows[-1, window], wanted, rtol=0.06, atol=4e-3)
    np.testing.assert_allclose(rows[-1, window, 6:], wanted[6:], rtol=1e-9)
    assert rows[-1, window, 4] > 0.03


def test_nothing_is_said_before_twenty_chunks() -> None:
    ms = np.arange(40) * 25_000
    seconds, rows = batch.gated_rows(ms, np.ones(40), np.ones(40), 0.0, -1.0)
    said = np.asarray(~np.isnan(rows).any(axis=(1, 2)))
    assert seconds[said][0] == 20 * 25
    assert said[20:].all()


def test_buys_of_one_millisecond_are_one_rush_order_and_a_lone_buy_is_none() -> None:
    p = features.create(1)[0]
    for millisecond in (1_000, 1_001, 1_001, 1_001, 1_002, 1_003, 1_003):
        features.buy(p, 1.0, 1.0, millisecond)
    assert p[features.RUSH] == 2.0
    assert p[features.BUYS] == 7.0


def test_chunk_that_fills_up_never_loses_volume() -> None:
    ms, price, notional = ordinary(5, 3_000)
    seconds, rows = batch.gated_rows(ms, price, notional, 0.0, -1.0)
    for window, length in enumerate(features.WINDOWS):
        same = (np.diff(seconds // length) == 0) & ~np.isnan(rows[:-1, window, 4])
        assert (np.diff(rows[:, window, 4])[same] >= -1e-12).all()
        assert same.sum() > 100


def test_new_state_takes_no_memory() -> None:
    assert not features.create(3).any()


def test_state_of_an_instrument_is_four_kibibytes_at_most() -> None:
    assert features.create(1).nbytes <= 4096
