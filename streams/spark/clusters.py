"""K-means on Spark beside scikit-learn: the same scaled rows, the same algorithm (Lloyd), the same centres.

`pyspark.ml` draws its own first centres and takes none; its fit is `pyspark.mllib`'s, which does. So both are here:
`fitted` begins where it is told to, and is held to scikit-learn's centres; `best` is `pyspark.ml`, best of several
draws, and is held to scikit-learn's inertia.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

F8 = npt.NDArray[np.float64]

STEPS = 300
"""Rounds at most, as scikit-learn has them."""
_STILL = 1e-9
"""Centres that move by less have come to rest."""


def features(spark: Any, out: Path, feed: str, names: Sequence[str]) -> Any:
    """A DataFrame of a backfill's features: instrument, ts (UTC ns) and the columns named, for any model's training.

    Ordered by nothing: a model that needs time sorts by instrument and ts.
    """
    frame = spark.read.parquet(str(out / "features")).where(f"feed = '{feed}'")
    return frame.select("instrument", "ts", *names)


def scaled(frame: Any, names: Sequence[str], location: F8, scale: F8, clip: float) -> Any:
    """The rows that have half of their inputs, scaled and cut as training does it, in a column `scaled`.

    location, scale : float64[names]; scaled = (x - location) * scale within +-clip, 0 where it is missing
    """
    from pyspark.ml.functions import array_to_vector
    from pyspark.sql import functions as f

    def moved(name: str, at: float, by: float) -> Any:
        value = (f.col(name).cast("double") - f.lit(at)) * f.lit(by)
        cut = f.least(f.greatest(value, f.lit(-clip)), f.lit(clip))
        return f.when(f.isnan(name) | f.col(name).isNull(), f.lit(0.0)).otherwise(cut)

    missing = sum((f.isnan(name) | f.col(name).isNull()).cast("int") for name in names)
    columns = [moved(*each) for each in zip(names, location.tolist(), scale.tolist(), strict=True)]
    return frame.where(2 * missing <= len(names)).select(array_to_vector(f.array(*columns)).alias("scaled"))


def fitted(frame: Any, first: F8) -> F8:
    """Centres that Lloyd's algorithm comes to from `first`, float64[k, d]. frame : with a column `scaled`"""
    from pyspark.mllib.clustering import KMeans, KMeansModel
    from pyspark.mllib.linalg import Vectors

    rows = frame.select("scaled").rdd.map(lambda row: Vectors.fromML(row["scaled"])).cache()
    try:
        begun = KMeansModel([Vectors.dense(centre) for centre in first.tolist()])
        model = KMeans.train(rows, len(first), maxIterations=STEPS, epsilon=_STILL, initialModel=begun)
    finally:
        rows.unpersist()
    return np.array([centre.toArray() if hasattr(centre, "toArray") else centre for centre in model.clusterCenters])


def best(frame: Any, k: int, seeds: Sequence[int]) -> tuple[F8, float]:
    """Centres float64[k, d] and inertia of pyspark.ml's best fit. seeds : of the draws of its first centres"""
    from pyspark.ml.clustering import KMeans

    rows = frame.cache()
    try:
        tried = [KMeans(k=k, seed=seed, maxIter=STEPS, tol=_STILL, featuresCol="scaled").fit(rows) for seed in seeds]
    finally:
        rows.unpersist()
    model = min(tried, key=lambda each: each.summary.trainingCost)
    return np.array(model.clusterCenters()), float(model.summary.trainingCost)
