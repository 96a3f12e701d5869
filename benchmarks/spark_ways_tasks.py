"""What Spark's workers do in both ways of `benchmarks.spark_ways`: records in, the engine's task, records out.

It is a module of its own because workers import it: what it keeps outlives a micro-batch.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import msgspec
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql.streaming.stateful_processor import StatefulProcessor, StatefulProcessorHandle

from benchmarks.engine_run import Shape
from streams.driver import FOREVER_NS
from streams.engine.cadence import Cadence
from streams.engine.models import ModelStore
from streams.engine.snapshots import dump, restore
from streams.engine.task import Task
from streams.evidence.proving import new_task
from streams.spark.backfill import KEPT, STEP_RECORDS
from tapewatch.clock import WALL
from tapewatch.durable_files import place
from tapewatch.market_log.registry import FixedRegistry
from tapewatch.settings import EngineSettings

IN = "partition int, offset bigint, headers binary, value binary"
OUT = "partition int, offset bigint, place int, topic string, key binary, value binary"
_OUT = pa.schema(
    [
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("place", pa.int32()),
        ("topic", pa.string()),
        ("key", pa.binary()),
        ("value", pa.binary()),
    ]
)
"""`offset` : of the first record of a step; `place` : of a row in what the step gave"""
TOPIC = "market.ways"

Row = tuple[int, bytes, bytes]
"""Offset, headers (MessagePack) and value of a record."""
_HEADERS = msgspec.msgpack.Decoder(list[tuple[str, bytes]])


class SparkRun(msgspec.Struct, frozen=True):
    """One run. folder : `input/` is its log; `shares/`, `snapshots/` are written by tasks"""

    folder: str
    name: str
    shape: Shape

    @property
    def own(self) -> Path:
        """Where what it writes lies."""
        return Path(self.folder) / self.name


class Share(msgspec.Struct):
    """What a task did in a micro-batch. kept : whether the worker had the state still

    replayed : records computed again to get it; state_read, state_written : bytes
    """

    partition: int
    first: int
    records: int = 0
    kept: bool = False
    replayed: int = 0
    state_read: int = 0
    state_written: int = 0


class PartitionState:
    """A partition's state in this worker."""

    def __init__(self, task: Task) -> None:
        chosen = EngineSettings()
        self.task = task
        self.cadence = Cadence(chosen.snapshot_seconds, chosen.replay_seconds, WALL.now())


_HELD: dict[tuple[str, str, int], PartitionState] = {}
"""By run and partition: Spark gives a partition to whichever worker is free, and may give it back later."""


def fresh(shape: Shape, partition: int) -> Task:
    """A task that has seen nothing."""
    return new_task((TOPIC, partition), FixedRegistry(shape.reference_data()), ModelStore())


def computed(task: Task, records: Iterable[Row]) -> pa.RecordBatch:
    """What a task makes of records, as rows of OUT."""
    columns: list[list[Any]] = [[] for _ in range(len(_OUT) - 1)]
    begun = task.next_offset

    def take() -> None:
        for number, record in enumerate(each for each in task.take() if each.topic in KEPT):
            for column, cell in zip(columns, (begun, number, record.topic, record.key, record.value), strict=True):
                column.append(cell)

    for count, (offset, headers, value) in enumerate(records, 1):
        task.feed(offset, value, _HEADERS.decode(headers), FOREVER_NS)
        if count % STEP_RECORDS == 0:
            take()
            begun = task.next_offset
    take()
    cells = [[task.partition] * len(columns[0]), *columns]
    return pa.RecordBatch.from_arrays(
        [pa.array(cell, field.type) for cell, field in zip(cells, _OUT, strict=True)], schema=_OUT
    )


def stored(folder: str, partition: int) -> list[Path]:
    """The files of a partition's log, in their order."""
    return sorted((Path(folder) / "input").glob(f"*-{partition}.parquet"))


def rows(batch: pa.RecordBatch) -> list[Row]:
    """The records of a batch of IN."""
    return list(zip(*(batch.column(name).to_pylist() for name in ("offset", "headers", "value")), strict=True))


def in_arrow(run: SparkRun) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """For mapInArrow, a task a partition: state in the worker; a snapshot when a replay of the log behind the last one
    would take too long, as the engine and `tapewatch run spark` write them.
    """

    # Sent to workers whole: what it named of this module itself, but for functions, would be a copy there.
    def work(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield from _of_partition(run, batches)

    return work


def _of_partition(run: SparkRun, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """One partition's records of a micro-batch."""
    held: PartitionState | None = None
    share = Share(-1, -1)
    for batch in batches:
        if not batch.num_rows:
            continue
        records = rows(batch)
        partition = batch.column("partition")[0].as_py()
        if held is None:
            share = Share(partition, records[0][0])
            held = _taken_up(run, share)
        if partition != share.partition or records[0][0] != held.task.next_offset:
            raise RuntimeError(f"records of partition {partition} at {records[0][0]} are not what comes next")
        begun = perf_counter_ns()
        out = computed(held.task, records)
        held.cadence.worked(perf_counter_ns() - begun)
        share.records += len(records)
        yield out
    if held is not None:
        _HELD[run.folder, run.name, share.partition] = held
        _snapshot_if_due(run, held, share)
        _tell(run, share)


def _taken_up(run: SparkRun, share: Share) -> PartitionState:
    """The state before the share's first record: as this worker has it, or it and what other workers did since, or from
    the newest snapshot and the log.
    """
    held = _HELD.pop((run.folder, run.name, share.partition), None)
    if held is not None and held.task.next_offset == share.first:
        share.kept = True
        return held
    snapshots = sorted((run.own / "snapshots" / str(share.partition)).glob("*"), key=lambda path: int(path.name))
    newest = snapshots[-1] if snapshots else None
    if held is None or (newest is not None and int(newest.name) > held.task.next_offset):
        held = PartitionState(fresh(run.shape, share.partition))
        if newest is not None:
            data = newest.read_bytes()
            restore(held.task, data, ModelStore())
            share.state_read = len(data)
    begun, task = perf_counter_ns(), held.task
    task.silent = True
    for path in stored(run.folder, share.partition):
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches():
                behind = [each for each in rows(batch) if task.next_offset <= each[0] < share.first]
                computed(task, behind)
                share.replayed += len(behind)
    task.end_replay()
    held.cadence.worked(perf_counter_ns() - begun)
    return held


def _snapshot_if_due(run: SparkRun, held: PartitionState, share: Share) -> None:
    if held.cadence.overdue_ns(WALL.now(), 1) < 0:
        return
    begun, data = perf_counter_ns(), dump(held.task)
    place(run.own / "snapshots" / str(share.partition) / str(held.task.next_offset), data)
    share.state_written = len(data)
    held.cadence.written(WALL.now(), perf_counter_ns() - begun)


def _tell(run: SparkRun, share: Share) -> None:
    place(run.own / "shares" / f"{share.partition}-{share.first}.json", msgspec.json.encode(share))


class StateStoreProcessor(StatefulProcessor):
    """For transformWithStateInPandas by partition: the state is Spark's, and goes into its store with every batch.

    The worker keeps the task too, and reads the state only where the place in the store is another's.
    """

    def __init__(self, run: SparkRun) -> None:
        self._run = run

    def init(self, handle: StatefulProcessorHandle) -> None:
        """Declare the state, and beside it, small, how far it is."""
        self._place = handle.getValueState("place", "next bigint")
        self._state = handle.getValueState("state", "state binary")

    def handleInputRows(  # noqa: N802 - Spark's name
        self, key: Any, rows: Iterator[pd.DataFrame], timers: Any
    ) -> Iterator[pd.DataFrame]:
        """One partition's records of a micro-batch."""
        # They come out of a shuffle and a sort by partition: their order is not promised.
        given = pd.concat(rows).sort_values("offset")
        records = list(zip(given["offset"].tolist(), given["headers"], given["value"], strict=True))
        share = Share(int(key[0]), records[0][0], len(records))
        task = self._taken_up(share)
        if records[0][0] != task.next_offset:
            raise RuntimeError(f"records of {share.partition} at {records[0][0]} are not what comes next")
        out = computed(task, records)
        data = dump(task)
        share.state_written = len(data)
        self._state.update((data,))
        self._place.update((task.next_offset,))
        _HELD[self._run.folder, self._run.name, share.partition] = PartitionState(task)
        _tell(self._run, share)
        yield out.to_pandas()

    def _taken_up(self, share: Share) -> Task:
        known = self._place.get()
        held = _HELD.pop((self._run.folder, self._run.name, share.partition), None)
        if held is not None and known is not None and held.task.next_offset == known[0]:
            share.kept = True
            return held.task
        task = fresh(self._run.shape, share.partition)
        if (stored_state := self._state.get()) is not None:
            data = bytes(stored_state[0])
            restore(task, data, ModelStore())
            share.state_read = len(data)
        return task

    def close(self) -> None:
        """Nothing is open."""
