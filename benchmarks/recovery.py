"""`bench recovery`: how long a new owner needs to have a market's state again, by instruments and by the log behind the
snapshot.
"""

import math
from collections.abc import Callable, Sequence

import msgspec
from confluent_kafka import Producer

from benchmarks.engine import fill_market
from benchmarks.engine_run import Shape, own_stack
from benchmarks.figures import Figure, Machine, machine, versions
from streams.engine.build import build_hash
from streams.engine.model_store import KafkaModelStore
from streams.engine.recovery import Recovery
from streams.engine.snapshots import Pointers, dump, put
from streams.engine.task import Task
from streams.engine.warm import warm_up
from tapewatch.clock import NANOS, WALL
from tapewatch.contract import topics
from tapewatch.errors import TapewatchError
from tapewatch.market_log.registry import Registry
from tapewatch.runtime import kafka
from tapewatch.settings import Settings

WARM_S = 60
"""Seconds of market before the snapshot."""

Say = Callable[[str], None]


class Point(msgspec.Struct, frozen=True):
    """One size, all partitions in one process, one after the other.

    log_s : seconds of market behind the snapshot, one quote an instrument and second; rows : of them
    snapshot_mib : as it lies on the topic; restore_s : snapshot read and unpacked; replay_s : the log computed
    """

    instruments: int
    log_s: int
    rows: int
    snapshot_mib: float
    restore_s: Figure
    replay_s: Figure
    recovery_s: Figure


class RecoveryResult(msgspec.Struct, frozen=True):
    """The JSON document of `bench recovery`. partitions : of the market, all recovered by one process"""

    bench: str
    runs: int
    partitions: int
    points: list[Point]
    seed: int
    versions: dict[str, str]
    machine: Machine
    seconds: float

    def text(self) -> str:
        """For people."""
        lines = [f"recovery by one process, {self.partitions} partitions, {self.runs} runs: median (least to most)"]
        for point in self.points:
            took = point.recovery_s
            lines.append(
                f"{point.instruments:>7,} instruments  {point.log_s:>4} s of log  {took.median:>7.2f} s "
                f"({took.min:.2f} to {took.max:.2f})  of it {point.restore_s.median:.2f} s for the snapshot, "
                f"{point.snapshot_mib:,.1f} MiB"
            )
        return "\n".join(lines)


def bench(
    settings: Settings, sizes: Sequence[int], log_seconds: Sequence[int], runs: int, seed: int, say: Say
) -> RecoveryResult:
    """Recover each size with each length of log, with every scenario and model on, as shipped.

    TapewatchError where what was recovered does not stand where it should.
    """
    begun, facts = WALL.elapsed(), machine()
    warm_up()
    points: list[Point] = []
    with own_stack(settings) as own:
        kafka.create_topics(own, topics.shared_topics(own.topics))
        for instruments in sizes:
            shape = Shape(instruments, WARM_S + max(log_seconds), own.topics.market_partitions, seed=seed)
            feed = f"bench-{instruments}"
            fill_market(own, feed, shape)
            market = Market(own, topics.market(feed), shape)
            held = market.snapshots()
            for log_s in log_seconds:
                point = market.point(log_s, runs, held)
                say(f"{instruments:,} instruments, {log_s} s of log: {point.recovery_s.median:.2f} s")
                points.append(point)
            market.close()
    return RecoveryResult(
        bench="recovery",
        runs=runs,
        partitions=own.topics.market_partitions,
        points=points,
        seed=seed,
        versions=versions(),
        machine=facts,
        seconds=round((WALL.elapsed() - begun) / NANOS, 1),
    )


class Market:
    """A filled market topic and what recovers it."""

    def __init__(self, settings: Settings, topic: str, shape: Shape) -> None:
        self._settings, self._topic, self._shape = settings, topic, shape
        self._registry = Registry(settings)
        self._own = [len(names) for names in shape.by_partition()]
        self._partitions = kafka.existing_topics(kafka.admin(settings))[topics.SNAPSHOTS]

    def _recovery(self) -> Recovery:
        """One that has read nothing ahead."""
        return Recovery(self._settings, self._registry, KafkaModelStore(self._settings), build_hash())

    def _offset(self, partition: int, second: int) -> int:
        """The first record with a row of that second."""
        return math.floor(second * self._own[partition] / self._shape.frame_rows)

    def snapshots(self) -> list[tuple[Pointers, int]]:
        """A snapshot of each partition after WARM_S seconds, and its bytes."""
        recovery, producer = self._recovery(), kafka.producer(self._settings)
        found = []
        for partition in range(self._shape.partitions):
            task = recovery.nearest(self._topic, partition, self._offset(partition, WARM_S), Pointers())
            found.append(self._written(producer, task))
        recovery.close()
        return found

    def _written(self, producer: Producer, task: Task) -> tuple[Pointers, int]:
        """Put a task's state on the topic, as the engine does."""
        data = dump(task)
        pointer = put(producer, task.partition % self._partitions, task, 0, data)
        return Pointers((pointer,), 0), len(data)

    def point(self, log_s: int, runs: int, held: list[tuple[Pointers, int]]) -> Point:
        """Recover every partition to `log_s` seconds behind its snapshot, `runs` times."""
        done = [self._recovered(log_s, held) for _ in range(runs)]
        return Point(
            instruments=self._shape.instruments,
            log_s=log_s,
            rows=log_s * self._shape.instruments,
            snapshot_mib=round(sum(size for _, size in held) / 2**20, 1),
            restore_s=Figure.of((restore for restore, _ in done), 2),
            replay_s=Figure.of((replay for _, replay in done), 2),
            recovery_s=Figure.of((restore + replay for restore, replay in done), 2),
        )

    def _recovered(self, log_s: int, held: list[tuple[Pointers, int]]) -> tuple[float, float]:
        """Seconds for the snapshots and for the log behind them."""
        recovery = self._recovery()
        restore = replay = 0.0
        for partition, (pointers, _) in enumerate(held):
            target = self._offset(partition, WARM_S + log_s)
            rebuild = recovery.begin(self._topic, partition, target, pointers)
            begun = WALL.elapsed()
            whole = rebuild.advance(0.0)
            restored = WALL.elapsed()
            while not whole:
                whole = rebuild.advance(1.0)
            restore += (restored - begun) / NANOS
            replay += (WALL.elapsed() - restored) / NANOS
            if rebuild.task.next_offset != target:
                raise TapewatchError("a recovery did not come to its target", "Run `make test`.")
        recovery.close()
        return restore, replay

    def close(self) -> None:
        """Give the registry's reader back."""
        self._registry.close()
