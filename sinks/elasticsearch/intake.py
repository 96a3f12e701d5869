"""Each record of the log as bulk items, or as a dead letter with a reason."""

from collections.abc import Callable, Iterable

from confluent_kafka import Message

from sinks.elasticsearch import documents, mappings
from sinks.elasticsearch.book_rows import BookRows
from sinks.elasticsearch.engine_rows import MINUTE, EngineRows
from sinks.elasticsearch.item import Item, action, daily, encode, revision_version
from sinks.engine_frame import KINDS
from sinks.log_reader import headers_of, place
from tapewatch import dead_letters, messages, topics
from tapewatch.admission import InstrumentProvider
from tapewatch.batches import Record, UnreadableBatch
from tapewatch.clock import LATEST_NS
from tapewatch.dead_letters import DeadLetter
from tapewatch.dlq import retry
from tapewatch.dlq.retry import RetryRecord
from tapewatch.errors import ContractError
from tapewatch.logs import printable
from tapewatch.reach_settings import ElasticsearchSettings
from tapewatch.rfc3339 import from_rfc3339, to_rfc3339

URGENT = (topics.ALERTS, topics.CASES)
"""What people wait for: read and sent apart from all else."""

RETRIES = topics.retry(dead_letters.ELASTICSEARCH)
DATA = (*KINDS, topics.CANARIES, topics.SIGNALS, topics.PREDICTIONS, topics.POSITIONS, topics.COMMITS, RETRIES)
Origin = tuple[str, int, int]


def is_urgent(topic: str) -> bool:
    """Whether people wait for what lies in this topic."""
    return topic in URGENT


class Intake:
    """Reads records into items. registry : for order books; without one they are not read."""

    def __init__(self, settings: ElasticsearchSettings, registry: InstrumentProvider | None = None) -> None:
        self._prefix = settings.prefix
        self._engine = EngineRows(settings.prefix, settings.score_floor)
        self._books = BookRows(settings.prefix, settings.book_seconds, registry) if registry else None

    def is_wanted(self, topic: str) -> bool:
        """Whether data of this topic is kept."""
        return topic in DATA or (self._books is not None and topics.is_market(topic))

    def take(self, message: Record) -> tuple[list[Item], DeadLetter | None]:
        """The items of a record, or its dead letter; of a retry, those of the record that it carries. For a batch of a
        market topic that cannot be unpacked the engine answers.
        """
        if isinstance(message, UnreadableBatch):
            is_ours = not topics.is_market(message.topic())
            return [], dead_letters.of_batch(message, dead_letters.ELASTICSEARCH) if is_ours else None
        return self._taken(self._original(message) if message.topic() == RETRIES else message)

    def _original(self, message: Message) -> Message | RetryRecord:
        """What a retry carries; what is none is a dead letter by itself."""
        try:
            return retry.opened(headers_of(message), message.value())
        except ContractError:
            return message

    def _taken(self, message: Message | RetryRecord) -> tuple[list[Item], DeadLetter | None]:
        log, offset = place(message)
        origin = (*log, offset)
        try:
            return list(self._items(origin, message)), None
        except (ContractError, ValueError) as error:
            reason = error.reason if isinstance(error, ContractError) else "malformed_message"
            detail = printable(str(error))[:500]
            return [], dead_letters.of_record(origin, reason, detail, message.value(), dead_letters.ELASTICSEARCH)

    def _items(self, origin: Origin, message: Message | RetryRecord) -> Iterable[Item]:
        """The items of a record; ContractError or ValueError where it is none of the contract's."""
        topic, value = origin[0], message.value()
        if topic == RETRIES:
            raise ContractError("bad_headers", "a retry that does not say of what")
        if topic in KINDS:
            return self._engine.items(origin, value, headers_of(message))
        if topic in _JSON:
            kind, place_document = _JSON[topic]
            return [place_document(self._prefix, messages.decode(kind, value or b""), origin, message)]
        appended_ns = message.timestamp()[1] * 1_000_000
        return self._books.items(origin, value, headers_of(message), appended_ns) if self._books else ()


def alert_item(prefix: str, alert: messages.Alert, origin: Origin, message: bytes) -> Item:
    """An alert: one document, whatever its revisions."""
    for time in (alert.onset, alert.decided, alert.updated):
        _time(time)
    line = action(f"{prefix}-{mappings.ALERTS}", alert.id, revision_version(alert.revision))
    return Item(mappings.ALERTS, line, encode(documents.alert(alert)), origin, message)


def case_item(prefix: str, case: messages.Case, origin: Origin, message: bytes) -> Item:
    """A case: one document, whatever its revisions."""
    for time in (case.opened, case.updated):
        _time(time)
    line = action(f"{prefix}-{mappings.CASES}", case.id, revision_version(case.revision))
    return Item(mappings.CASES, line, encode(documents.case(case)), origin, message)


def _alert(prefix: str, alert: messages.Alert, origin: Origin, message: Message | RetryRecord) -> Item:
    return alert_item(prefix, alert, origin, message.value() or b"")


def _case(prefix: str, case: messages.Case, origin: Origin, message: Message | RetryRecord) -> Item:
    return case_item(prefix, case, origin, message.value() or b"")


def _signal(prefix: str, signal: messages.Signal, origin: Origin, message: Message | RetryRecord) -> Item:
    _time(signal.ts)
    line = action(daily(prefix, mappings.SIGNALS, signal.ts), signal.id)
    return Item(mappings.SIGNALS, line, encode(documents.signal(signal)), origin, message.value() or b"")


def _prediction(prefix: str, forecast: messages.Prediction, origin: Origin, message: Message | RetryRecord) -> Item:
    _time(forecast.as_of)
    line = action(daily(prefix, mappings.PREDICTIONS, forecast.as_of), forecast.id)
    return Item(mappings.PREDICTIONS, line, encode(documents.prediction(forecast)), origin, message.value() or b"")


def _position(prefix: str, account: messages.Position, origin: Origin, message: Message | RetryRecord) -> Item:
    """The last account of a minute stays."""
    ts = _time(account.ts)
    # Of a second's end on the minute, that minute: (0, 60] s.
    id_ = f"{account.mode}-{account.instrument}-{(ts - 1) // MINUTE}"
    line = action(daily(prefix, mappings.POSITIONS, to_rfc3339((ts - 1) // MINUTE * MINUTE)), id_, ts)
    return Item(mappings.POSITIONS, line, encode(documents.position(account)), origin, message.value() or b"")


def _commit(prefix: str, commit: messages.Commit, origin: Origin, message: Message | RetryRecord) -> Item:
    appended_ns = message.timestamp()[1] * 1_000_000
    at = to_rfc3339(appended_ns)
    line = action(daily(prefix, mappings.HEALTH, at), f"{origin[1]}-{origin[2]}")
    source = encode(documents.commit(commit, at, appended_ns))
    return Item(mappings.HEALTH, line, source, origin, message.value() or b"")


def _canary(prefix: str, canary: messages.Canary, origin: Origin, message: Message) -> Item:
    """How a canary fared: one document, whatever its revisions, in the index of the day it began."""
    for time in (canary.start, canary.due):
        _time(time)
    line = action(daily(prefix, mappings.HEALTH, canary.start), canary.id, revision_version(canary.revision))
    return Item(mappings.HEALTH, line, encode(documents.canary(canary)), origin, message.value() or b"")


_JSON: dict[str, tuple[type[messages.Message], Callable[..., Item]]] = {
    topics.ALERTS: (messages.Alert, _alert),
    topics.CASES: (messages.Case, _case),
    topics.SIGNALS: (messages.Signal, _signal),
    topics.PREDICTIONS: (messages.Prediction, _prediction),
    topics.POSITIONS: (messages.Position, _position),
    topics.COMMITS: (messages.Commit, _commit),
    topics.CANARIES: (messages.Canary, _canary),
}


def _time(text: str) -> int:
    """A message's time; ValueError outside 1970 to 2200."""
    time = from_rfc3339(text)
    if not 0 < time <= LATEST_NS:
        raise ValueError(f"{text} lies outside 1970 to 2200")
    return time
