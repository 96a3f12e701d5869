"""Alert limits by kind of feed: which one an instrument has, and what makes them unsound."""

from typing import Any

import msgspec
import numpy as np
import pytest

from detectors import feeds
from detectors.autoencoder import training
from detectors.kmeans import model as kmeans
from detectors.kmeans import training as kmeans_training
from detectors.kmeans.budget import budgets_by_feed, false_episodes
from detectors.kmeans.sample import Sample, build

LIMITS = (3.0, 4.0, 5.0, 2.0)


def test_an_instrument_has_the_limit_of_the_data_that_it_has_shown() -> None:
    shown = {
        (1.0, 1.0, 1.0): 3.0,
        (1.0, 0.0, 1.0): 3.0,
        (1.0, 1.0, 0.0): 4.0,
        (1.0, 0.0, 0.0): 5.0,
        (0.0, 1.0, 1.0): 2.0,
    }
    table = feeds.by_feed(LIMITS, 5.0)
    assert {data: table[feeds.feed_of(*data)] for data in shown} == shown


def test_quotes_alone_are_held_against_the_largest_limit() -> None:
    assert feeds.by_feed(LIMITS, 5.0)[feeds.feed_of(0.0, 1.0, 0.0)] == 5.0


def test_a_model_with_one_limit_has_it_for_every_feed() -> None:
    assert feeds.by_feed(msgspec.UNSET, 7.0) == (7.0,) * 5
    assert not feeds.problem(msgspec.UNSET, 7.0)


def test_limits_that_do_not_fit_together_are_refused() -> None:
    assert not feeds.problem(LIMITS, 5.0)
    assert "kinds of feeds" in feeds.problem((1.0,), 1.0)
    assert "largest" in feeds.problem(LIMITS, 6.0)


def test_a_model_without_limits_by_feed_keeps_the_bytes_it_had() -> None:
    fields: dict[str, Any] = {
        "inputs": ("a",),
        "location": (0.0,),
        "scale": (1.0,),
        "clip": 9.0,
        "centres": ((0.0,),),
        "sizes": (1,),
    }
    model = kmeans.KMeansModel("kmeans", normal=(True,), knots=((0.0, 0.0),), alert=2.0, **fields)
    assert b"alerts" not in model.encoded()
    assert b"alerts" in msgspec.structs.replace(model, alerts=(1.0, 2.0, 1.0, 1.0)).encoded()


@pytest.mark.parametrize("lacking", [training.TIERS, kmeans_training.TIERS], ids=["autoencoder", "kmeans"])
def test_detectors_name_the_feeds_in_the_order_of_their_limits(lacking: dict[str, tuple[str, ...]]) -> None:
    assert tuple(lacking) == feeds.FEEDS


def test_every_feed_gets_a_limit_at_which_it_spends_its_own_budget() -> None:
    rng = np.random.default_rng(4)
    instruments = np.repeat([f"S{number}" for number in range(40)], 3600).astype(object)
    values = np.abs(rng.normal(0.0, 1.0, (len(instruments), 2))) * (1.0, 5.0)
    rows = build(instruments, np.tile(np.arange(3600), 40), ("narrow", "wide"), values)

    def score(given: Sample) -> np.ndarray:
        return np.asarray(np.nanmax(given.values, axis=1))

    found = budgets_by_feed(score, rows, 12.0, {"both": (), "narrow": ("wide",)})
    assert found["narrow"].distance < 0.5 * found["both"].distance
    assert all(0.5 < budget.episodes / (12.0 * budget.days) <= 1.0 for budget in found.values())


def test_episodes_are_counted_above_a_negative_limit_too() -> None:
    rng = np.random.default_rng(4)
    rows = build(np.full(7200, "S", dtype=object), np.arange(7200), ("x",), rng.normal(0.0, 1.0, (7200, 1)))
    level = rows.values[:, 0]
    for shift in (0.0, -10.0):
        assert false_episodes(rows, level + shift, 0.5 + shift) == false_episodes(rows, level + 10.0, 10.5) > 0
