"""The watcher's life: canaries and alerts in, verdicts out, each once.

1. Fence: the transactional producer of the group is opened; a predecessor can write no more, and its open
   transaction is ended.
2. Recall: the topic `canaries` is read to its end, committed records alone: what is judged, and what is not.
3. Alerts are read from the first canary on that is not judged. What lay there before we looked is found, without times.
4. Follow both topics; ask the stores for the alerts that are awaited.
5. Judge what can be judged, and write the verdicts in one transaction.
If we die before its commit, nothing of them is there and the next one judges anew; after it, the next one finds them at
step 2. There are no offsets: the topic is the state.

The watcher's figures for Prometheus.

The watcher's side of Kafka: canaries and alerts, read committed, each from where it is asked to.

What a run of the watcher saw.
"""

import threading
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from confluent_kafka import OFFSET_END, Consumer, KafkaException, Message, Producer, TopicPartition

from sinks.backoff import Backoff
from sinks.canary.ledger import LATE_NS, Ledger
from sinks.canary.stores import Stores
from tapewatch import logs
from tapewatch.clock import NANOS, WALL, Clock
from tapewatch.contract import topics
from tapewatch.contract.canaries import Canary, Figures, figures, silent_s, since
from tapewatch.contract.messages import Alert, decode, encode
from tapewatch.errors import ContractError
from tapewatch.rfc3339 import from_rfc3339
from tapewatch.runtime import kafka, transactions
from tapewatch.runtime.idling import Ends
from tapewatch.runtime.monitoring import Monitor, counter, gauge, histogram
from tapewatch.settings import Settings
from tapewatch.settings.canaries import is_canary


class Summary(msgspec.Struct, frozen=True):
    """The end of a run.

    figures : of the canaries judged in this run; unreadable : records that are no message
    retries : how often the broker failed and the work was taken up again
    """

    figures: Figures
    unreadable: int
    retries: int
    seconds: float


class Progress(msgspec.Struct, frozen=True):
    """Now. recall : of the last hour, None before the first verdict; trouble : why nothing moves, else empty"""

    waiting: int
    found: int
    missed: int
    recall: float | None
    trouble: str = ""


def summary(judged: list[Canary], unreadable: int, retries: int, seconds: float) -> Summary:
    """The counts as plain values."""
    return Summary(figures(judged), unreadable, retries, round(seconds, 3))


AT_ONCE = 500
_log = logs.get("sink.canary")


class CanaryConsumer:
    """Follows both topics. since_ns : alerts recorded earlier are not read; at : next offset of the canaries

    took : gets each canary and each alert of a canary instrument, with the time of its record (UTC ns)
    told : gets the client's statistics
    """

    def __init__(
        self,
        settings: Settings,
        since_ns: int,
        at: int,
        took: Callable[[Canary | Alert, int], None],
        told: Callable[[str], None] | None = None,
    ) -> None:
        self._canaries, self._took = settings.notify.canaries, took
        self._consumer: Consumer = kafka.consumer(
            settings, "tapewatch-canary-watch", told=told, enable_partition_eof=True
        )
        self._ends = Ends()
        self.unreadable = 0
        found = self._consumer.list_topics(topics.ALERTS, timeout=kafka.TIMEOUT_S).topics[topics.ALERTS].partitions
        self._alerts = [(topics.ALERTS, number) for number in found]
        asked = [TopicPartition(topics.ALERTS, number, since_ns // 1_000_000) for number in sorted(found)]
        starts = kafka.offsets_at(self._consumer, asked)
        for start in starts:
            if start.offset in (OFFSET_END, -1):
                start.offset = kafka.watermarks(self._consumer, topics.ALERTS, start.partition)[1]
        self._consumer.assign([*starts, TopicPartition(topics.CANARIES, 0, at)])

    def poll(self, seconds: float) -> bool:
        """Take what has come; waits that long at most. Whether all alerts that there are have been read since the last
        call of `look_again`. KafkaException where the broker fails.
        """
        for message in self._ends.read(self._consumer.consume(AT_ONCE, timeout=seconds)):
            error = message.error()
            if error is None:
                self._read(message)
            elif not error.retriable():
                raise KafkaException(error)
        return self._ends.cover(self._alerts)

    def _read(self, message: Message) -> None:
        recorded_ns = message.timestamp()[1] * 1_000_000
        try:
            if message.topic() == topics.CANARIES:
                self._took(decode(Canary, message.value() or b""), recorded_ns)
                return
            alert = decode(Alert, message.value() or b"")
            if is_canary(self._canaries, alert.instrument):
                self._took(alert, recorded_ns)
        except ContractError as error:
            self.unreadable += 1
            _log.warning("a record is no message", topic=message.topic(), problem=logs.printable(error.message)[:200])

    def close(self) -> None:
        """Give the consumer back."""
        self._consumer.close()


HOUR_NS = 3600 * NANOS

INJECTED = counter("tapewatch_canary_injected_total", "Canaries announced, since the watcher's start.", "scenario")
FOUND = counter("tapewatch_canary_found_total", "Canaries found in time.", "scenario")
LATE = counter("tapewatch_canary_late_total", "Canaries found after they were due.", "scenario")
MISSED = counter("tapewatch_canary_missed_total", "Canaries not found in time.", "scenario")
ABSENT = counter("tapewatch_canary_absent_total", "Canaries whose alert a store did not show in time.", "stage")
RECALL = gauge("tapewatch_canary_recall", "Found in time, of the canaries of the last hour that are judged.")
IN_A_ROW = gauge("tapewatch_canary_missed_in_a_row", "Canaries missed one after the other, up to the newest verdict.")
OVERDUE = gauge("tapewatch_canary_overdue_seconds", "Since when the next canary ought to have been injected; 0 if not.")
DECISION = histogram(
    "tapewatch_canary_decision_seconds",
    "From the first injected row to the alert's decision, market time.",
    buckets=(1, 2, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300),
)
STAGE = histogram(
    "tapewatch_canary_stage_seconds", "From the alert's decision until it can be read there, wall time.", "stage"
)


class CanaryMetrics:
    """Counts verdicts. canaries : everything that is known, newest revisions; in_a_row : missed up to now"""

    def __init__(self, monitor: Monitor, canaries: Callable[[], Iterable[Canary]], in_a_row: Callable[[], int]) -> None:
        self._monitor, self._canaries = monitor, canaries
        monitor.show(IN_A_ROW, lambda: {(): in_a_row()})
        monitor.show(RECALL, self._recall)
        monitor.show(OVERDUE, self._overdue)

    def take(self, canary: Canary) -> None:
        """A revision that is new."""
        monitor, scenario = self._monitor, canary.scenario
        if canary.state == "injected":
            monitor.add(INJECTED, 1, scenario)
            return
        monitor.add({"found": FOUND, "late": LATE, "missed": MISSED}[canary.state], 1, scenario)
        if canary.state == "late":
            return
        for stage in canary.absent:
            monitor.add(ABSENT, 1, stage)
        if canary.decision_s is not None:
            monitor.distribution(DECISION).observe(canary.decision_s)
        for stage, seconds in canary.stages.items():
            if seconds is not None:
                monitor.distribution(STAGE, stage).observe(seconds)

    def _recall(self) -> dict[tuple[str, ...], float]:
        found = figures(since(list(self._canaries()), WALL.now() - HOUR_NS)).recall
        return {} if found is None else {(): found}

    def _overdue(self) -> dict[tuple[str, ...], float]:
        newest = max(list(self._canaries()), key=lambda each: from_rfc3339(each.start), default=None)
        return {} if newest is None else {(): silent_s(newest, WALL.now())}


POLL_S = 0.05
"""How finely latencies are measured: alerts and stores are looked at so often."""
REPORT_NS = 5 * NANOS
KEPT_NS = 26 * 3600 * NANOS


class CanarySink:
    """Judges every canary once. One process works; a second one of the same group takes over from it."""

    def __init__(self, settings: Settings, clock: Clock = WALL) -> None:
        self._settings, self._clock = settings, clock
        self._monitor = Monitor("canary", settings)
        self._ledger = Ledger(settings.canary.stages)
        self._shown = CanaryMetrics(
            self._monitor, lambda: self._ledger.canaries.values(), lambda: self._ledger.in_a_row
        )
        self._judged: dict[str, Canary] = {}
        self._report: Callable[[Progress], None] = lambda _: None
        self._report_at = self._last_ns = 0
        self._retries = self._unreadable = 0

    def run(
        self,
        stop: threading.Event,
        until_idle: float | None = None,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> Summary:
        """Work until `stop` is set, or until no canary is open and none came for `until_idle` seconds.

        A broker that fails is waited for; a store that fails counts as not holding what is asked for.
        """
        began = self._last_ns = self._clock.elapsed()
        self._report = on_progress or self._report
        backoff = Backoff()
        kafka.create_topics(self._settings, topics.shared_topics(self._settings.topics))
        kafka.create_topics(self._settings, topics.canary_topics(self._settings.topics))
        with self._monitor:
            while not stop.is_set():
                try:
                    self._session(stop, until_idle, backoff)
                    break
                except (KafkaException, kafka.StuckError) as error:
                    self._retries += 1
                    problem = " ".join(str(error).split())[:300]
                    _log.warning("broker failed, starting over", problem=problem)
                    self._monitor.waits_for("broker", problem)
                    self._tell(problem)
                    stop.wait(backoff.wait_s())
        seconds = (self._clock.elapsed() - began) / NANOS
        return summary(list(self._judged.values()), self._unreadable, self._retries, seconds)

    def _session(self, stop: threading.Event, until_idle: float | None, backoff: Backoff) -> None:
        """From the fence to the end of the work."""
        producer = transactions.fenced(transactions.make_producer(self._settings, self._settings.canary.group))
        following = self._recalled()
        stores = Stores(self._settings, self._ledger.stages)
        self._monitor.ready()
        self._monitor.has("broker")
        try:
            while not stop.is_set():
                self._monitor.beat()
                self._turn(producer, following, stores)
                backoff.reset()
                if until_idle is not None and self._is_idle(until_idle):
                    return
        finally:
            self._unreadable += following.unreadable
            following.close()
            stores.close()

    def _recalled(self) -> CanaryConsumer:
        """The ledger as the topic has it, and a reader that goes on behind it."""
        self._ledger = Ledger(self._settings.canary.stages)
        at = 0
        now = self._clock.now()
        reader = kafka.consumer(self._settings)
        try:
            low, high = kafka.watermarks(reader, topics.CANARIES, 0)
            for message in kafka.read_range(reader, topics.CANARIES, 0, low, high):
                try:
                    self._ledger.recall(decode(Canary, message.value() or b""))
                except ContractError:
                    self._unreadable += 1
            at = high
        finally:
            reader.close()
        self._ledger.forget(now - KEPT_NS)
        looked_from = self._clock.now()

        def take(found: Canary | Alert, recorded_ns: int) -> None:
            self._last_ns = self._clock.elapsed()
            if isinstance(found, Alert):
                self._ledger.sight(found, recorded_ns, self._clock.now(), timed=recorded_ns >= looked_from)
            elif found.id not in self._ledger.canaries or found.revision > self._ledger.canaries[found.id].revision:
                self._ledger.recall(found)
                self._shown.take(found)

        told = self._monitor.client("reader")
        return CanaryConsumer(self._settings, self._ledger.oldest_open_ns(now), at, take, told)

    def _turn(self, producer: Producer, following: CanaryConsumer, stores: Stores) -> None:
        """Read, ask the stores, judge."""
        # What was recorded before this moment has been read where the reader says that it is at the end.
        now = self._clock.now()
        is_read = following.poll(POLL_S)
        for stage in stores:
            there = stores.there(stage, self._ledger.awaited(stage))
            self._ledger.stored(stage, there, self._clock.now())
        if is_read:
            self._write(producer, self._ledger.verdicts(now))
        if self._clock.elapsed() >= self._report_at:
            self._ledger.forget(now - KEPT_NS)
            self._tell()

    def _write(self, producer: Producer, verdicts: list[Canary]) -> None:
        """Write verdicts in one transaction. KafkaException where it fails: all is read anew then."""
        if not verdicts:
            return
        transactions.begin(producer)
        for verdict in verdicts:
            producer.produce(topics.CANARIES, encode(verdict), verdict.id.encode(), 0)
        transactions.commit(producer)
        for verdict in verdicts:
            self._ledger.recall(verdict)
            self._shown.take(verdict)
            self._judged[verdict.id] = verdict
            self._last_ns = self._clock.elapsed()
            told: dict[str, Any] = {
                "canary": verdict.id,
                "scenario": verdict.scenario,
                "instrument": verdict.instrument,
            }
            if verdict.state == "missed":
                _log.error("canary missed", partition=verdict.partition, in_a_row=verdict.in_a_row, **told)
            else:
                _log.info("canary judged", state=verdict.state, **told)

    def _is_idle(self, until_idle: float) -> bool:
        waiting = any(each.state == "injected" for each in self._ledger.canaries.values())
        return not waiting and self._clock.elapsed() - self._last_ns > until_idle * NANOS

    def _tell(self, trouble: str = "") -> None:
        """Report progress."""
        self._report_at = self._clock.elapsed() + REPORT_NS
        known = list(self._ledger.canaries.values())
        lately = figures(since(known, self._clock.now() - LATE_NS))
        waiting = sum(each.state == "injected" for each in known)
        self._report(Progress(waiting, lately.found, lately.missed, lately.recall, trouble))
