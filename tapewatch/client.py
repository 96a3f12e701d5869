"""`from tapewatch import subscribe`: typed messages for services of your own, straight from Kafka.

    with subscribe("alerts", group="my-desk", min_severity="high") as alerts:
        for alert in alerts:
            handle(alert)

At least once: with a group, a message counts as done when the loop asks for the next one; after a death the loop gets
it again. An alert is told apart by `(id, revision)`, a signal by `id`.
"""

import asyncio
import fnmatch
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any, Generic, Literal, TypedDict, TypeVar, Unpack, overload

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, KafkaError, KafkaException, TopicPartition
from confluent_kafka import Message as Record

from tapewatch import logs
from tapewatch import settings as configuration
from tapewatch.contract.canaries import Canary
from tapewatch.contract.messages import BY_TOPIC, Alert, Message, Severity, Signal, decode
from tapewatch.errors import ContractError, TapewatchError
from tapewatch.rfc3339 import from_rfc3339
from tapewatch.runtime import group_offsets, kafka
from tapewatch.runtime.idling import IdleDetector
from tapewatch.settings import Settings
from tapewatch.settings.canaries import is_canary

AT_ONCE = 100
"""Records fetched ahead of the loop, beside what librdkafka holds."""
FETCHED_KIB = 16_384
_POLL_S = 0.2
_SEVERITIES: tuple[Severity, ...] = ("low", "medium", "high", "critical")
_log = logs.get("client")

M = TypeVar("M", bound=Message)


class Options(TypedDict, total=False):
    """What a subscriber may ask for.

    group : consumer group that keeps the position; several processes share its work; empty keeps none
    since : where to begin without a position: beginning, now, or a time (RFC 3339, by when it was recorded); empty is
    the beginning with a group, now without
    instruments : patterns with * and ?; venues : behind the id's point; scenarios, min_severity : alerts only
    canaries : also what is said of canaries (`notify.canaries`), our own manipulation; left out otherwise
    until_idle : end when nothing came for so many seconds; None goes on until `close`
    settings : the settings of the working folder and environment where there are none
    """

    group: str
    since: str
    instruments: Sequence[str]
    venues: Sequence[str]
    scenarios: Sequence[str]
    min_severity: Severity
    canaries: bool
    until_idle: float | None
    settings: Settings


@overload
def subscribe(topic: Literal["alerts"], **options: Unpack[Options]) -> "Stream[Alert]": ...
@overload
def subscribe(topic: Literal["signals"], **options: Unpack[Options]) -> "Stream[Signal]": ...
@overload
def subscribe(topic: str, **options: Unpack[Options]) -> "Stream[Any]": ...
def subscribe(topic: str, **options: Unpack[Options]) -> "Stream[Any]":
    """The messages of a JSON topic as they come, typed; `Options` says what may be asked for.

    TapewatchError for a topic without typed messages, ContractError for messages of a later major version.
    """
    kind = BY_TOPIC.get(topic)
    if kind is None:
        raise TapewatchError(f"{topic!r} is no topic of messages", f"Take one of {', '.join(sorted(BY_TOPIC))}.")
    group = options.get("group", "")
    start = _start(options.get("since", "") or ("beginning" if group else "now"))
    settings = options.get("settings") or configuration.load()
    return Stream(settings, kind, _filter(options, settings), group, start, options.get("until_idle"))


def _filter(options: Options, settings: Settings) -> Callable[[Any], bool]:
    """Which messages the subscriber wants."""
    patterns, venues = options.get("instruments", ()), options.get("venues", ())
    scenarios, least = options.get("scenarios", ()), _SEVERITIES.index(options.get("min_severity", "low"))

    hidden = () if options.get("canaries", False) else settings.notify.canaries

    def wanted(message: Any) -> bool:
        instrument = str(getattr(message, "instrument", ""))
        if is_canary(hidden, instrument) and not isinstance(message, Canary):
            return False
        if patterns and not any(fnmatch.fnmatchcase(instrument, each) for each in patterns):
            return False
        if venues and instrument.rpartition(".")[2] not in venues:
            return False
        if not isinstance(message, Alert):
            return True
        return _SEVERITIES.index(message.severity) >= least and (not scenarios or message.scenario in scenarios)

    return wanted


def _start(since: str) -> int:
    """An offset that Kafka knows (negative), or a time, UTC ns."""
    if since in ("beginning", "now"):
        return int(OFFSET_BEGINNING if since == "beginning" else OFFSET_END)
    try:
        return from_rfc3339(since)
    except ValueError as error:
        hint = "Write beginning, now, or a time as in 2026-01-05T00:00:00Z."
        raise TapewatchError(f"{since!r} is no place to begin", hint) from error


class Stream(Generic[M]):
    """Messages of one topic; iterate over it, plainly or with `async for`, and close it. Not for two loops at once.

    Records are fetched only as the loop asks: a slow loop holds back the fetching, and nothing else.
    """

    def __init__(
        self,
        settings: Settings,
        kind: type[M],
        wanted: Callable[[M], bool],
        group: str,
        start: int,
        until_idle: float | None,
    ) -> None:
        self._kind, self._wanted, self._group, self._begin = kind, wanted, group, start
        self._idling = IdleDetector(until_idle)
        self._closed = threading.Event()
        self._ahead: deque[Record] = deque()
        self._current: Record | None = None
        self._consumer = kafka.consumer(
            settings,
            group or "tapewatch-client",
            told=None,
            enable_auto_commit=bool(group),
            auto_commit_interval_ms=1000,
            auto_offset_reset="latest" if start == OFFSET_END else "earliest",
            queued_max_messages_kbytes=FETCHED_KIB,
            **self._idling.properties,
        )
        if group:
            self._consumer.subscribe([kind.TOPIC], on_assign=self._assigned, on_revoke=self._revoked)
        else:
            self._assign_all()

    def _assign_all(self) -> None:
        """Take every partition there is."""
        found = self._consumer.list_topics(self._kind.TOPIC, timeout=kafka.TIMEOUT_S).topics[self._kind.TOPIC]
        if found.error is not None:
            raise TapewatchError(f"there is no topic {self._kind.TOPIC}", "Start what writes it, or `tapewatch up`.")
        self._consumer.assign(self._placed([TopicPartition(self._kind.TOPIC, number) for number in found.partitions]))

    def _assigned(self, consumer: Any, partitions: list[TopicPartition]) -> None:
        """Begin where the group stands, or where the caller wants to."""
        known = group_offsets.committed(consumer, partitions)
        self._idling.anew()
        consumer.assign(
            [*(each for each in known if each.offset >= 0), *self._placed([e for e in known if e.offset < 0])]
        )

    def _revoked(self, consumer: Any, partitions: list[TopicPartition]) -> None:
        """What was fetched ahead is somebody else's now."""
        lost = {each.partition for each in partitions}
        self._ahead = deque(record for record in self._ahead if record.partition() not in lost)
        if self._current is not None and self._current.partition() in lost:
            self._current = None

    def _placed(self, partitions: list[TopicPartition]) -> list[TopicPartition]:
        """The partitions at the place to begin."""
        if not partitions or self._begin < 0:
            return [TopicPartition(each.topic, each.partition, self._begin) for each in partitions]
        asked = [TopicPartition(each.topic, each.partition, self._begin // 1_000_000) for each in partitions]
        return kafka.offsets_at(self._consumer, asked)

    def __enter__(self) -> "Stream[M]":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> "Stream[M]":
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.close)

    def __iter__(self) -> Iterator[M]:
        while (message := self._next()) is not None:
            yield message

    async def __aiter__(self) -> AsyncIterator[M]:
        while (message := await asyncio.to_thread(self._next)) is not None:
            yield message

    def done(self) -> None:
        """The last message is done, as if the loop had asked for the next: to be called before leaving the loop."""
        record, self._current = self._current, None
        if record is not None and self._group:
            behind = TopicPartition(record.topic(), record.partition(), record.offset() + 1)
            self._consumer.store_offsets(offsets=[behind])

    def stop(self) -> None:
        """End the loop at its next turn, from any thread."""
        self._closed.set()

    def close(self) -> None:
        """Commit what is done, and leave."""
        self._closed.set()
        self._consumer.close()

    def _next(self) -> M | None:
        """The next message that is wanted; None at the end."""
        self.done()
        self._idling.busy()
        while not self._closed.is_set():
            if not self._ahead:
                self._ahead.extend(self._idling.read(self._consumer.consume(AT_ONCE, timeout=_POLL_S)))
                held = [(each.topic, each.partition) for each in self._consumer.assignment()]
                if not self._ahead and self._idling.is_over(held):
                    return None
                continue
            message = self._read(self._ahead.popleft())
            self._idling.busy()
            if message is not None:
                return message
            self.done()
        return None

    def _read(self, record: Record) -> M | None:
        """The record's message, where it is wanted. One that is malformed is passed over, and told in the log."""
        error = record.error()
        if error is not None:
            if error.retriable() or error.code() == KafkaError._PARTITION_EOF:
                return None
            raise KafkaException(error)
        self._current = record
        try:
            message = decode(self._kind, record.value() or b"")
        except ContractError as problem:
            if problem.reason == "unsupported_version":
                raise
            place = {"topic": record.topic(), "partition": record.partition(), "offset": record.offset()}
            _log.warning("a record is no message", problem=logs.printable(problem.message)[:200], **place)
            return None
        return message if self._wanted(message) else None
