"""Snapshots as earlier releases wrote them, by `python -m tests.unit.snapshot_vectors COMMIT` in a clone.

The release's own code reads the log in tests/vectors/snapshots and writes what a task's snapshot after the log's record
AT is; the first call makes that log, of this tree's split_log. Done once for each format, before it changes.
"""

import lzma
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from benchmarks import builds
from streams.driver import FOREVER_NS
from streams.engine.build import build_hash
from streams.engine.detector_config import DetectorConfig
from streams.engine.models import ActiveModels, ModelStore
from streams.engine.task import Task
from tapewatch.contract.instruments import Instrument
from tapewatch.market_log.registry import FixedRegistry

FOLDER = Path(__file__).resolve().parents[1] / "vectors" / "snapshots"
TOPIC, PARTITION = "market.splits", 0
TREE = (*builds.PACKAGES, "tests")

WRITER = """
import sys
import msgspec
from streams.driver import FOREVER_NS
from streams.engine import snapshots
from streams.engine.build import build_hash
from streams.engine.task import Task
from tapewatch.contract.instruments import Instrument
from tapewatch.market_log.registry import FixedRegistry
from tests.unit.nervous_models import nervous

log = msgspec.msgpack.decode(open(sys.argv[1], "rb").read())
force = nervous()
registry = FixedRegistry([Instrument(name) for name in log["names"]])
task = Task(log["topic"], log["partition"], registry, force, build_hash())
first = {"models": dict(force.models), "config": msgspec.to_builtins(force.config)}
for offset, (value, headers) in enumerate(log["records"][: log["at"]]):
    task.feed(offset, value, [(name, text) for name, text in headers], FOREVER_NS)
task.take()
made = {
    "format": snapshots.FORMAT,
    "build": build_hash(),
    "models": {name: force._shelf.find(name) for name in {*first["models"].values(), *task.force.models.values()}},
    "first": first,
    "snapshot": snapshots.dump(task),
}
open(sys.argv[2], "wb").write(msgspec.msgpack.encode(made))
"""


class Log(msgspec.Struct, frozen=True):
    """Records of one partition. names : of its instruments; records : value and headers; at : the snapshot's place"""

    topic: str
    partition: int
    names: list[str]
    records: list[tuple[bytes, list[tuple[str, bytes]]]]
    at: int


class Vector(msgspec.Struct, frozen=True):
    """A snapshot. models : files by hash; first : what was in force at the log's beginning"""

    format: int
    build: str
    models: dict[str, bytes]
    first: dict[str, Any]
    snapshot: bytes
    commit: str = ""


@cache
def log() -> Log:
    """The log that every vector is over."""
    return msgspec.msgpack.decode(lzma.decompress((FOLDER / "log.xz").read_bytes()), type=Log)


def vectors() -> list[Vector]:
    """All there are, oldest format first."""
    found = [
        msgspec.msgpack.decode(lzma.decompress(path.read_bytes()), type=Vector) for path in FOLDER.glob("format-*.xz")
    ]
    return sorted(found, key=lambda each: each.format)


def shelf_of(vector: Vector) -> ModelStore:
    """The models that the release's task had."""
    return ModelStore(vector.models)


def fresh(vector: Vector) -> Task:
    """A task that has seen nothing, with what was in force when the release's task began."""
    given = log()
    registry = FixedRegistry([Instrument(name) for name in given.names])
    first = ActiveModels(
        shelf_of(vector), vector.first["models"], msgspec.convert(vector.first["config"], DetectorConfig)
    )
    return Task(given.topic, given.partition, registry, first, build_hash())


def fed(task: Task, given: Log, start: int, stop: int | None = None) -> list[tuple[str, bytes]]:
    """Topic and content of what a task makes of records of the log."""
    for offset, (value, headers) in enumerate(given.records[start:stop], start):
        task.feed(offset, value, headers, FOREVER_NS)
    return [(record.topic, record.value) for record in task.take()]


def _make_log() -> None:
    """The log of split_log, cut after two thirds of it."""
    from tests.unit import split_log as splits
    from tests.unit.engine_market import names_in

    records = list(splits.log(PARTITION))
    made = Log(TOPIC, PARTITION, names_in(splits.events(PARTITION))[1:], records, len(records) * 2 // 3)
    (FOLDER / "log.xz").write_bytes(lzma.compress(msgspec.msgpack.encode(made)))


def write(commit: str) -> Path:
    """Let a commit's code write its snapshot; the file it is kept in."""
    if not (FOLDER / "log.xz").exists():
        _make_log()
    with tempfile.TemporaryDirectory() as folder:
        tree = builds.of_commit(commit, Path(folder) / "tree", TREE)
        given, made = Path(folder) / "log", Path(folder) / "made"
        given.write_bytes(msgspec.msgpack.encode(log()))
        builds.run(tree, "-c", WRITER, str(given), str(made))
        builds.forget_kernels(tree)
        vector = msgspec.structs.replace(msgspec.msgpack.decode(made.read_bytes(), type=Vector), commit=commit)
    path = FOLDER / f"format-{vector.format}.xz"
    path.write_bytes(lzma.compress(msgspec.msgpack.encode(vector)))
    return path


if __name__ == "__main__":
    for chosen in sys.argv[1:]:
        print(write(chosen))
