"""Computing history again: every session of a feed through the engine's own task, into Parquet, by Spark or here.

OUT/TABLE/feed=FEED/partition=N/session=DAY/part.parquet
OUT/sessions/FEED/N/DAY.json        written last: the session is whole; which offsets, what it held, which build
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from streams.driver import TOPICS
from streams.engine.build import build_hash
from streams.engine.task import OutputRecord
from streams.evidence.replaying import feed_kept
from streams.spark import engines
from streams.spark.files import TableFiles
from streams.spark.sessions import Session, Source
from streams.spark.tables import rows_of
from tapewatch.contract import topics
from tapewatch.durable_files import place
from tapewatch.errors import TapewatchError
from tapewatch.settings import Settings

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
