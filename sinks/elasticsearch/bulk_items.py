"""Each record of the log as bulk items, or as a dead letter with a reason.

Order books as documents: the best five levels of a feed's first book of each instrument in each stretch of time.

The engine's frames as documents: one-minute bars, the features at each minute's close, scores above a floor.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from confluent_kafka import Message

from sinks.elasticsearch import documents, mappings
from sinks.elasticsearch.documents import ECS_VERSION, base
from sinks.elasticsearch.item import Item, action, daily, encode, revision_version
from sinks.engine_frame import KEYS, KINDS, column_of, model_of, numbers_of, open_frame, stamps_of
from sinks.log_reader import headers_of, place
from tapewatch.clock import LATEST_NS, NANOS
from tapewatch.contract import checks, messages, topics
from tapewatch.contract.frames import MAX_FRAME_BYTES, Headers
from tapewatch.contract.instruments import is_instrument_id
from tapewatch.contract.rows import RowType
from tapewatch.dlq import retry
from tapewatch.dlq.retry import RetryRecord
from tapewatch.errors import ContractError
from tapewatch.logs import printable
from tapewatch.market_log import dead_letters
from tapewatch.market_log.admission import Admission, AdmittedFrame, InstrumentProvider
from tapewatch.market_log.dead_letters import DeadLetter
from tapewatch.rfc3339 import from_rfc3339, to_rfc3339
from tapewatch.runtime.batches import Record, UnreadableBatch
from tapewatch.settings.delivery import ElasticsearchSettings

MINUTE = 60 * NANOS
Origin = tuple[str, int, int]


class EngineRows:
    """Turns the engine's frames into items. score_floor : least calibrated probability of a score that is kept"""

    def __init__(self, prefix: str, score_floor: float) -> None:
        self._prefix, self._floor = prefix, np.float32(score_floor)

    def items(self, origin: Origin, value: bytes | None, headers: Headers) -> Iterator[Item]:
        """The documents of a record. ContractError with the dead-letter reason where it is no frame of the topic."""
        topic = origin[0]
        batch, kind = open_frame(topic, value, headers)
        if kind != KINDS[topic][0] or not batch.num_rows:
            return
        stamps = stamps_of(batch)
        rows = self._wanted(batch, kind, stamps)
        if not len(rows):
            return
        name, documents = {
            "features": (mappings.FEATURES, _features),
            "scores": (mappings.SCORES, _scores),
            "bars": (mappings.BARS, _bars),
        }[kind]
        chosen = batch.take(pa.array(rows))
        parts = documents(chosen)
        own = {"features": "feature", "scores": "score", "bars": "bar"}[kind]
        dataset = {"kind": "metric", "module": "tapewatch", "dataset": f"tapewatch.{name}"}
        times: dict[int, str] = {}
        for row, instrument, ts, part in zip(
            rows.tolist(), _instruments(chosen), stamps[rows].tolist(), parts, strict=True
        ):
            at = times.get(ts) or times.setdefault(ts, to_rfc3339(ts))
            symbol, _, venue = instrument.rpartition(".")
            source = encode(
                {
                    "@timestamp": at,
                    "ecs": {"version": ECS_VERSION},
                    "event": dataset,
                    "tapewatch": {"instrument": instrument, "symbol": symbol, "venue": venue, own: part},
                }
            )
            id_ = f"{origin[1]}-{origin[2]}-{row}"
            yield Item(name, action(daily(self._prefix, name, at), id_), source, origin, source)

    def _wanted(self, batch: pa.RecordBatch, kind: str, stamps: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Numbers of the rows that are kept."""
        if kind == "features":
            return np.flatnonzero(stamps % MINUTE == 0)
        if kind == "bars":
            return np.flatnonzero(numbers_of(batch, "interval_s", pa.int32()) == 60)
        # NaN, a detector without a calibration, is below every floor.
        return np.flatnonzero(numbers_of(batch, "probability", pa.float32()) >= self._floor)


def _instruments(batch: pa.RecordBatch) -> list[str]:
    """Each row's instrument."""
    column = column_of(batch, "instrument")
    names: list[str] = column.cast(pa.utf8()).to_pylist() if pa.types.is_dictionary(column.type) else column.to_pylist()
    for name in set(names):
        if not is_instrument_id(name or ""):
            raise ContractError("malformed_instrument", f"{name!r} is not an instrument id")
    return names


def _features(batch: pa.RecordBatch) -> Iterator[dict[str, Any]]:
    """Feature by name; one that is not warm is left out."""
    names = [name for name in batch.schema.names if name not in KEYS]
    table = np.stack([numbers_of(batch, name, pa.float32()) for name in names], axis=1)
    for values in table.tolist():
        # A NaN alone differs from itself.
        yield {name: value for name, value in zip(names, values, strict=True) if value == value}


def _bars(batch: pa.RecordBatch) -> Iterator[dict[str, Any]]:
    """Prices and amounts of a minute."""
    names = [
        name
        for name in ("open", "high", "low", "close", "volume", "trades", "buys", "sells")
        if name in batch.schema.names
    ]
    table = np.stack([numbers_of(batch, name, pa.float64()) for name in names], axis=1)
    for values in table.tolist():
        yield dict(zip(names, values, strict=True))


def _scores(batch: pa.RecordBatch) -> Iterator[dict[str, Any]]:
    """Scores with name and version of their detector."""
    detectors = numbers_of(batch, "detector", pa.int64()).tolist()
    named = {number: model_of(batch.schema.metadata, number) for number in set(detectors)}
    raw, probability = (numbers_of(batch, name, pa.float32()).tolist() for name in ("raw", "probability"))
    for number, value, chance in zip(detectors, raw, probability, strict=True):
        detector, version = named[number]
        yield {"detector": detector, "version": version, "raw": value, "probability": chance}


BEST = 5
_REMEMBERED = 100_000


class BookRows:
    """Turns books into items; which book is the first of its stretch is a function of the log.

    every_s : length of a stretch, s
    """

    def __init__(self, prefix: str, every_s: int, registry: InstrumentProvider) -> None:
        self._prefix, self._every = prefix, every_s * NANOS
        self._registry = registry
        self._admissions: dict[tuple[str, int], Admission] = {}
        self._last: dict[tuple[str, str], int] = {}

    def items(self, origin: Origin, value: bytes | None, headers: Headers, appended_ns: int) -> Iterator[Item]:
        """The documents of a record, by the rows that the engine accepts too; what it refuses it buries itself."""
        if dict(headers).get("type") != RowType.BOOK.label.encode() or len(value or b"") > MAX_FRAME_BYTES:
            return
        admission = self._admissions.get(origin[:2])
        if admission is None:
            admission = self._admissions[origin[:2]] = Admission(self._registry, *origin[:2])
        try:
            admitted = admission.admit(value, headers, appended_ns)
        except ContractError:
            return
        if admitted is not None:
            yield from self._firsts(origin, admitted)

    def _firsts(self, origin: Origin, admitted: AdmittedFrame) -> Iterator[Item]:
        """Items of the rows that begin a stretch."""
        view = admitted.view
        names, codes, stamps = view.names(), view.column("instrument").tolist(), view.column("ts_recv")
        stretches, topic = (stamps // self._every).tolist(), origin[0]
        feed = topics.feed_of(topic)
        for row in np.flatnonzero(admitted.reasons == checks.Reason.ACCEPTED).tolist():
            instrument, stretch = names[codes[row]], stretches[row]
            if self._last.get((topic, instrument)) == stretch:
                continue
            if len(self._last) >= _REMEMBERED:
                self._last.clear()
            self._last[topic, instrument] = stretch
            levels = {name: view.column(name)[row, :BEST] for name in ("bid_price", "bid_qty", "ask_price", "ask_qty")}
            document = base("metric", mappings.BOOKS, to_rfc3339(int(stamps[row])), instrument)
            document["tapewatch"]["book"] = _book(levels)
            source = encode(document)
            # Whoever reads the log again from a later place takes a later book for the first: it comes too late.
            index = daily(self._prefix, mappings.BOOKS, document["@timestamp"])
            line = action(index, f"{feed}-{instrument}-{stretch}", create=True)
            yield Item(mappings.BOOKS, line, source, origin, source)


def _book(levels: dict[str, Any]) -> dict[str, Any]:
    """Levels that are there, best first, and what follows from them; imbalance -1 (all ask) to 1 (all bid)."""
    said = {name: values[~np.isnan(values)].tolist() for name, values in levels.items()}
    bids, asks = sum(said["bid_qty"]), sum(said["ask_qty"])
    if bids + asks > 0:
        said["imbalance"] = (bids - asks) / (bids + asks)
    if said["bid_price"]:
        said["best_bid"] = said["bid_price"][0]
    if said["ask_price"]:
        said["best_ask"] = said["ask_price"][0]
    if said["bid_price"] and said["ask_price"]:
        said["mid"] = (said["best_bid"] + said["best_ask"]) / 2
        said["spread"] = said["best_ask"] - said["best_bid"]
    return said


URGENT = (topics.ALERTS, topics.CASES)
"""What people wait for: read and sent apart from all else."""

RETRIES = topics.retry(dead_letters.ELASTICSEARCH)
DATA = (*KINDS, topics.CANARIES, topics.SIGNALS, topics.PREDICTIONS, topics.POSITIONS, topics.COMMITS, RETRIES)


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
