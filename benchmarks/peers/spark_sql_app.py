"""What native Spark SQL can say of the computation: windowed aggregates by instrument and second, no Python.

Of the twelve features, those that need nothing but their own second: spread, microprice, depth imbalance, and the
distance over these three. Returns at lags, decaying averages and order-flow imbalance need the quote before, which a
streaming aggregate does not have. Words: bootstrap, input topic, output topic, state folder, file of centres.
"""

import operator
import sys
from functools import reduce

from pyspark.sql import functions as f

from benchmarks.peers.features import NAMES, OWN_SECOND, Centres
from benchmarks.peers.spark_session import QUOTE, quotes, session, write


def main(bootstrap: str, source: str, target: str, folder: str, centres_file: str) -> None:
    """Run until told to stop."""
    spark, centres = session("bench-spark-sql", folder), Centres(centres_file)
    quote = quotes(spark, bootstrap, source).select(f.from_json(f.col("value").cast("string"), QUOTE).alias("q"))
    seconds = (
        quote.select("q.*")
        .withColumn("at", f.timestamp_micros((f.col("ts") / 1000).cast("long")))
        .withWatermark("at", "5 seconds")
        .groupBy("instrument", f.window("at", "1 second"))
        .agg(
            f.max("ts").alias("ts"),
            *(f.max_by(name, "ts").alias(name) for name in ("bid_price", "bid_qty", "ask_price", "ask_qty")),
        )
    )
    mid, both = (f.col("bid_price") + f.col("ask_price")) / 2, f.col("bid_qty") + f.col("ask_qty")
    micro = (f.col("ask_price") * f.col("bid_qty") + f.col("bid_price") * f.col("ask_qty")) / both
    features = (
        seconds.withColumn("spread_bps", (f.col("ask_price") - f.col("bid_price")) / mid * 10_000)
        .withColumn("microprice_dev_bps", (micro - mid) / mid * 10_000)
        .withColumn("depth_imb_1", (f.col("bid_qty") - f.col("ask_qty")) / both)
    )
    places = [(name, NAMES.index(name)) for name in OWN_SECOND]
    scaled = {name: (f.col(name) - centres.location[place]) * centres.scale[place] for name, place in places}
    cut = {
        name: f.least(f.greatest(value, f.lit(-centres.clip)), f.lit(centres.clip)) for name, value in scaled.items()
    }
    squares = [
        reduce(operator.add, (f.pow(cut[name] - centre[place], 2) for name, place in places))
        for centre in centres.centres
    ]
    scored = features.withColumn("distance", f.sqrt(f.least(*squares) / len(OWN_SECOND)))
    value = f.to_json(f.struct("instrument", "ts", *OWN_SECOND, "distance"))
    write(scored.select(f.col("instrument").alias("key"), value.alias("value")), bootstrap, target, folder, "update")


if __name__ == "__main__":
    main(*sys.argv[1:])
