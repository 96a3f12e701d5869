"""K-means on Spark comes to scikit-learn's centres, on features as a backfill writes them."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.cluster import KMeans

from detectors.kmeans import fitting
from streams.spark import clusters

NAMES = ("ret_5s", "volume_z", "spread_ratio")
K = 4


@pytest.fixture
def table(tmp_path: Path) -> np.ndarray:
    """Rows around four places, some values missing, as Parquet that a backfill might have written."""
    draw = np.random.default_rng(5)
    places = np.array([[0.0, 0.0, 0.0], [6.0, 0.0, 1.0], [0.0, 7.0, -1.0], [5.0, 6.0, 8.0]])
    values = (places[draw.integers(0, K, 1500)] + draw.normal(size=(1500, 3))).astype(np.float32)
    values[draw.random(values.shape) < 0.02] = np.nan
    folder = tmp_path / "features" / "feed=f" / "partition=0" / "session=2026-01-05"
    folder.mkdir(parents=True)
    columns = {"instrument": ["A.SIMX"] * len(values), "ts": np.arange(len(values))}
    columns |= {name: values[:, place] for place, name in enumerate(NAMES)}
    pq.write_table(pa.table(columns), folder / "part.parquet")
    return values.astype(np.float64)


def test_spark_comes_to_the_centres_of_scikit_learn(spark: Any, tmp_path: Path, table: np.ndarray) -> None:
    location, scale = fitting.scaling_of(table, "robust")
    usable = table[2 * np.isnan(table).sum(axis=1) <= len(NAMES)]
    rows = fitting.scaled(usable, location, scale, 10.0)
    frame = clusters.scaled(clusters.features(spark, tmp_path, "f", NAMES), NAMES, location, scale, 10.0)
    in_spark = np.array([row["scaled"].toArray() for row in frame.collect()])
    assert np.array_equal(np.sort(in_spark, axis=0), np.sort(rows, axis=0))
    first = rows[[3, 50, 700, 1200]]
    theirs: Any = KMeans(K, init=first, n_init=1, tol=0.0, algorithm="lloyd").fit(rows)
    ours = clusters.fitted(frame, first)
    np.testing.assert_allclose(ours, theirs.cluster_centers_, atol=1e-9)
    centres, cost = clusters.best(frame, K, (1, 2))
    several: Any = KMeans(K, n_init=5, random_state=0, tol=0.0, algorithm="lloyd").fit(rows)
    assert cost == pytest.approx(several.inertia_, rel=1e-6)
    order = [np.lexsort(each.T) for each in (centres, several.cluster_centers_)]
    np.testing.assert_allclose(centres[order[0]], several.cluster_centers_[order[1]], atol=1e-4)
