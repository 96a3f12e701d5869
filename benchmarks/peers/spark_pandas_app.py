"""The computation on Spark Structured Streaming: transformWithStateInPandas by instrument, state in RocksDB.

Words: bootstrap, input topic, output topic, state folder, file of centres.
"""

import json
import sys
from collections.abc import Iterator
from typing import Any

import pandas as pd
from pyspark.sql.streaming.stateful_processor import StatefulProcessor, StatefulProcessorHandle

from benchmarks.peers.features import Centres, fresh, record, step
from benchmarks.peers.spark_session import quotes, session, write


class Scores(StatefulProcessor):
    """One instrument's quotes, in the order of the log."""

    def __init__(self, centres: Centres) -> None:
        self._centres = centres

    def init(self, handle: StatefulProcessorHandle) -> None:
        """Declare the state: JSON, as a dict of numbers and lists has no simpler Spark type."""
        self._state = handle.getValueState("quote", "held string")

    def handleInputRows(  # noqa: N802 - Spark's name
        self, key: Any, rows: Iterator[pd.DataFrame], timers: Any
    ) -> Iterator[pd.DataFrame]:
        """Features and distance of each quote."""
        kept = self._state.get()
        held = json.loads(kept[0]) if kept else fresh()
        values = pd.concat(rows).sort_values("offset")["value"]
        found = []
        for value in values:
            quote = json.loads(value)
            features = step(held, quote)
            found.append(json.dumps(record(quote, features, self._centres.distance(features))))
        self._state.update((json.dumps(held),))
        yield pd.DataFrame({"key": [key[0]] * len(found), "value": found})

    def close(self) -> None:
        """Nothing is open."""


def main(bootstrap: str, source: str, target: str, folder: str, centres_file: str) -> None:
    """Run until told to stop."""
    spark = session("bench-spark", folder)
    scored = (
        quotes(spark, bootstrap, source)
        .selectExpr("cast(key as string) key", "cast(value as string) value", "offset")
        .groupBy("key")
        .transformWithStateInPandas(Scores(Centres(centres_file)), "key string, value string", "append", "none")
    )
    write(scored, bootstrap, target, folder, "append")


if __name__ == "__main__":
    main(*sys.argv[1:])
