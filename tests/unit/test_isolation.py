"""The isolation forest: equal to scikit-learn's own scores, reproducible, with NaN left out."""

import numpy as np
import pytest
from sklearn.ensemble import IsolationForest

from detectors.isolation import model, training
from detectors.kmeans.sample import Sample, build

NAMES = ("a", "b", "c", "d")
RECIPE = training.Recipe(trees=20, subsample=64, inputs=NAMES)


def market(rows: int = 3000, seed: int = 1) -> Sample:
    values = np.random.default_rng(seed).standard_normal((rows, 4))
    return build(np.full(rows, "S", dtype=object), np.arange(rows, dtype=np.int64), NAMES, values)


def test_scores_equal_scikit_learns() -> None:
    rows = market()
    ours = training.score_rows(training.fit(rows, RECIPE), rows)
    theirs = IsolationForest(n_estimators=20, max_samples=64, random_state=0).fit(rows.values.astype(np.float32))
    np.testing.assert_allclose(ours, -theirs.score_samples(rows.values.astype(np.float32)), atol=2e-3)


def test_far_rows_score_higher_and_missing_inputs_stand_at_the_median() -> None:
    rows = market()
    forest = training.fit(rows, RECIPE)
    assert training.score_rows(forest, rows.where(np.arange(3000) < 1)).shape == (1,)
    values = np.array(
        [[0.0, 0.0, 0.0, 0.0], [6.0, 6.0, 6.0, 6.0], [np.nan, 0.0, 0.0, np.nan], [np.nan, np.nan, np.nan, 0.0]]
    )
    odd = build(np.full(4, "S", dtype=object), np.arange(4), NAMES, values)
    found = training.score_rows(forest, odd)
    assert found[1] > found[0] + 0.2
    assert found[2] == pytest.approx(found[0], abs=0.05)
    assert np.isnan(found[3])


def test_same_rows_give_the_same_hash_and_the_file_round_trips() -> None:
    first, second = training.fit(market(), RECIPE), training.fit(market(), RECIPE)
    assert first.hash == second.hash
    assert model.decode(first.encoded()) == first
    assert training.fit(market(), training.Recipe(trees=20, subsample=64, inputs=NAMES, seed=1)).hash != first.hash


def test_file_whose_nodes_do_not_make_trees_is_refused() -> None:
    data = training.fit(market(), RECIPE).encoded().replace(b'"depth":6', b'"depth":5')
    with pytest.raises(ValueError, match="perfect trees"):
        model.decode(data)
