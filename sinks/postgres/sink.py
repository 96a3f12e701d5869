"""The sink's life: claim the database, read on from its offsets, write batch after batch; start over when one fails.

There is one way to begin and to recover: a new session, the one-writer lock, state and offsets from the database. So a
failure at any moment, an unanswered COMMIT included, is decided by what the database holds.

A copy of the audit log in the database, so that it can be queried beside alerts. The file stays the proof.

What a run of the sink did.
"""

import threading
from collections import Counter
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import psycopg2
from confluent_kafka import KafkaException
from psycopg2.extensions import connection as Connection  # noqa: N812 - a class with a lower-case name
from psycopg2.extras import execute_values

from sinks.backoff import Backoff
from sinks.dead_letters import DeadLetterTopics
from sinks.log_reader import Reader
from sinks.postgres.batch import Batch
from sinks.postgres.database import check_revision, claim, connect
from sinks.postgres.intake import Intake, Refusals, is_wanted
from sinks.postgres.keys import Keys
from sinks.postgres.partitions import FeatureColumns
from sinks.postgres.positions import Positions, begin_anew
from sinks.postgres.writer import Writer
from sinks.store_spans import stored
from tapewatch import logs
from tapewatch.clock import NANOS, WALL
from tapewatch.contract import topics
from tapewatch.errors import TapewatchError, UnansweredError
from tapewatch.market_log.registry import Registry
from tapewatch.proof import audit
from tapewatch.rfc3339 import from_rfc3339
from tapewatch.runtime import kafka, topic_ids, tracing
from tapewatch.runtime.monitoring import Monitor
from tapewatch.runtime.monitoring import metric as figures
from tapewatch.settings import Settings


class Summary(msgspec.Struct, frozen=True):
    """The end of a run.

    rows : rows written by table (messages by topic, our own trading by table)
    refused : market rows and frames that do not count, by reason
    duplicates : market frames seen before; dead_letters : records sent to dead-letter topics, by reason
    retries : how often database or broker failed and the work was taken up again
    seconds : wall time; busy_rows_per_s : rows over the time between the first and the last commit
    lag : records not yet read, when last looked at
    """

    rows: dict[str, int]
    refused: dict[str, int]
    duplicates: int
    dead_letters: dict[str, int]
    transactions: int
    retries: int
    seconds: float
    busy_rows_per_s: int
    lag: int


@dataclass(frozen=True, slots=True)
class Progress:
    """Now.

    rows : written since the start; rows_per_s : since the last report; trouble : why nothing moves, else empty
    """

    rows: int
    rows_per_s: int
    lag: int
    trouble: str = ""


@dataclass(slots=True)
class Tally:
    """Counts of committed batches. first_ns, last_ns : begin of the first one, commit of the last, by `elapsed`."""

    rows: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    dead: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0
    transactions: int = 0
    retries: int = 0
    lag: int = 0
    first_ns: int = 0
    last_ns: int = 0

    def count(self, batch: Batch, began_ns: int, ended_ns: int) -> None:
        """Count a committed batch."""
        self.rows.update(batch.rows)
        self.refused.update(batch.refused)
        self.dead.update(refusal.reason for refusal in batch.dead)
        self.duplicates += batch.duplicates
        self.transactions += 1
        self.first_ns, self.last_ns = self.first_ns or began_ns, ended_ns

    def summary(self, elapsed_ns: int) -> Summary:
        """The counts as plain values."""
        busy = max(self.last_ns - self.first_ns, 1) / 1e9
        return Summary(
            rows=dict(sorted(self.rows.items())),
            refused=dict(sorted(self.refused.items())),
            duplicates=self.duplicates,
            dead_letters=dict(sorted(self.dead.items())),
            transactions=self.transactions,
            retries=self.retries,
            seconds=round(elapsed_ns / 1e9, 3),
            busy_rows_per_s=int(self.rows.total() / busy) if self.rows else 0,
            lag=self.lag,
        )


_INSERT = """
INSERT INTO audit (hash, sequence, at_ns, who, action, subject, why, details, previous) VALUES %s
ON CONFLICT (hash) DO NOTHING
"""
_log = logs.get("sink.postgres")


class AuditCopy:
    """Copies entries that the table lacks, whenever the log has grown."""

    def __init__(self, data: Path) -> None:
        self._folder = audit.folder(data)
        self._size = -1
        self._copied = 0

    def refresh(self, session: Connection) -> None:
        """Copy what is new, in a transaction of its own. A damaged log is reported, not copied."""
        path = self._folder / audit.LOG_FILE
        size = path.stat().st_size if path.exists() else 0
        if size == self._size:
            return
        try:
            entries = audit.entries(self._folder)
            rows = [_row(entry) for entry in entries[self._copied if size > self._size else 0 :]]
            with session, session.cursor() as cursor:
                if rows:
                    execute_values(cursor, _INSERT, rows)
            self._copied = len(entries)
        except (TapewatchError, ValueError) as error:
            _log.error("the audit log cannot be copied", problem=str(error))
        self._size = size


def _row(entry: audit.AuditEntry) -> tuple[object, ...]:
    """An entry as a row; NUL, which PostgreSQL does not know, as `?`."""
    told = (text.replace("\0", "?") for text in (entry.who, entry.action, entry.subject, entry.why))
    details = msgspec.json.encode(entry.details).decode().replace("\\u0000", "?")
    return (entry.hash, entry.sequence, from_rfc3339(entry.at), *told, details, entry.previous)


REPORT_NS = 2 * NANOS
ANEW = (
    "Restore the topic; or let `tapewatch sink postgres --begin-anew {topic}` read it from its beginning, beside what "
    "is kept of the one before."
)
MAX_REFUSALS = 5
"""Failures in a row, none of them a lost connection, after which the sink gives up."""

BROKER = (KafkaException, kafka.DeliveryError, UnansweredError)
"""What a broker's failure looks like: it is waited for."""


class PostgresSink:
    """Keeps market topics and the engine's topics in PostgreSQL, exactly once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._tally = Tally()
        self.monitor = Monitor("sink_postgres", settings)
        self._takes = self.monitor.distribution(figures.TRANSACTION_SECONDS)
        _show(self.monitor, self._tally)
        self._backoff = Backoff()
        self._refusals = 0
        self._reported_ns = self._reported_rows = self._last_input_ns = 0
        self._report: Callable[[Progress], None] = lambda _: None
        self._begin_anew: Collection[str] = ()

    def run(
        self,
        stop: threading.Event,
        until_idle: float | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        begin_anew: Collection[str] = (),
    ) -> Summary:
        """Work until `stop` is set, or until all is read and nothing came for `until_idle` seconds.

        What was read is then committed.

        on_progress : called about every two seconds from this thread
        begin_anew : topics that are begun with at their beginnings, where they were made anew
        A database or broker that fails is waited for. TapewatchError where waiting does not help.
        """
        began = self._reported_ns = self._last_input_ns = WALL.elapsed()
        self._report, self._begin_anew = on_progress or self._report, begin_anew
        told = self.monitor.client("reader")
        reader = Reader(self._settings, "tapewatch-sink-postgres", is_wanted, ANEW, told)
        registry = Registry(self._settings)
        self.monitor.waits_for("database", "another sink may be writing to it yet")
        self.monitor.ready()
        try:
            self._work(reader, registry, DeadLetterTopics(self._settings), stop, until_idle)
        finally:
            reader.close()
            registry.close()
        return self._tally.summary(WALL.elapsed() - began)

    def _work(
        self,
        reader: Reader,
        registry: Registry,
        dead: DeadLetterTopics,
        stop: threading.Event,
        until_idle: float | None,
    ) -> None:
        """One session after the other until the work is done."""
        url, patience_s = self._settings.postgres_url(), 10.0
        while not stop.is_set():
            self.monitor.beat()
            session: Connection | None = None
            try:
                session = connect(url)
                if not claim(session, patience_s, stop):
                    return
                # A later session may have to wait for the death of our own last one.
                patience_s = 60.0
                self._one_session(session, reader, registry, dead, stop, until_idle)
                return
            except (psycopg2.Error, *BROKER) as error:
                self._pause(error, stop)
            finally:
                if session is not None:
                    with suppress(psycopg2.Error):
                        session.close()

    def _pause(self, error: Exception, stop: threading.Event) -> None:
        """Wait before the next attempt; TapewatchError after too many failures that no lost connection explains."""
        lost = isinstance(error, (psycopg2.OperationalError, psycopg2.InterfaceError, *BROKER))
        self._refusals = 0 if lost else self._refusals + 1
        problem = " ".join(str(error).split())
        self.monitor.waits_for("broker" if isinstance(error, BROKER) else "database", problem)
        if self._refusals >= MAX_REFUSALS:
            hint = "Check the role's rights and `tapewatch db status`."
            raise TapewatchError(f"PostgreSQL refuses the work: {problem}", hint)
        self._tally.retries += 1
        wait = self._backoff.wait_s()
        _log.warning("waiting to try again", seconds=round(wait, 1), problem=problem, next=getattr(error, "hint", ""))
        self._report(Progress(self._tally.rows.total(), 0, self._tally.lag, problem))
        stop.wait(wait)
        self._last_input_ns = WALL.elapsed()

    def _one_session(
        self,
        session: Connection,
        reader: Reader,
        registry: Registry,
        dead: DeadLetterTopics,
        stop: threading.Event,
        until_idle: float | None,
    ) -> None:
        """Read and write over one database session."""
        check_revision(session)
        if self._begin_anew:
            begin_anew(session, topic_ids.present(kafka.admin(self._settings), self._begin_anew))
        keys, positions = Keys(session), Positions(session, registry)
        intake = Intake(keys, positions, FeatureColumns(session), Refusals(session))
        writer = Writer(session, keys, dead, positions.topic_ids)
        audit = AuditCopy(self._settings.data_path)
        reader.restart(positions.next_offsets, positions.topic_ids)
        positions.take_up_ids(session)
        self.monitor.has("database")
        self.monitor.has("broker")
        batch, began, look_at = Batch(), WALL.elapsed(), 0
        while True:
            self.monitor.beat()
            messages, more = reader.poll()
            registry.fetched(messages)
            for message in messages:
                began = began if batch.records else WALL.elapsed()
                intake.take(message, batch)
                if batch.is_full(self._settings.sink.batch_rows):
                    batch = self._write(writer, batch, began)
            if batch.records and (not more or stop.is_set()):
                batch = self._write(writer, batch, began)
            now = WALL.elapsed()
            if messages or not reader.is_at_end():
                self._last_input_ns = now
            if now >= look_at:
                look_at = now + REPORT_NS
                reader.discover(positions.next_offsets)
                audit.refresh(session)
                self._tell(reader, now)
            if stop.is_set() or (until_idle is not None and now - self._last_input_ns > until_idle * NANOS):
                audit.refresh(session)
                self._tally.lag = reader.lag()
                return

    def _write(self, writer: Writer, batch: Batch, began_ns: int) -> Batch:
        """Commit a batch and begin the next one."""
        begun = WALL.elapsed()
        writer.write(batch)
        self._tally.count(batch, began_ns, WALL.elapsed())
        self._takes.observe((WALL.elapsed() - begun) / NANOS)
        if self.monitor.tracer is not None:
            kept = (record.value for record in batch.messages if record.topic == topics.ALERTS)
            stored(self.monitor.tracer, tracing.POSTGRES, kept, WALL.elapsed() - began_ns)
        self._backoff.reset()
        self._refusals = 0
        return Batch()

    def _tell(self, reader: Reader, elapsed_ns: int) -> None:
        """Report progress."""
        rows, self._tally.lag = self._tally.rows.total(), reader.lag()
        rate = (rows - self._reported_rows) * NANOS / max(elapsed_ns - self._reported_ns, 1)
        self._reported_ns, self._reported_rows = elapsed_ns, rows
        self._report(Progress(rows, int(rate), self._tally.lag))


def _show(monitor: Monitor, tally: Tally) -> None:
    """Let the tally be read whenever somebody looks."""
    monitor.show(figures.WRITTEN, lambda: figures.labelled(tally.rows))
    monitor.show(figures.REFUSED, lambda: figures.labelled(tally.refused))
    monitor.show(figures.DEAD_LETTERS, lambda: figures.labelled(tally.dead))
    monitor.show_counts(
        {
            "duplicates": figures.DUPLICATES,
            "transactions": figures.TRANSACTIONS,
            "retries": figures.RETRIES,
        },
        tally,
    )
