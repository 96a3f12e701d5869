"""An exported log: records as `tapewatch export --as records` keeps them, and all that it takes to compute them again.

TOPIC/partition=N/day=DAY/FIRST-NEXT.parquet    records, whole: offset, time, key, value, headers
openings/TOPIC/N/DAY.snapshot                   the engine's state as the day, or a later generation of a feed, began;
                                                its first bytes tell the offset
"""

import heapq
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from streams.engine.models import ModelStore
from streams.evidence.gathering import Where
from tapewatch.clock import NANOS
from tapewatch.contract import topics
from tapewatch.durable_files import place
from tapewatch.errors import TapewatchError
from tapewatch.market_log.generations import Generation, Generations
from tapewatch.market_log.registry import Registry
from tapewatch.proof.evidence.records import EvidenceRecord
from tapewatch.settings import Settings

_HEADER = pa.struct([("name", pa.string()), ("value", pa.binary())])
RECORDS = pa.schema(
    [
        ("offset", pa.int64()),
        ("timestamp_ms", pa.int64()),
        ("key", pa.binary()),
        ("value", pa.binary()),
        ("headers", pa.list_(_HEADER)),
    ]
)
_OFFSET_BYTES = 8


def batch_of(records: Iterable[EvidenceRecord]) -> pa.RecordBatch:
    """Records as rows of RECORDS."""
    rows = [
        (each.offset, each.timestamp_ms, each.key, each.value, [{"name": n, "value": v} for n, v in each.headers])
        for each in records
    ]
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(RECORDS)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, RECORDS, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=RECORDS)


def span(path: Path) -> tuple[int, int]:
    """The offsets that a file's name says it covers: the first, and the one behind the last."""
    first, _, rest = path.name.partition("-")
    return int(first), int(rest.split(".")[0].split("-")[0])


class StoredLog:
    """The exported records of a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if not folder.is_dir():
            raise TapewatchError(f"{folder} is no folder", "Name one that `tapewatch export --as records` has written.")

    def partitions(self, topic: str) -> int:
        """How many partitions of a topic were exported."""
        found = [int(each.name.partition("=")[2]) for each in (self.folder / topic).glob("partition=*")]
        return max(found, default=-1) + 1

    def _files(self, where: Where) -> list[Path]:
        topic, partition = where
        return sorted((self.folder / topic / f"partition={partition}").glob("day=*/[0-9]*.parquet"), key=span)

    def bounds(self, where: Where) -> tuple[int, int]:
        """First and next offset; 0, 0 where there is no such partition."""
        files = self._files(where)
        return (span(files[0])[0], span(files[-1])[1]) if files else (0, 0)

    def read(self, where: Where, first: int, last: int) -> Iterator[EvidenceRecord]:
        """The records of a stretch, both ends included."""
        for (begin, end), files in groupby(self._files(where), key=span):
            if end > first and begin <= last:
                # A stretch has a file for each of its days.
                together = heapq.merge(*(_records(path, where[1]) for path in files), key=lambda each: each.offset)
                yield from (each for each in together if first <= each.offset <= last)

    def has(self, topic: str) -> bool:
        """Whether a topic was exported, be it empty."""
        return (self.folder / "ledger" / topic).is_dir()

    def generations(self) -> Generations:
        """The generations of feeds, as an exported topic says."""
        values = [each.value for each in self.records(topics.GENERATIONS) if each.value]
        found = [msgspec.json.decode(value, type=Generation) for value in values]
        return Generations({each.topic: each for each in found})

    def records(self, topic: str) -> Iterator[EvidenceRecord]:
        """All records of a topic."""
        for partition in range(self.partitions(topic)):
            yield from self.read((topic, partition), 0, 2**62)

    def keep_opening(self, where: Where, day: str, next_offset: int, state: bytes) -> None:
        """Keep the state that a day begins with. next_offset : the first record that is not in it"""
        path = self.folder / "openings" / where[0] / str(where[1]) / f"{day}.snapshot"
        place(path, next_offset.to_bytes(_OFFSET_BYTES, "little") + state)

    def openings(self, where: Where) -> list[tuple[str, int]]:
        """Day and offset of every opening that is kept, by offset."""
        found = []
        for path in (self.folder / "openings" / where[0] / str(where[1])).glob("*.snapshot"):
            with path.open("rb") as file:
                found.append((path.stem, int.from_bytes(file.read(_OFFSET_BYTES), "little")))
        return sorted(found, key=lambda each: each[1])

    def opening(self, where: Where, day: str) -> bytes:
        """The state of a day's opening, as `snapshots.restore` takes it."""
        return (self.folder / "openings" / where[0] / str(where[1]) / f"{day}.snapshot").read_bytes()[_OFFSET_BYTES:]


def _records(path: Path, partition: int) -> Iterator[EvidenceRecord]:
    """The records of a file."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=256):
            for row in batch.to_pylist():
                headers = [(each["name"], each["value"] or b"") for each in row["headers"] or ()]
                yield EvidenceRecord(partition, row["offset"], row["timestamp_ms"], row["key"], row["value"], headers)


class ExportModelStore(ModelStore):
    """The shipped models, and those of an exported topic `models`."""

    def __init__(self, log: StoredLog) -> None:
        super().__init__()
        for record in log.records(topics.MODELS):
            if record.value:
                self.put(record.value)


class StoredRegistry(Registry):
    """The registry as an exported topic `instruments` has it: nothing comes any more."""

    def __init__(self, log: StoredLog) -> None:
        super().__init__(Settings())
        for record in log.records(topics.INSTRUMENTS):
            self.take(record.value, record.headers, record.timestamp_ms * (NANOS // 1000))
        self.stale, self._log = False, log

    def partitions(self, topic: str) -> int:
        """How many it had; 0 where the export's ledger does not say: more may be there than were exported."""
        if topic not in self._partitions:
            ledgers = (self._log.folder / "ledger" / topic).glob("*.json")
            said = (msgspec.json.decode(path.read_bytes()) for path in ledgers)
            self._partitions[topic] = max((int(each.get("partitions", 0)) for each in said), default=0)
        return self._partitions[topic]

    def refresh(self) -> None:
        """All of it is read."""

    def _read_through(self, appended_ns: int) -> None:
        """All of it is read."""

    def _await_effect(self, instrument: str) -> None:
        """What was begun and is not in effect in the export never took effect before its end."""
