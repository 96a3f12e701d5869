"""The notify sink's life: one sink a database, an intake and a sender beside each other; start over when one fails.

1. The lock is taken, leases of a sink that died are given back, offsets are read from the database.
2. Intake: records are read; alerts, the case stage's word and offsets are kept in one transaction. If we die before its
   commit, the same records are read again; after it, they are not.
3. Alerts whose wait is over become messages, and leave the inbox, in one transaction. A message's id tells
   subscription, alert and revision: a message that is there is not made twice.
4. Sender: see outbox.

The notify sink's side of Kafka: alerts and cases, read on from where the database says.
"""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial

import sqlalchemy as sa
from confluent_kafka import OFFSET_BEGINNING, KafkaError, KafkaException, Message, TopicPartition

from sinks.backoff import Backoff
from sinks.notify import inbox, outbox
from sinks.notify.inbox import InboxBatch, Log
from sinks.notify.outbox import Progress, Summary, Tally
from tapewatch import logs
from tapewatch.clock import NANOS, WALL
from tapewatch.contract import topics
from tapewatch.contract.canaries import Canary
from tapewatch.contract.messages import Alert, Case, decode
from tapewatch.desk.subscription_store import listed
from tapewatch.errors import ContractError, TapewatchError, UnansweredError
from tapewatch.runtime import kafka, topic_ids
from tapewatch.runtime.monitoring import Monitor, counters, gauge
from tapewatch.runtime.monitoring import metric as figures
from tapewatch.security.secret_box import SecretBox, secret_box
from tapewatch.settings import Settings
from tapewatch.settings.canaries import is_canary

AT_ONCE = 500
ANEW = (
    "Restore the topic; or `DELETE FROM notify_offsets WHERE topic = '{topic}'`: it is then read from its beginning, "
    "and a message that was made already is not made again."
)
MOST_REVISION = 2**31 - 1
_log = logs.get("sink.notify")


class Reader:
    """A consumer without a group's help: the database alone says where to read on. It reads how canaries fared, too.

    ids : of the topics that the offsets are of, as far as they are known
    since_ns : where alerts are read from at the very first start: the beginning of the oldest subscription, UTC ns
    told : given librdkafka's statistics every second
    """

    def __init__(
        self,
        settings: Settings,
        next_offsets: Mapping[Log, int],
        ids: Mapping[str, str],
        since_ns: int,
        told: Callable[[str], None] | None = None,
    ) -> None:
        self._consumer = kafka.consumer(settings, "tapewatch-sink-notify", told, enable_partition_eof=True)
        self._canaries = settings.notify.canaries
        cases = (topics.CASES,) if settings.notify.case_wait_s else ()
        self._wanted = (topics.ALERTS, topics.CANARIES, *cases)
        self._settings, self._ids = settings, dict(ids)
        self._next, self._since_ns = dict(next_offsets), since_ns
        self._first = not any(topic == topics.ALERTS for topic, _ in next_offsets)
        self._assigned: set[Log] = set()
        self._at_end: set[Log] = set()
        self.unreadable = self.canaries = 0

    def discover(self) -> None:
        """Take up topics and partitions that have appeared.

        TopicRecreatedError where one is not what the offsets are of.
        """
        found = self._consumer.list_topics(timeout=kafka.TIMEOUT_S).topics
        there = {(name, number) for name in self._wanted if name in found for number in found[name].partitions}
        fresh = sorted(there - self._assigned)
        if fresh:
            present = topic_ids.present(kafka.admin(self._settings), {topic for topic, _ in fresh})
            topic_ids.check(self._ids, present, "the database", ANEW)
            self._ids.update(present)
            starts = [TopicPartition(*log, self._start(log)) for log in fresh]
            self._consumer.incremental_assign(starts)
            self._assigned |= set(fresh)

    def _start(self, log: Log) -> int:
        """Where to read a partition; TapewatchError where it ends before the place we had reached."""
        known = self._next.get(log)
        if known is not None:
            low, high = kafka.watermarks(self._consumer, *log)
            if high < known:
                raise TapewatchError(
                    f"{log[0]}[{log[1]}] ends at offset {high}, but subscribers were told up to {known}",
                    "The topic was made anew, or the database belongs to another cluster: use an empty database.",
                )
            return max(low, known)
        if log[0] != topics.ALERTS or not self._first or self._assigned:
            return int(OFFSET_BEGINNING)
        _, high = kafka.watermarks(self._consumer, *log)
        asked = TopicPartition(*log, self._since_ns // 1_000_000)
        offset = int(kafka.offsets_at(self._consumer, [asked])[0].offset)
        return offset if offset >= 0 else high

    def poll(self, seconds: float) -> InboxBatch:
        """Some records, read; waits that long at most. A record that is no message is counted and passed over."""
        taken = InboxBatch(topic_ids=self._ids)
        for message in self._consumer.consume(AT_ONCE, timeout=seconds):
            log, error = (message.topic(), message.partition()), message.error()
            if error is None:
                self._at_end.discard(log)
                taken.offsets[log] = message.offset() + 1
                self._read(message, taken)
            elif error.code() == KafkaError._PARTITION_EOF:
                self._at_end.add(log)
            elif not error.retriable():
                raise KafkaException(error)
        return taken

    def _read(self, message: Message, taken: InboxBatch) -> None:
        """One record into what is taken up."""
        value = message.value() or b""
        recorded_ns = message.timestamp()[1] * 1_000_000
        try:
            if message.topic() == topics.CANARIES:
                taken.canaries.append((decode(Canary, value), recorded_ns))
                return
            if message.topic() == topics.CASES:
                taken.cases.append(decode(Case, value))
                return
            alert = decode(Alert, value)
        except ContractError as error:
            self.unreadable += 1
            place = {"topic": message.topic(), "partition": message.partition(), "offset": message.offset()}
            _log.error("a record is no message", problem=logs.printable(error.message)[:200], **place)
            return
        if is_canary(self._canaries, alert.instrument):
            self.canaries += 1
        elif alert.revision <= MOST_REVISION:
            taken.alerts.append((alert, recorded_ns))
        else:
            self.unreadable += 1

    def is_at_end(self) -> bool:
        """Whether every partition was read to its end."""
        return self._assigned <= self._at_end

    def close(self) -> None:
        """Give the consumer back."""
        self._consumer.close()


REVISION = "0005"
REPORT_NS = 2 * NANOS
MAX_REFUSALS = 5
"""Failures in a row, none of them a lost connection, after which the sink gives up."""
_LOCK = 7_236_005
"""Advisory lock of the one notify sink of a database."""
_POLL_S = 0.1
_FOLD_EVERY_NS = NANOS // 2


COUNTS = counters(
    "notify",
    alerts="Alert revisions read.",
    inhibited="Alerts that reached nobody, by the case stage's word.",
    canaries="Alerts that reached nobody, by their instrument.",
    planned="Messages made.",
    delivered="Attempts that got through.",
    failed="Attempts that did not.",
    dead="Messages given up.",
    disabled="Subscriptions disabled.",
    unreadable="Records that are no messages.",
)
OUTBOX = gauge("tapewatch_outbox_messages", "Messages that wait in the outbox of active subscriptions.", "state")
OLDEST = gauge("tapewatch_outbox_oldest_seconds", "Age of the oldest of them; 0 where none waits.")
_UNDONE = sa.text(
    "SELECT count(*) FILTER (WHERE d.state = 'waiting'), count(*) FILTER (WHERE d.state = 'queued'), "
    "min(d.created_ns) FROM deliveries d JOIN subscriptions s ON s.id = d.subscription_id "
    "WHERE d.state IN ('queued', 'waiting') AND s.state = 'active'"
)


class NotifySink:
    """Brings alerts to subscribers: each at least once, under one id, in order per subscription and instrument."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._tally = Tally()
        self.monitor = Monitor("sink_notify", settings)
        counts = self._tally.counts
        for name, metric in (COUNTS | {"retries": figures.RETRIES}).items():
            self.monitor.show(metric, partial(_count, counts, name))
        self._backoff = Backoff()
        self._report: Callable[[Progress], None] = lambda _: None
        self._report_at = self._refusals = 0

    def run(
        self,
        stop: threading.Event,
        until_idle: float | None = None,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> Summary:
        """Work until `stop` is set, or until nothing happened for `until_idle` seconds and nothing is due.

        A database or broker that fails is waited for. TapewatchError where waiting does not help.
        """
        try:
            import aiohttp  # noqa: F401 - so that its absence is told at once
        except ImportError as error:
            raise TapewatchError(
                "the notify sink needs aiohttp", "Install the extra: pip install 'tapewatch[notify]'."
            ) from error
        began = self._tally.last_ns = WALL.elapsed()
        self._report = on_progress or self._report
        self.monitor.waits_for("database", "another notify sink may be at work on it yet")
        self.monitor.ready()
        while not stop.is_set():
            try:
                self._session(stop, until_idle)
                break
            except (sa.exc.DBAPIError, KafkaException, UnansweredError) as error:
                self._pause(error, stop)
        return self._tally.summary(WALL.elapsed() - began)

    def _pause(self, error: Exception, stop: threading.Event) -> None:
        """Wait before the next attempt."""
        problem = " ".join(str(getattr(error, "orig", error)).split())
        self.monitor.beat()
        broker = isinstance(error, (KafkaException, UnansweredError))
        self.monitor.waits_for("broker" if broker else "database", problem)
        wait_s = self._backoff.wait_s()
        _log.warning("database or broker failed, starting over", problem=problem[:300], wait_s=round(wait_s, 2))
        self._tally.add(WALL.elapsed(), retries=1)
        lost = broker or isinstance(error, (sa.exc.OperationalError, sa.exc.InterfaceError))
        self._refusals = 0 if lost else self._refusals + 1
        if self._refusals >= MAX_REFUSALS:
            raise TapewatchError(f"the database refuses: {problem[:300]}", "Mend what the message names.") from error
        self._report(self._tally.progress(problem))
        stop.wait(wait_s)

    def _session(self, stop: threading.Event, until_idle: float | None) -> None:
        """From the lock to the end of the work."""
        box = secret_box(self._settings)
        arguments = {"connect_timeout": 5, "application_name": "tapewatch sink notify"}
        engine = sa.create_engine(self._settings.postgres_url(), poolclass=sa.NullPool, connect_args=arguments)
        end = threading.Event()
        with engine.connect() as session:
            if not _claim(session, stop, self.monitor.beat):
                return
            with session.begin():
                outbox.give_back_leases(session)
            self.monitor.has("database")
            intake = Intake(self._settings, engine, self._tally, self.monitor, end)
            intake.start()
            try:
                asyncio.run(self._send(session, box, intake, stop, until_idle))
            finally:
                end.set()
                intake.join()
                with suppress(sa.exc.DBAPIError):
                    session.invalidate()
            if intake.error is not None:
                raise intake.error

    async def _send(
        self, session: sa.Connection, box: SecretBox, intake: "Intake", stop: threading.Event, until_idle: float | None
    ) -> None:
        """Send until the intake has failed, all is done or `stop` is set."""
        from sinks.notify.sender import GuardedTransports, Sender

        tracer = self.monitor.tracer
        transports = GuardedTransports(self._settings.notify, traced=tracer is not None)
        sender = Sender(session, box, self._settings.notify, transports, self._tally, tracer=tracer)

        def is_done() -> bool:
            elapsed = WALL.elapsed()
            if elapsed >= self._report_at:
                self._report_at = elapsed + REPORT_NS
                self._report(self._tally.progress())
            if intake.error is None:
                self._backoff.reset()
            idle = until_idle is not None and elapsed - self._tally.last_ns > until_idle * NANOS
            return intake.error is not None or (idle and intake.is_idle())

        try:
            await sender.run(stop, is_done)
        finally:
            await transports.close()


class Intake(threading.Thread):
    """Reads topics into the outbox until `end`. error : why it ended before"""

    def __init__(
        self, settings: Settings, engine: sa.Engine, tally: Tally, monitor: Monitor, end: threading.Event
    ) -> None:
        super().__init__(name="intake", daemon=True)
        self._settings, self._engine, self._tally, self._monitor = settings, engine, tally, monitor
        self._end = end
        self._wait_ns = int(settings.notify.case_wait_s * NANOS)
        self._fold_at = self._discover_at = 0
        self._idle = False
        self.error: Exception | None = None

    def is_idle(self) -> bool:
        """Whether all was read and no alert waits."""
        return self._idle

    def run(self) -> None:
        """Read, keep and plan, turn after turn."""
        try:
            with self._engine.connect() as session:
                reader = self._reader(session)
                try:
                    while not self._end.is_set():
                        self._turn(session, reader)
                finally:
                    reader.close()
        except Exception as error:
            self.error = error

    def _reader(self, session: sa.Connection) -> Reader:
        with session.begin():
            since = min((each.created_ns for each in listed(session)), default=WALL.now())
            kept, told = inbox.topic_ids(session), self._monitor.client("reader")
            return Reader(self._settings, inbox.offsets(session), kept, since, told)

    def _turn(self, session: sa.Connection, reader: Reader) -> None:
        """One batch of records, and what can be planned or folded now."""
        self._monitor.beat()
        if WALL.elapsed() >= self._discover_at:
            reader.discover()
            self._monitor.has("broker")
            self._show_outbox(session, WALL.now())
            self._discover_at = WALL.elapsed() + REPORT_NS
        taken = reader.poll(_POLL_S)
        now = WALL.now()
        with session.begin():
            if taken.offsets:
                inbox.take(session, taken, now, self._wait_ns)
            made, inhibited = inbox.plan(session, now)
            left = session.execute(sa.text("SELECT EXISTS (SELECT 1 FROM notify_inbox)")).scalar()
            if WALL.elapsed() >= self._fold_at:
                made += inbox.fold(session, now)
                self._fold_at = WALL.elapsed() + _FOLD_EVERY_NS
        self._idle = not taken.offsets and not left and reader.is_at_end()
        counts = {"alerts": len(taken.alerts), "planned": made, "inhibited": inhibited}
        counts |= {"unreadable": reader.unreadable, "canaries": reader.canaries}
        reader.unreadable = reader.canaries = 0
        self._tally.add(WALL.elapsed(), **counts)

    def _show_outbox(self, session: sa.Connection, now_ns: int) -> None:
        """How much waits to be sent, and for how long."""
        with session.begin():
            waiting, queued, oldest_ns = session.execute(_UNDONE).one()
        self._monitor.set(OUTBOX, waiting, "waiting")
        self._monitor.set(OUTBOX, queued, "queued")
        self._monitor.set(OLDEST, max(now_ns - oldest_ns, 0) / NANOS if oldest_ns else 0)


def _count(counts: Counter[str], name: str) -> dict[tuple[str, ...], float]:
    return {(): counts[name]}


def _claim(session: sa.Connection, stop: threading.Event, beat: Callable[[], None]) -> bool:
    """Become the database's one notify sink; a second one stands by. False where `stop` was set first."""
    with session.begin():
        found = ""
        if session.execute(sa.text("SELECT to_regclass('alembic_version') IS NOT NULL")).scalar():
            found = str(session.execute(sa.text("SELECT version_num FROM alembic_version")).scalar() or "")
    if found < REVISION:
        told = f"revision {found}" if found else "no tables of ours"
        raise TapewatchError(
            f"the database has {told}, the notify sink needs {REVISION}", "Run `tapewatch db migrate`."
        )
    told_waiting = False
    while not stop.is_set():
        beat()
        with session.begin():
            if session.execute(sa.text("SELECT pg_try_advisory_lock(:lock)"), {"lock": _LOCK}).scalar():
                return True
        if not told_waiting:
            _log.info("another notify sink works on this database; standing by")
            told_waiting = True
        stop.wait(0.2)
    return False
