"""Topics into Parquet, each record once: what a file covers is in its name, how far a partition is in its ledger.

- OUT/TOPIC/partition=N/day=DAY/FIRST-NEXT.parquet         records, whole (`--as records`)
- OUT/TOPIC/TABLE/partition=N/day=DAY/FIRST-NEXT.parquet   rows of frames and messages (`--as rows`)
- OUT/ledger/TOPIC/N.json                                  written last: everything before `next` is there

A stretch of the log becomes files, one a table and day, and is then entered into the ledger. Files that the ledger does
not cover were left by an export that died, and are taken away before the next one goes on.
"""

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
import pyarrow as pa

from streams.engine import opening_snapshots
from streams.engine.build import build_hash
from streams.engine.models import ModelStore
from streams.engine.recovery import Recovery
from streams.engine.snapshots import collect
from streams.evidence.gathering import BrokerLog, Where
from streams.evidence.proving import new_task
from streams.spark.backfill import TableFiles
from streams.spark.stored_log import StoredLog, batch_of, span
from streams.spark.tables import rows_of
from tapewatch.contract import topics
from tapewatch.durable_files import place
from tapewatch.errors import ContractError, TapewatchError
from tapewatch.market_log import generations
from tapewatch.market_log.registry import FixedRegistry, Registry
from tapewatch.proof.evidence.records import EvidenceRecord
from tapewatch.runtime import kafka
from tapewatch.settings import Settings

Form = Literal["rows", "records"]
RECORDS = "records"
STRETCH = 20_000
"""Records between two entries of the ledger: what is done again after a death."""
_READ = 500


class Job(msgspec.Struct, frozen=True):
    """What every task is told. out : folder that every task can write to"""

    settings: Settings
    out: str
    form: Form = "rows"
    stretch: int = STRETCH


class Entry(msgspec.Struct, frozen=True):
    """A partition's ledger. next : the first record that is not there; the counts are over all runs

    partitions : how many its topic had, 0 in ledgers of earlier builds
    """

    topic: str
    partition: int
    form: Form
    next: int
    records: int = 0
    rows: dict[str, int] = {}
    unreadable: int = 0
    partitions: int = 0


def places(settings: Settings, names: Sequence[str], form: Form) -> list[Where]:
    """Every partition of the topics; with records of a market log, also of those that it is computed again with."""
    known = kafka.existing_topics(kafka.admin(settings))
    missing = [name for name in names if name not in known]
    if missing:
        raise TapewatchError(f"there is no topic {missing[0]}", "See `tapewatch status` for the topics there are.")
    wanted = list(dict.fromkeys(names))
    if form == RECORDS and any(map(topics.is_market, names)):
        later = any(topics.is_market(name) and generations.named(topics.feed_of(name)) for name in names)
        beside = (topics.INSTRUMENTS, topics.MODELS, *([topics.GENERATIONS] if later else []))
        wanted += [each for each in beside if each in known and each not in wanted]
    return [(name, partition) for name in wanted for partition in range(known[name])]


def ledger(out: Path, where: Where) -> Path:
    """The file that says how far a partition is."""
    return out / "ledger" / where[0] / f"{where[1]}.json"


def entered(out: Path, where: Where, form: Form) -> Entry:
    """What the ledger says. TapewatchError where the folder holds the other form"""
    try:
        entry = msgspec.json.decode(ledger(out, where).read_bytes(), type=Entry)
    except FileNotFoundError:
        return Entry(*where, form, -1)
    if entry.form != form:
        raise TapewatchError(f"{out} holds {where[0]} as {entry.form}", "Give each form a folder of its own.")
    return entry


def export(job: Job, where: Where) -> Entry:
    """Bring a partition's export to the end of its log as it stands now; the ledger afterwards."""
    out = Path(job.out)
    reader = kafka.consumer(job.settings, auto_offset_reset="error")
    with _alone(out, where):
        try:
            count = kafka.existing_topics(reader).get(where[0], 0)
            entry = msgspec.structs.replace(entered(out, where, job.form), partitions=count)
            low, high = kafka.watermarks(reader, *where)
            start = low if entry.next < 0 else entry.next
            _refuse_gaps(where, start, low, high)
            _drop_from(out, where, start)
            log = BrokerLog(reader).read(where, start, high - 1)
            while stretch := list(islice(log, job.stretch)):
                entry = _kept(job, where, entry, start, stretch)
                start = entry.next
        finally:
            reader.close()
        if job.form == RECORDS and topics.is_market(where[0]):
            _keep_openings(job, where)
        # Transaction markers take offsets too: a log may end behind its last record.
        return entry if entry.next >= high else _enter(out, msgspec.structs.replace(entry, next=max(high, start)))


def _refuse_gaps(where: Where, start: int, low: int, high: int) -> None:
    if start < low:
        raise TapewatchError(
            f"{where[0]}[{where[1]}] begins at offset {low}, the export ends before {start}",
            "What lay between is deleted: export more often than topics.market_retention_hours, or begin a new folder.",
        )
    if start > high:
        raise TapewatchError(
            f"{where[0]}[{where[1]}] ends at offset {high}, the export at {start}",
            "The topic was made anew: begin a new folder.",
        )


def _kept(job: Job, where: Where, entry: Entry, start: int, stretch: Sequence[EvidenceRecord]) -> Entry:
    """Write a stretch's files, then enter it."""
    out, next_ = Path(job.out), stretch[-1].offset + 1
    files: dict[str, TableFiles] = {}
    unreadable = 0
    try:
        for day, table, batch in _batches(job.form, where[0], stretch):
            if batch is None:
                unreadable += 1
                continue
            mine = files.get(day)
            if mine is None:
                mine = files[day] = TableFiles(partial(_folder, out, where, job.form, day), f"{start}-{next_}")
            mine.add(table, batch)
        rows = dict(entry.rows)
        for each in files.values():
            for table, count in each.rows.items():
                rows[table] = rows.get(table, 0) + count
            each.finish()
    finally:
        for each in files.values():
            each.drop()
    done = msgspec.structs.replace(
        entry, next=next_, records=entry.records + len(stretch), rows=rows, unreadable=entry.unreadable + unreadable
    )
    return _enter(out, done)


def _enter(out: Path, entry: Entry) -> Entry:
    place(ledger(out, (entry.topic, entry.partition)), msgspec.json.encode(entry) + b"\n")
    return entry


def _batches(
    form: Form, topic: str, stretch: Sequence[EvidenceRecord]
) -> Iterator[tuple[str, str, pa.RecordBatch | None]]:
    """Day, table and rows; no rows for a record that is no frame where one was announced."""
    if form == RECORDS:
        for at in range(0, len(stretch), _READ):
            by_day: dict[str, list[EvidenceRecord]] = {}
            for record in stretch[at : at + _READ]:
                by_day.setdefault(_day_of(record), []).append(record)
            for day, records in by_day.items():
                yield day, RECORDS, batch_of(records)
        return
    for record in stretch:
        if record.value is None:
            continue
        try:
            table, batch = rows_of(topic, record.value, record.key, record.headers)
        except ContractError:
            yield "", "", None
            continue
        yield _day(_first_time(batch) or record.timestamp_ms * 1_000_000), table, _with_place(batch, record)


def _with_place(batch: pa.RecordBatch, record: EvidenceRecord) -> pa.RecordBatch:
    """Rows with where they lay: the record's offset and time, and the input that a frame of the engine names."""
    told = dict(record.headers)
    more: dict[str, pa.Array] = {
        "log_offset": pa.array(np.full(batch.num_rows, record.offset, dtype=np.int64)),
        "log_timestamp": pa.array(np.full(batch.num_rows, record.timestamp_ms * 1_000_000, dtype=np.int64)),
    }
    if "feed" in told and "partition" in told:
        more["feed"] = pa.array([told["feed"].decode("utf-8", "replace")] * batch.num_rows, pa.string())
        more["feed_partition"] = pa.array(np.full(batch.num_rows, int(told["partition"]), dtype=np.int32))
    return pa.RecordBatch.from_arrays([*batch.columns, *more.values()], names=[*batch.schema.names, *more])


def _first_time(batch: pa.RecordBatch) -> int | None:
    """Of a frame's first row: when it was received, or what second it closes."""
    name = next((each for each in ("ts_recv", "ts") if each in batch.schema.names), None)
    return int(batch.column(name)[0].as_py()) if name and batch.num_rows else None


def _day_of(record: EvidenceRecord) -> str:
    """The day of a whole record: its rows' where it is a frame, else that of its append time."""
    found = None
    if record.value and record.value.startswith(b"\xff\xff\xff\xff"):
        try:
            found = _first_time(rows_of("", record.value, None, record.headers)[1])
        except ContractError:
            found = None
    return _day(found or record.timestamp_ms * 1_000_000)


def _day(ns: int) -> str:
    return opening_snapshots.name_of(ns // opening_snapshots.DAY_NS)


def _folder(out: Path, where: Where, form: Form, day: str, table: str) -> Path:
    above = out / where[0] if form == RECORDS else out / where[0] / table
    return above / f"partition={where[1]}" / f"day={day}"


def _drop_from(out: Path, where: Where, offset: int) -> None:
    """Take away what the ledger does not cover."""
    for pattern in (f"partition={where[1]}/day=*/*", f"*/partition={where[1]}/day=*/*"):
        for path in (out / where[0]).glob(pattern):
            if path.name.startswith(".") or span(path)[0] >= offset:
                path.unlink()


def _keep_openings(job: Job, where: Where) -> None:
    """Keep the states with which the days of a market log began, and with which the log did."""
    stored, settings = StoredLog(Path(job.out)), job.settings
    known = {day for day, _ in stored.openings(where)}
    task = new_task(where, FixedRegistry([]), ModelStore())
    reader = kafka.consumer(settings)
    recovery = Recovery(settings, Registry(settings), ModelStore(), build_hash())
    try:
        for opening in opening_snapshots.stored(settings, reader, task):
            day = opening_snapshots.name_of(opening.day)
            if day not in known:
                state = collect(opening.pointer, task, recovery.snapshot_records)
                stored.keep_opening(where, day, opening.pointer.next_offset, state)
    finally:
        recovery.close()
        reader.close()


@contextmanager
def _alone(out: Path, where: Where) -> Iterator[None]:
    """One export of a partition into a folder at a time."""
    path = ledger(out, where).with_suffix(".lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise TapewatchError(
                f"another export writes {where[0]}[{where[1]}] into {out}", "Wait for its end, or name another folder."
            ) from error
        yield
