"""The adversarial network of daily bars: seeded, no look ahead, and strange windows are strange to it."""

from dataclasses import replace

import numpy as np
import pytest

from detectors.autoencoder import daily
from detectors.autoencoder.score import WINDOW
from detectors.forecast.abnormal import gan
from tests.needs import needs
from tests.unit.volatile_bars import bars

pytestmark = needs("torch")


@pytest.fixture(scope="module")
def parts() -> list[daily.Days]:
    return [daily.days_of(bars(900, number)) for number in range(3)]


@pytest.fixture(scope="module")
def arrays(parts: list[daily.Days]) -> dict[str, np.ndarray]:
    return gan.fit(parts, 40, 1)


@pytest.mark.slow
def test_same_seed_gives_the_same_weights(parts: list[daily.Days], arrays: dict[str, np.ndarray]) -> None:
    again = gan.fit(parts, 40, 1)
    assert all(np.array_equal(arrays[name], again[name]) for name in arrays)


def test_scores_begin_with_the_autoencoders_and_know_nothing_of_later_days(
    parts: list[daily.Days], arrays: dict[str, np.ndarray]
) -> None:
    found = gan.scores(arrays, parts[0])
    assert np.isnan(found[: WINDOW - 1]).all() and np.isfinite(found[WINDOW - 1 :]).all()
    cut = replace(parts[0], **{name: getattr(parts[0], name)[:400] for name in daily.Days.__slots__})
    np.testing.assert_allclose(gan.scores(arrays, cut), found[:400], rtol=1e-5)


def test_days_out_of_all_bounds_are_stranger(parts: list[daily.Days], arrays: dict[str, np.ndarray]) -> None:
    wild = replace(parts[0], values=parts[0].values * 20.0)
    assert np.nanmedian(gan.scores(arrays, wild)) > 2.0 * np.nanmedian(gan.scores(arrays, parts[0]))


def test_too_few_windows_are_refused(parts: list[daily.Days]) -> None:
    with pytest.raises(ValueError, match=r"fewer than 1,000"):
        gan.fit(parts[:1], 5, 0)
