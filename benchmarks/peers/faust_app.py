"""The computation on Faust: an agent with a Table per instrument, its changelog in Kafka.

Words: bootstrap, input topic, output topic, state folder, file of centres, guarantee (at_least_once, its default and
the faster one, or exactly_once).
"""

import sys
from typing import Any

import faust

from benchmarks.peers.features import Centres, fresh, record, step


def main(bootstrap: str, source: str, target: str, folder: str, centres_file: str, guarantee: str) -> None:
    """Run until told to stop."""
    centres = Centres(centres_file)
    app = faust.App(
        f"bench-faust-{guarantee.replace('_', '-')}",
        processing_guarantee=guarantee,
        broker=f"kafka://{bootstrap}",
        store="memory://",
        datadir=folder,
        web_enabled=False,
        topic_partitions=4,
        consumer_auto_offset_reset="earliest",
        value_serializer="json",
        key_serializer="raw",
        topic_disable_leader=True,
    )
    quotes = app.topic(source, key_type=bytes, value_serializer="json")
    scores = app.topic(target, key_type=bytes, value_serializer="json")
    states = app.Table("quote", partitions=4)

    async def score(stream: Any) -> None:
        async for key, quote in stream.items():
            held = states.get(key) or fresh()
            features = step(held, quote)
            states[key] = held
            await scores.send(key=key, value=record(quote, features, centres.distance(features)))

    app.agent(quotes)(score)
    faust.Worker(app, loglevel="warning", redirect_stdouts=False).execute_from_commandline()


if __name__ == "__main__":
    main(*sys.argv[1:])
