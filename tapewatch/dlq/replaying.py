"""Replaying dead letters: what is sent, and the word that it was sent, in one transaction.

1 The transactional producer of the dead-letter topic is opened: whoever replays the same topic is fenced, and a
transaction that a dead one left open is ended; 2 `dlq.replays` is read to its end: what was replayed is left out;
3 the audit entry; 4 for some letters at a time: begin, send, wait until the broker has them, write down for each where
it lies, commit.
If we die before a commit, nothing of that transaction is there; after it, step 2 of the next replay knows it.

Which dead letters were replayed, as `dlq.replays` tells.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from tapewatch import logs
from tapewatch.clock import WALL, Clock
from tapewatch.contract import messages, topics
from tapewatch.contract.dead_letter_messages import DeadLetterReplay
from tapewatch.contract.message import Cause
from tapewatch.dlq import retry
from tapewatch.dlq.letter import Letter
from tapewatch.dlq.routes import Plan, PlannedRecord, Routes, Say
from tapewatch.errors import ContractError, TapewatchError
from tapewatch.proof import audit
from tapewatch.rfc3339 import to_rfc3339
from tapewatch.runtime import kafka, transactions
from tapewatch.settings import Settings

_log = logs.get("dlq")


@dataclass(slots=True)
class Replays:
    """What was replayed so far. newest_epoch : of all runs, -1 before the first"""

    by_letter: dict[tuple[str, str], DeadLetterReplay] = field(default_factory=dict)
    newest_epoch: int = -1

    def of(self, letter: Letter) -> DeadLetterReplay | None:
        """How a letter was replayed; None where it was not."""
        if not self.by_letter:
            return None
        return self.by_letter.get((letter.id, letter.digest))

    def take(self, message: Message) -> None:
        """Read one record."""
        try:
            told = messages.decode(DeadLetterReplay, message.value() or b"")
        except ContractError as error:
            _log.warning("no replay", topic=message.topic(), offset=message.offset(), error=str(error))
            return
        self.by_letter[told.letter, told.digest] = told
        self.newest_epoch = max(self.newest_epoch, told.epoch)


def known(settings: Settings) -> Replays:
    """What was replayed, as far as it is committed now."""
    return _read(settings, lambda replays: kafka.read_all(settings, topics.REPLAYS, replays.take))


def settled(settings: Settings) -> Replays:
    """What was replayed, once every transaction that is open on the topic now has ended.

    Another replay's open transaction hides what was committed behind its first record: it is waited for.
    """
    return _read(settings, lambda replays: kafka.read_settled(settings, topics.REPLAYS, replays.take))


def _read(settings: Settings, reading: Callable[[Replays], None]) -> Replays:
    replays = Replays()
    if topics.REPLAYS in kafka.existing_topics(kafka.admin(settings)):
        reading(replays)
    return replays


AT_ONCE = 200
"""Letters a transaction. Readers of a market topic wait for an open one, so that it has to be short."""

TRANSACTION_TIMEOUT_MS = 4_000
ACTION = "dlq.replay"

_FENCED = (KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.PRODUCER_FENCED)


@dataclass(frozen=True, slots=True)
class Order:
    """Who replays, and why; asked : the selection in words, for the audit log."""

    who: str
    why: str
    asked: Mapping[str, Any]


def plan(settings: Settings, letters: Sequence[Letter], say: Say = lambda *_: None) -> Plan:
    """What a replay of these letters would do now. say : called as they are looked at"""
    return _planned(settings, letters, known(settings), say)


def replay(
    settings: Settings, letters: Sequence[Letter], order: Order, say: Say = lambda *_: None, clock: Clock = WALL
) -> Plan:
    """Replay letters of one dead-letter topic; what was done. None is sent twice, whoever else replays or dies.

    say : called after each transaction, with how many letters were replayed and how many are to be
    TapewatchError where another replay of the topic took over, or the broker failed: the same command goes on.
    """
    topic = letters[0].place.topic
    kafka.create_topics(settings, [topics.replays_topic(), *map(topics.retry_topic, retry.READERS)])
    # Below the transaction's: what is not acknowledged is then aborted by us, not by the broker behind our back.
    acknowledged_ms = TRANSACTION_TIMEOUT_MS - 1_000
    producer = transactions.make_producer(
        settings, f"dlq-replay-{topic}", TRANSACTION_TIMEOUT_MS, message_timeout_ms=acknowledged_ms
    )
    try:
        transactions.fenced(producer)
        before = settled(settings)
        planned = _planned(settings, letters, before)
        if planned.sendings:
            told = {**order.asked, "topic": topic, "letters": planned.letters, "records": len(planned.sendings)}
            entry = audit.append(
                audit.folder(settings.data_path), action=ACTION, subject=topic, why=order.why, who=order.who,
                details=told, clock=clock,
            )  # fmt: skip
            run = _ReplayRun(producer, order, entry.hash, max(clock.now(), before.newest_epoch + 1), clock)
            run.send(planned, say)
    except KafkaException as error:
        raise _failed(topic, error) from error
    return planned


def _planned(settings: Settings, letters: Sequence[Letter], before: Replays, say: Say = lambda *_: None) -> Plan:
    """The plan for those that were not replayed."""
    routes = Routes(settings)
    try:
        done = [letter for letter in letters if before.of(letter) is not None]
        return routes.plan((letter for letter in letters if before.of(letter) is None), done, say)
    finally:
        routes.close()


def _failed(topic: str, error: KafkaException) -> TapewatchError:
    """What a failed transaction means."""
    cause = error.args[0]
    if cause.code() in _FENCED:
        return TapewatchError(
            f"another replay of {topic} has taken over", "Wait for it; then run the same command: it replays the rest."
        )
    return TapewatchError(
        f"the replay of {topic} stopped: {cause}",
        "Run `tapewatch status`, then the same command again: what was replayed is known, and not sent twice.",
    )


@dataclass(slots=True)
class _ReplayRun:
    """One run under one epoch. sequence : of the next frame in each market partition"""

    producer: Producer
    order: Order
    audit: str
    epoch: int
    clock: Clock

    def send(self, planned: Plan, say: Say) -> None:
        """Send everything in order, some at a time."""
        sequence: dict[tuple[str, int], int] = {}
        done = 0
        for start in range(0, len(planned.sendings), AT_ONCE):
            part = planned.sendings[start : start + AT_ONCE]
            transactions.begin(self.producer)
            try:
                self._transaction(part, sequence)
            except KafkaException as error:
                transactions.abort(self.producer, error)
                raise
            done += sum(len(each.letters) for each in part)
            say(done, planned.letters)

    def _transaction(self, part: Sequence[PlannedRecord], sequence: dict[tuple[str, int], int]) -> None:
        """Records, then what became of them, then the commit."""
        offsets: dict[int, int] = {}
        failed: list[KafkaError] = []
        now = self.clock.now()
        for number, each in enumerate(part):
            place = (each.topic, each.partition)
            sequence[place] = sequence.get(place, -1) + 1

            def told(error: Any, message: Any, number: int = number) -> None:
                if error is None:
                    offsets[number] = int(message.offset())
                else:
                    failed.append(error)

            self.producer.produce(
                each.topic, each.value, partition=each.partition,
                headers=each.stamped(self.epoch, sequence[place], now), on_delivery=told,
            )  # fmt: skip
        self.producer.flush(TRANSACTION_TIMEOUT_MS / 1000)
        if len(offsets) < len(part):
            raise KafkaException(failed[0] if failed else KafkaError(KafkaError._MSG_TIMED_OUT))
        for number, each in enumerate(part):
            for letter in each.letters:
                note = self._note(letter, each, offsets[number], now)
                self.producer.produce(topics.REPLAYS, messages.encode(note), letter.id.encode(), 0)
        transactions.commit(self.producer, patience_s=TRANSACTION_TIMEOUT_MS / 1000)

    def _note(self, letter: Letter, sent: PlannedRecord, offset: int, now: int) -> DeadLetterReplay:
        """What became of a letter."""
        return DeadLetterReplay(
            letter=letter.id,
            digest=letter.digest,
            reason=letter.reason,
            refused_by=letter.by,
            instrument=letter.instrument,
            origin=Cause(*letter.origin),
            sent=Cause(sent.topic, sent.partition, offset),
            at=to_rfc3339(now),
            who=self.order.who,
            why=self.order.why,
            audit=self.audit,
            epoch=self.epoch,
        )
