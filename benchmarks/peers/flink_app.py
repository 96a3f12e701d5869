"""The computation on Flink (PyFlink): a keyed process function with value state between two Kafka tables, exactly-once.

Words: bootstrap, input topic, output topic, state folder, file of centres, folder with the Kafka connector's jar.
"""

import json
import os
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pyflink.common import Configuration, Row, Types
from pyflink.datastream import KeyedProcessFunction, StreamExecutionEnvironment
from pyflink.datastream.state import ValueStateDescriptor
from pyflink.table import DataTypes, Schema, StreamTableEnvironment, TableDescriptor

from benchmarks.peers.features import Centres, fresh, record, step


class Score(KeyedProcessFunction):  # type: ignore[misc]
    """One instrument's quotes, in the order of the log."""

    def __init__(self, centres_file: str) -> None:
        self._file = centres_file

    def open(self, context: Any) -> None:
        """Declare the state: JSON, as Flink would pickle a dict."""
        self._centres = Centres(self._file)
        self._state = context.get_state(ValueStateDescriptor("quote", Types.STRING()))

    def process_element(self, row: Row, _: Any) -> Iterator[Row]:
        """Features and distance of a quote."""
        quote, kept = json.loads(row[1]), self._state.value()
        held = json.loads(kept) if kept else fresh()
        features = step(held, quote)
        self._state.update(json.dumps(held))
        yield Row(row[0], json.dumps(record(quote, features, self._centres.distance(features))))


def settings(folder: str) -> Configuration:
    """Two tasks at once, as the machine has cores; state on the heap; a checkpoint, and so a commit, every 5 s."""
    found = Configuration()
    for name, value in {
        "parallelism.default": "2",
        "execution.checkpointing.interval": "5 s",
        "execution.checkpointing.mode": "EXACTLY_ONCE",
        "execution.checkpointing.dir": Path(folder, "checkpoints").as_uri(),
        "io.tmp.dirs": folder,
        "python.executable": sys.executable,
        "python.client.executable": sys.executable,
        # In the JVM: worker processes were slower, and Beam's servers for them listen on every address.
        "python.execution-mode": "thread",
        # An error ends the run and is in its log.
        "restart-strategy.type": "none",
        "jobmanager.bind-host": "127.0.0.1",
        "taskmanager.bind-host": "127.0.0.1",
        "rest.bind-address": "127.0.0.1",
    }.items():
        found.set_string(name, value)
    return found


def kafka_table(bootstrap: str, topic: str, **options: str) -> TableDescriptor:
    """Records of a topic as rows of key and value, both text."""
    columns = Schema.new_builder().column("instrument", DataTypes.STRING()).column("content", DataTypes.STRING())
    described = TableDescriptor.for_connector("kafka").schema(columns.build())
    for name, value in {
        "topic": topic,
        "properties.bootstrap.servers": bootstrap,
        "key.format": "raw",
        "key.fields": "instrument",
        "value.format": "raw",
        "value.fields-include": "EXCEPT_KEY",
        **options,
    }.items():
        described = described.option(name, value)
    return described.build()


def main(bootstrap: str, source: str, target: str, folder: str, centres_file: str, jars: str) -> None:
    """Run until told to stop. The JVM's Python finds what this one finds, and this one opens no server for workers."""
    paths = os.pathsep.join((str(Path.cwd()), sysconfig.get_path("purelib")))
    os.environ.update(PYTHONPATH=paths, FLINK_LOG_DIR=folder, JVM_ARGS="-Xmx2g")
    os.environ.update(_python_worker_execution_mode="process")
    stream = StreamExecutionEnvironment.get_execution_environment(settings(folder))
    stream.add_jars(*(jar.as_uri() for jar in Path(jars).glob("*.jar")))
    tables = StreamTableEnvironment.create(stream)
    reading = {"properties.group.id": "bench-flink", "scan.startup.mode": "earliest-offset"}
    writing = {
        "sink.delivery-guarantee": "exactly-once",
        "sink.transactional-id-prefix": "bench-flink",
        "properties.transaction.timeout.ms": "60000",
    }
    tables.create_temporary_table("quotes", kafka_table(bootstrap, source, **reading))
    tables.create_temporary_table("scores", kafka_table(bootstrap, target, **writing))
    scored = (
        tables.to_data_stream(tables.from_path("quotes"))
        .key_by(lambda row: row[0], key_type=Types.STRING())
        .process(
            Score(centres_file),
            output_type=Types.ROW_NAMED(["instrument", "content"], [Types.STRING(), Types.STRING()]),
        )
    )
    tables.from_data_stream(scored).execute_insert("scores").wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
