"""Java libraries that a peer needs beside its environment, pinned like the servers' jars.

`python -m benchmarks.connectors` resolves them anew.
"""

from pathlib import Path

from infra.embedded.lock import Lock, resolve

FLINK = Lock(
    "Flink's Kafka connector",
    Path(__file__).with_name("peers") / "flink.lock.json",
    ("org.apache.flink:flink-sql-connector-kafka:5.0.0-2.2",),
)
"""The connector for Flink 2.2, the newest that there is one for, with the Kafka client inside."""

if __name__ == "__main__":
    FLINK.write(resolve(FLINK.roots))
