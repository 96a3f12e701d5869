"""Computing history again: every session of a feed through the engine's own task, into Parquet, by Spark or here.

OUT/TABLE/feed=FEED/partition=N/session=DAY/part.parquet
OUT/sessions/FEED/N/DAY.json        written last: the session is whole; which offsets, what it held, which build

Parquet files of tables: rows are gathered into large row groups, and a file gets its name when it is whole.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from streams.driver import TOPICS
from streams.engine.build import build_hash
from streams.engine.task import OutputRecord
from streams.evidence.proving import feed_kept
from streams.spark import engines
from streams.spark.sessions import Session, Source
from streams.spark.tables import rows_of
from tapewatch.contract import topics
from tapewatch.durable_files import place, sync_folder
from tapewatch.errors import TapewatchError
from tapewatch.settings import Settings

GROUP_ROWS = 131_072
"""Rows of a row group; as many are held of each table."""

Where = Callable[[str], Path]
"""The folder of a table."""


class TableFiles:
    """One file a table, and one more for each other set of columns that it shows; none has its name before `finish`.

    name : of the files, without their ending
    """

    def __init__(self, where: Where, name: str) -> None:
        self._where, self._name = where, name
        self._open: dict[str, list[_File]] = {}
        self.rows: dict[str, int] = {}

    def add(self, table: str, batch: pa.RecordBatch) -> None:
        """Append rows."""
        if not batch.num_rows:
            return
        files = self._open.setdefault(table, [])
        file = next((each for each in files if each.schema.equals(batch.schema)), None)
        if file is None:
            path = self._where(table) / f"{self._name}{f'-{len(files)}' if files else ''}.parquet"
            file = _File(path, batch.schema)
            files.append(file)
        file.add(batch)
        self.rows[table] = self.rows.get(table, 0) + batch.num_rows

    def finish(self) -> list[Path]:
        """Bring everything onto the disk and give the files their names; those."""
        done = [file for files in self._open.values() for file in files]
        for file in done:
            file.close()
        for file in done:
            file.beside.replace(file.path)
        for folder in {file.path.parent for file in done}:
            sync_folder(folder)
        self._open = {}
        return [file.path for file in done]

    def drop(self) -> None:
        """Leave no file behind."""
        for files in self._open.values():
            for file in files:
                file.drop()
        self._open = {}


class _File:
    """A file on its way."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.path, self.schema = path, schema
        self.beside = path.with_name(f".{path.name}.{os.getpid()}")
        self._batches: list[pa.RecordBatch] = []
        self._held = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        # A dictionary takes two NaNs for one: numbers are kept bit for bit without it.
        texts = [each.name for each in schema if pa.types.is_string(each.type)]
        self._sink = self.beside.open("wb")
        self._writer = pq.ParquetWriter(self._sink, schema, compression="zstd", use_dictionary=texts or False)

    def add(self, batch: pa.RecordBatch) -> None:
        self._batches.append(batch)
        self._held += batch.num_rows
        if self._held >= GROUP_ROWS:
            self._write()

    def _write(self) -> None:
        if self._batches:
            self._writer.write_table(pa.Table.from_batches(self._batches), row_group_size=GROUP_ROWS)
        self._batches, self._held = [], 0

    def close(self) -> None:
        self._write()
        self._writer.close()
        self._sink.flush()
        os.fsync(self._sink.fileno())
        self._sink.close()

    def drop(self) -> None:
        with suppress(OSError):
            self._writer.close()
        self._sink.close()
        self.beside.unlink(missing_ok=True)


def batches(paths: list[Path]) -> Iterator[pa.RecordBatch]:
    """The rows of files, one file behind the other."""
    for path in paths:
        with pq.ParquetFile(path) as file:
            yield from file.iter_batches()


STEP_RECORDS = 256
"""Records between two looks at what was computed."""

KEPT = frozenset((*TOPICS, topics.SHADOW_SIGNALS))
"""Topics whose rows are kept; what was refused lies in the feed's dead letters already."""


class Job(msgspec.Struct, frozen=True):
    """What every task is told. log : folder of an exported log, empty for the broker; out : visible to every task"""

    settings: Settings
    out: str
    log: str = ""


class CompletedSession(msgspec.Struct, frozen=True):
    """A session that is whole. rows : by table; models : in force at its end, by detector; build : that computed it"""

    topic: str
    partition: int
    day: str
    first: int
    end: int
    opening: bool
    records: int
    accepted: dict[str, int]
    refused: dict[str, int]
    rows: dict[str, int]
    configuration: str
    models: dict[str, str]
    build: str


def marker(out: Path, session: Session) -> Path:
    """The file that says that a session is whole."""
    return out / "sessions" / _feed(session) / str(session.partition) / f"{session.day}.json"


def folder(out: Path, session: Session, table: str) -> Path:
    """Where a session's rows of a table lie."""
    return out / table / f"feed={_feed(session)}" / f"partition={session.partition}" / f"session={session.day}"


def _feed(session: Session) -> str:
    return topics.feed_of(session.topic)


def is_whole(out: Path, session: Session) -> bool:
    """Whether this very stretch was computed before, by this build."""
    try:
        done = msgspec.json.decode(marker(out, session).read_bytes(), type=CompletedSession)
    except (FileNotFoundError, msgspec.MsgspecError):
        return False
    same = (done.first, done.end, done.opening) == (session.first, session.end, session.opening)
    return same and done.build == build_hash()


def compute(job: Job, session: Session) -> CompletedSession:
    """Compute one session and write it; what it wrote before, whole or not, is replaced."""
    out = Path(job.out)
    marker(out, session).unlink(missing_ok=True)
    for old in out.glob(f"*/feed={_feed(session)}/partition={session.partition}/session={session.day}/*"):
        old.unlink()
    source = Source(job.settings, job.log)
    files = TableFiles(lambda table: folder(out, session, table), "part")
    try:
        task, records = source.task(session), 0
        for record in source.log.read(session.where, session.first, session.end - 1):
            feed_kept(task, record)
            records += 1
            if records % STEP_RECORDS == 0:
                _keep(files, task.take())
        _keep(files, task.take())
        files.finish()
    finally:
        files.drop()
        source.close()
    done = CompletedSession(
        session.topic, session.partition, session.day, session.first, session.end, session.opening, records,
        dict(task.tally.rows), dict(task.tally.refused), dict(files.rows), task.force.config_hash,
        dict(task.force.models), build_hash(),
    )  # fmt: skip
    place(marker(out, session), msgspec.json.encode(done) + b"\n")
    return done


def _keep(files: TableFiles, records: Sequence[OutputRecord]) -> None:
    for record in records:
        if record.topic in KEPT:
            files.add(*rows_of(record.topic, record.value, record.key, record.headers))


def on_spark(
    spark: Any, job: Job, sessions: Sequence[Session], progress: engines.Progress | None = None
) -> list[CompletedSession]:
    """Compute sessions, a Spark task each; TapewatchError where one fails. spark : SparkSession"""
    found = engines.spread(
        spark, len(sessions), lambda number: msgspec.to_builtins(compute(job, sessions[number])), progress
    )
    return [msgspec.convert(each, CompletedSession) for each in found]


def here(job: Job, sessions: Sequence[Session], progress: engines.Progress | None = None) -> list[CompletedSession]:
    """Compute sessions one after the other in this process."""
    found = []
    for number, session in enumerate(sessions, 1):
        found.append(compute(job, session))
        if progress is not None:
            progress(number, len(sessions))
    return found


def parted(out: Path, sessions: Sequence[Session], again: bool) -> tuple[list[Session], list[Session]]:
    """Sessions that are to be computed, and those that are whole. again : compute all. TapewatchError for a gap"""
    if again:
        return list(sessions), []
    whole = [each for each in sessions if is_whole(out, each)]
    return [each for each in sessions if each not in whole], whole


Runs = Callable[[Job, Sequence[Session], engines.Progress | None], list[CompletedSession]]
"""What computes sessions: `here`, or `on_spark` with its session."""


def resolved(settings: Settings) -> Settings:
    """Settings that name the broker, for tasks on other machines: they have no data folder to find it by."""
    try:
        address = settings.bootstrap()
    except TapewatchError:
        return settings
    return msgspec.structs.replace(settings, kafka=msgspec.structs.replace(settings.kafka, bootstrap=address))
