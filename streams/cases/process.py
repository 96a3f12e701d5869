"""The case stage's process: alerts and commands in by Faust, cases, answers and suppressions out, each exactly once.

The protocol:
1 open the transactional producer: a predecessor is fenced, and its open transaction ended; 2 read the group's offsets,
then cases, suppressions and answers to their end: they are the state; 3 Faust joins its group and reads on from the
committed offsets; 4 its agents hand records over, acknowledging none; 5 work out what follows from all that wait;
6 begin a transaction; 7 write cases, answers, suppressions and dead letters; 8 add the offsets behind the records;
9 commit.
If we die before 9, none of it is there: the next one begins at 1 with the same records. If we die after it, none of the
records is read again. If the transaction fails and can be aborted, the state is read anew and the records are worked
on again.
"""

import asyncio
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from confluent_kafka import KafkaException, Producer, TopicPartition

from streams import members
from streams.cases.faust_app import application
from streams.cases.intake import Intake, Record
from tapewatch import kafka, logs, messages, topics
from tapewatch.clock import NANOS, WALL, Clock
from tapewatch.errors import ContractError, TapewatchError
from tapewatch.registry import Registry
from tapewatch.settings import Settings

log = logs.get("cases")

TRANSACTION_TIMEOUT_MS = 20_000
"""Longer than an engine's: a process that stood still for seconds is not fenced, and a restart waits for nothing."""

MOST_AT_ONCE = 500
MOST_WAITING = 2_000
MOST_FAILURES = 5

OUTPUTS: tuple[type[messages.Case | messages.Suppression | messages.CaseAnswer], ...] = (
    messages.Case,
    messages.Suppression,
    messages.CaseAnswer,
)


@dataclass(slots=True)
class CaseTotals:
    """What this process has done."""

    alerts: int = 0
    commands: int = 0
    cases: int = 0
    answers: int = 0
    suppressions: int = 0
    refused: int = 0
    transactions: int = 0
    aborted: int = 0


class CaseStage:
    """The one process of the case stage: a second one of the same group takes over from the first."""

    def __init__(self, settings: Settings, clock: Clock = WALL) -> None:
        self._settings, self._clock = settings, clock
        self._registry = Registry(settings)
        self._intake = Intake(settings.cases, self._registry)
        self._next: dict[members.Key, int] = {}
        self._last_work = 0
        self._group: object = None
        self.totals = CaseTotals()

    def run(self, stop: threading.Event, until_idle_s: float = 0.0) -> None:
        """Work until told to stop, or until nothing came for `until_idle_s` seconds (0: for ever)."""
        specs = [*topics.shared_topics(self._settings.topics), *topics.case_topics(self._settings.topics)]
        kafka.create_topics(self._settings, specs)
        producer = kafka.producer(
            self._settings,
            transactional_id=self._settings.cases.group,
            transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
            message_timeout_ms=TRANSACTION_TIMEOUT_MS,
            retry_backoff_ms=2,
            retry_backoff_max_ms=200,
            linger_ms=1,
        )
        producer.init_transactions(30)
        try:
            self._recall()
            asyncio.run(self._serve(producer, stop, until_idle_s))
        finally:
            self._registry.close()

    def _recall(self) -> None:
        """The offsets behind what was taken, and then the state as it lies in the stage's own topics: what is newer in
        the state than in the offsets is recognised when it comes again.
        """
        self._next = self._committed()
        self._registry.refresh()
        self._intake = Intake(self._settings.cases, self._registry)
        for kind in OUTPUTS:
            kafka.read_all(self._settings, kind.TOPIC, partial(self._recalled, kind))
        log.info("state read", cases=self._intake.cases, offsets=sum(self._next.values()))

    def _committed(self) -> dict[members.Key, int]:
        """The group's offsets, as the last transaction left them."""
        reader = kafka.consumer(self._settings, self._settings.cases.group)
        # Of a consumer that is no member: the transactional id alone says whose offsets count.
        self._group = reader.consumer_group_metadata()
        try:
            existing = kafka.existing_topics(kafka.admin(self._settings))
            places = [
                TopicPartition(name, partition)
                for name in (topics.ALERTS, topics.CASE_COMMANDS)
                for partition in range(existing[name])
            ]
            found = members.committed(reader, places)
            return {(each.topic, each.partition): each.offset for each in found if each.offset >= 0}
        finally:
            reader.close()

    def _recalled(self, kind: Any, message: Any) -> None:
        try:
            self._intake.desk.recall(messages.decode(kind, message.value() or b""))
        except ContractError as error:
            # Nothing of ours: another program wrote into the topic.
            log.warning("no message", topic=message.topic(), offset=message.offset(), error=str(error))

    async def _serve(self, producer: Producer, stop: threading.Event, until_idle_s: float) -> None:
        """Run Faust, and the worker beside it, until one of them or the caller ends."""
        inbox: asyncio.Queue[Any] = asyncio.Queue(MOST_WAITING)
        app = application(self._settings, inbox.put)
        worker = asyncio.create_task(self._work(producer, inbox))
        try:
            await app.start()
            self._last_work = self._clock.now()
            while not stop.is_set() and not worker.done():
                if app.crashed or app.should_stop:
                    raise TapewatchError(f"Faust ended: {app.crash_reason!r}", "See the log; then start it again.")
                if until_idle_s and self._clock.now() - self._last_work > until_idle_s * NANOS:
                    break
                await asyncio.sleep(0.05)
            if worker.done():
                worker.result()
        finally:
            worker.cancel()
            await asyncio.gather(worker, return_exceptions=True)
            await app.stop()

    async def _work(self, producer: Producer, inbox: "asyncio.Queue[Any]") -> None:
        """All records that wait, transaction by transaction, in a thread: Faust's heartbeats go on meanwhile."""
        while True:
            waiting = [await inbox.get()]
            while len(waiting) < MOST_AT_ONCE and not inbox.empty():
                waiting.append(inbox.get_nowait())
            self._last_work = self._clock.now()
            await asyncio.to_thread(self._settle, producer, [Record.of(each) for each in waiting])

    def _settle(self, producer: Producer, records: list[Record]) -> None:
        """Work the records out and commit what follows; a failed transaction is tried again from the log's state."""
        for attempt in range(1, MOST_FAILURES + 1):
            try:
                self._commit(producer, records)
                return
            except KafkaException as error:
                self._aborted(producer, error, attempt)

    def _aborted(self, producer: Producer, error: KafkaException, attempt: int) -> None:
        """Abort and read the state anew. What cannot be aborted, such as a commit without an answer, ends the process:
        the next start finds out what became of it.
        """
        try:
            if attempt == MOST_FAILURES:
                raise error
            members.abort(producer, error, log)
        except KafkaException as last:
            raise TapewatchError(
                f"the case stage's transaction failed: {last}",
                "Another process of this group may have taken over; else start it again: nothing is lost.",
            ) from error
        self.totals.aborted += 1
        self._clock.sleep(0.2 * attempt)
        self._recall()

    def _commit(self, producer: Producer, records: Iterable[Record]) -> None:
        """One transaction of what follows from records that were not taken before."""
        fresh = [each for each in records if each.offset >= self._next.get(each.place, 0)]
        if not fresh:
            return
        self._registry.stale = True
        found = [(record, self._intake.take(record)) for record in fresh]
        behind = {record.place: record.offset + 1 for record in fresh}
        producer.begin_transaction()
        for _, outcome in found:
            for message in outcome.said:
                members.enqueue(producer, message.TOPIC, messages.encode(message), outcome.key(message), [], 0)
            if outcome.letter is not None:
                letter = outcome.letter
                members.enqueue(producer, letter.topic, letter.value, None, letter.headers, 0)
        offsets = [TopicPartition(*place, offset) for place, offset in behind.items()]
        members.commit(producer, offsets, self._group)
        self._next |= behind
        for record, outcome in found:
            self._count(record, outcome.said, outcome.letter is not None)
        self.totals.transactions += 1

    def _count(self, record: Record, said: Iterable[messages.Message], refused: bool) -> None:
        self.totals.alerts += record.place[0] == topics.ALERTS
        self.totals.commands += record.place[0] == topics.CASE_COMMANDS
        self.totals.refused += refused
        for message in said:
            self.totals.cases += isinstance(message, messages.Case)
            self.totals.answers += isinstance(message, messages.CaseAnswer)
            self.totals.suppressions += isinstance(message, messages.Suppression)
