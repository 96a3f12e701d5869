"""The computation on Quix Streams: a stateful apply per key, RocksDB state with changelog, exactly-once.

Words: bootstrap, input topic, output topic, state folder, file of centres.
"""

import sys
from typing import Any

from quixstreams import Application, State

from benchmarks.peers.features import Centres, fresh, record, step


def main(bootstrap: str, source: str, target: str, folder: str, centres_file: str) -> None:
    """Run until told to stop."""
    centres = Centres(centres_file)

    def score(quote: dict[str, Any], state: State) -> dict[str, Any]:
        held = state.get("quote") or fresh()
        features = step(held, quote)
        state.set("quote", held)
        return record(quote, features, centres.distance(features))

    app = Application(
        broker_address=bootstrap,
        consumer_group="bench-quix",
        auto_offset_reset="earliest",
        processing_guarantee="exactly-once",
        state_dir=folder,
        loglevel="WARNING",
    )
    quotes = app.dataframe(app.topic(source, value_deserializer="json"))
    quotes.apply(score, stateful=True).to_topic(app.topic(target, value_serializer="json"))
    app.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
