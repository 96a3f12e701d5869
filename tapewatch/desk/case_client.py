"""Tell the case stage something and wait for its answer: for the command line, the console, and other programs.

A command lies in its topic from the moment it is acknowledged: the stage answers it once, whenever it runs. Sending
the same command again changes nothing and finds the first answer.
"""

import queue
import threading
import uuid
from typing import Any

import msgspec
from confluent_kafka import Consumer, Producer, TopicPartition

from tapewatch.clock import WALL, Clock
from tapewatch.contract import messages, topics
from tapewatch.contract.messages import CaseAnswer, CaseCommand, Suppression, stable_id
from tapewatch.errors import ContractError, TapewatchError
from tapewatch.proof import audit
from tapewatch.rfc3339 import to_rfc3339
from tapewatch.runtime import kafka
from tapewatch.settings import Settings


class NoAnswerError(TapewatchError):
    """The command lies in the log, and the case stage has not answered it in time."""


def command(action: str, who: str, clock: Clock = WALL, **fields: Any) -> CaseCommand:
    """A checked command, given now, under a fresh id unless `fields` name one.

    action : assign, review, escalate, note, close, approve, reject, reopen, suppress, approve_suppression or
    end_suppression; who : account
    fields : case, why, owner, disposition, expected, suppression, subject or id, as CaseCommand describes them
    TapewatchError names what is wrong.
    """
    body = {"id": uuid.uuid4().hex, **fields, "action": action, "who": who, "at": to_rfc3339(clock.now())}
    try:
        return msgspec.convert(body, CaseCommand, from_attributes=True)
    except msgspec.ValidationError as error:
        raise TapewatchError(f"no command: {error}", "See docs/cases.md for commands and their fields.") from error


def suppression(
    owner: str, reason: str, starts: int, expires: int, clock: Clock = WALL, **scope: str
) -> Suppression:  # fmt: skip
    """A rule as its owner proposes it now.

    starts, expires : alerts decided from, and before, UTC nanoseconds
    scope : any of scenario, instrument, venue and below (a severity); TapewatchError names what is wrong.
    """
    created = to_rfc3339(clock.now())
    body = {
        "id": stable_id(owner, created, *(f"{key}={value}" for key, value in sorted(scope.items())), starts, expires),
        "state": "proposed", "owner": owner, "reason": reason, "created": created,
        "starts": to_rfc3339(starts), "expires": to_rfc3339(expires), **scope,
    }  # fmt: skip
    try:
        return msgspec.convert(body, Suppression)
    except msgspec.ValidationError as error:
        raise TapewatchError(f"no suppression: {error}", "It needs an owner, a reason, a begin and an end.") from error


class CaseClient:
    """A producer of commands and a reader of answers, shared by any number of threads; both begin with the first
    command.
    """

    def __init__(self, settings: Settings, clock: Clock = WALL) -> None:
        self._settings, self._clock = settings, clock
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._waiting: dict[str, list[queue.SimpleQueue[CaseAnswer]]] = {}
        self._producer: Producer | None = None
        self._listener: threading.Thread | None = None

    def send(self, order: CaseCommand, wait_s: float = 10.0) -> CaseAnswer:
        """Note the command in the audit log, write it into its topic, and return what became of it.

        NoAnswerError where the stage does not answer within `wait_s` seconds: it will once it runs, and the same
        command sent again returns its answer. TapewatchError where the broker does not take the command.
        """
        answered: queue.SimpleQueue[CaseAnswer] = queue.SimpleQueue()
        producer = self._begin()
        with self._lock:
            self._waiting.setdefault(order.id, []).append(answered)
        try:
            self._note(order)
            _write(producer, order)
            return answered.get(timeout=wait_s)
        except queue.Empty:
            return self._answered_before(order)
        finally:
            with self._lock:
                left = [each for each in self._waiting.pop(order.id, []) if each is not answered]
                if left:
                    self._waiting[order.id] = left

    def close(self) -> None:
        """Give the reader back."""
        self._stop.set()
        if self._listener is not None:
            self._listener.join(10)

    def _begin(self) -> Producer:
        """The producer, with the listener at work: it must know the answers' end before a command is written."""
        with self._lock:
            if self._producer is None:
                kafka.create_topics(self._settings, topics.case_topics(self._settings.topics))
                reader = kafka.consumer(self._settings)
                end = kafka.watermarks(reader, topics.CASE_ANSWERS, 0)[1]
                reader.assign([TopicPartition(topics.CASE_ANSWERS, 0, end)])
                self._listener = threading.Thread(target=self._listen, args=(reader,), daemon=True)
                self._listener.start()
                self._producer = kafka.producer(self._settings, linger_ms=1)
            return self._producer

    def _listen(self, reader: Consumer) -> None:
        """Hand each answer to whoever waits for it."""
        try:
            while not self._stop.is_set():
                message = reader.poll(0.2)
                answer = None if message is None or message.error() else _answer(message.value())
                if answer is not None:
                    with self._lock:
                        waiting = list(self._waiting.get(answer.command, ()))
                    for each in waiting:
                        each.put(answer)
        finally:
            reader.close()

    def _note(self, order: CaseCommand) -> None:
        """The command in the audit log."""
        told = {"command": order.id, "owner": order.owner, "disposition": order.disposition}
        rule = {} if order.suppression is None else {"rule": msgspec.to_builtins(order.suppression)}
        audit.append(
            audit.folder(self._settings.data_path),
            action=f"case.{order.action}",
            subject=order.case or order.subject or (order.suppression.id if order.suppression else ""),
            why=order.why,
            details={key: value for key, value in told.items() if value} | rule,
            who=order.who,
            clock=self._clock,
        )

    def _answered_before(self, order: CaseCommand) -> CaseAnswer:
        """The answer to an earlier sending of the command."""
        found: list[CaseAnswer] = []

        def look(message: Any) -> None:
            if message.key() == order.id.encode():
                answer = _answer(message.value())
                found.extend([answer] if answer else [])

        kafka.read_all(self._settings, topics.CASE_ANSWERS, look)
        if found:
            return found[0]
        raise NoAnswerError(
            f"the case stage has not answered command {order.id}",
            "It will once it runs: `tapewatch run cases`. The command is in the log and need not be given again.",
        )


def _answer(value: bytes | None) -> CaseAnswer | None:
    """An answer; None for what is none."""
    try:
        return messages.decode(CaseAnswer, value or b"")
    except ContractError:
        return None


def _write(producer: Producer, order: CaseCommand) -> None:
    """The command into its topic, acknowledged."""
    sent = kafka.Deliveries(producer)
    sent.send(topics.CASE_COMMANDS, messages.encode(order), (order.case or order.id).encode(), partition=0)
    sent.settle(kafka.TIMEOUT_S)
