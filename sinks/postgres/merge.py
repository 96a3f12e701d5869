"""JSON messages into their tables: alerts merged by id and revision, signals by id, instruments by name, coverage;
our own orders, fills and positions; predictions, rankings, news and factors; the desk's work.
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from psycopg2.extensions import cursor as Cursor  # noqa: N812 - a class with a lower-case name
from psycopg2.extras import execute_values

from sinks.postgres import desk_work, forecasts, own_trading
from sinks.postgres.batch import JsonRecord
from sinks.postgres.keys import Keys
from sinks.postgres.tables import DAY, PARTITIONED
from tapewatch.contract import messages, topics
from tapewatch.contract.instruments import Instrument, is_instrument_id
from tapewatch.contract.message import UNREADABLE
from tapewatch.contract.rows import EVERY_INSTRUMENT
from tapewatch.errors import ContractError
from tapewatch.rfc3339 import from_rfc3339, stamp

Row = tuple[Any, ...]

_ALERT = (
    "id", "scenario", "instrument_id", "onset_ns", "decided_ns", "updated_ns", "state", "revision", "severity", "score",
    "probability", "sentence", "data_tier", "evidence", "provenance",
)  # fmt: skip
_HISTORY = "INSERT INTO alert_history (id, revision, updated_ns, state, message) VALUES %s ON CONFLICT DO NOTHING"
_SIGNALS = """
INSERT INTO signals (id, instrument_id, ts_ns, policy, model, action, advantage, price, size, position, q_values,
    log_id, log_offset) VALUES %s ON CONFLICT DO NOTHING
"""
_COVERAGE = """
INSERT INTO coverage (instrument_id, start_ns, end_ns, reason, seconds, log_id, log_offset) VALUES %s
"""
_INSTRUMENTS = """
INSERT INTO instruments (name, long_name, currency, kind, lot, price_limit, registered_at_ns, reference) VALUES %s
ON CONFLICT (name) DO UPDATE SET long_name = EXCLUDED.long_name, currency = EXCLUDED.currency, kind = EXCLUDED.kind,
    lot = EXCLUDED.lot, price_limit = EXCLUDED.price_limit, registered_at_ns = EXCLUDED.registered_at_ns,
    reference = EXCLUDED.reference
"""


def prepare(record: JsonRecord, keys: Keys) -> tuple[str, int] | None:
    """Check a message and have its numbers given; the partition (table, day) that it needs, None where there is none.

    ContractError where it is no such message.
    """
    if record.topic == topics.INSTRUMENTS:
        _instrument(record)
        return None
    try:
        return _placed(messages.decode(messages.BY_TOPIC[record.topic], record.value), keys)
    except ValueError as error:
        raise ContractError("malformed_message", str(error)) from error


def _placed(message: messages.Message, keys: Keys) -> tuple[str, int] | None:
    """The partition of a message whose times, instrument and cause are sound."""
    if isinstance(message, messages.Alert):
        _number(message.instrument, keys)
        for time in (message.onset, message.decided, message.updated):
            stamp(time)
        return None
    if isinstance(message, desk_work.KINDS):
        for name in desk_work.instruments(message):
            _number(name, keys)
        for time in desk_work.times(message):
            stamp(time)
        return None
    if isinstance(message, messages.Signal):
        _number(message.instrument, keys)
        _cause(message.cause, keys)
        return "signals", stamp(message.ts) // DAY
    if isinstance(message, messages.Coverage):
        if message.instrument != EVERY_INSTRUMENT:
            _number(message.instrument, keys)
        _cause(message.cause, keys)
        stamp(message.end)
        return "coverage", stamp(message.start) // DAY
    if isinstance(message, messages.Order | messages.Fill | messages.Position):
        _number(message.instrument, keys)
        if message.cause is not None:
            _cause(message.cause, keys)
        days = [stamp(time) // DAY for time in own_trading.times(message)]
        return ("own_positions", days[0]) if isinstance(message, messages.Position) else None
    if isinstance(message, forecasts.Forecast):
        return _forecast(message, keys)
    raise ValueError(f"no table for {type(message).__name__}")


def _forecast(message: forecasts.Forecast, keys: Keys) -> tuple[str, int] | None:
    """The partition of a forecast whose times and instruments are sound."""
    for instrument in forecasts.instruments(message):
        _number(instrument, keys)
    days = [stamp(time) // DAY for time in forecasts.times(message)]
    return (message.TOPIC, days[0]) if message.TOPIC in PARTITIONED else None


def _number(instrument: str, keys: Keys) -> None:
    """Have an instrument's number given; ValueError for what is no instrument id."""
    if not is_instrument_id(instrument):
        raise ValueError(f"{instrument!r} is not an instrument id")
    keys.instruments([instrument])


def _cause(cause: messages.Cause, keys: Keys) -> None:
    """Have a market log's number given; ValueError for what is none."""
    if not topics.is_market(cause.topic) or cause.partition >= 2**31:
        raise ValueError(f"{cause.topic!r}[{cause.partition}] is no market log")
    keys.log(cause.topic, cause.partition)


def _instrument(record: JsonRecord) -> Instrument:
    """Reference data as registered."""
    try:
        found = msgspec.json.decode(record.value, type=Instrument)
    except UNREADABLE as error:
        raise ContractError("malformed_message", f"not reference data: {error}") from error
    if not is_instrument_id(found.id):
        raise ContractError("malformed_instrument", f"{found.id!r} is not an instrument id")
    return found


def merge(cursor: Cursor, keys: Keys, records: Sequence[JsonRecord]) -> None:
    """Write prepared messages, each topic in one statement."""
    writers: dict[str, Callable[[Cursor, Keys, list[JsonRecord]], None]] = {
        topics.INSTRUMENTS: _instruments,
        topics.ALERTS: _alerts,
        topics.SIGNALS: _signals,
        topics.COVERAGE: _coverage,
        topics.ORDERS: own_trading.merge_orders,
        topics.FILLS: own_trading.merge_fills,
        topics.POSITIONS: own_trading.insert_positions,
        **forecasts.WRITERS,
        topics.CASES: desk_work.merge_cases,
        topics.CASE_ANSWERS: desk_work.merge_answers,
        topics.SUPPRESSIONS: desk_work.merge_suppressions,
        topics.LABELS: desk_work.merge_labels,
        topics.PROPOSALS: desk_work.merge_proposals,
    }
    for topic, write in writers.items():
        chosen = [record for record in records if record.topic == topic]
        if chosen:
            write(cursor, keys, chosen)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _instruments(cursor: Cursor, _: Keys, records: list[JsonRecord]) -> None:
    newest: dict[str, Row] = {}
    for record in records:
        i = _instrument(record)
        newest[i.id] = (i.id, i.name, i.currency, i.kind, i.lot, i.price_limit, i.registered_at, record.value.decode())
    execute_values(cursor, _INSTRUMENTS, list(newest.values()))


def _alerts(cursor: Cursor, keys: Keys, records: list[JsonRecord]) -> None:
    alerts = [messages.decode(messages.Alert, record.value) for record in records]
    newest = desk_work.newest(alerts)
    numbers = keys.instruments([alert.instrument for alert in newest]).tolist()
    rows = [_alert_row(alert, number) for alert, number in zip(newest, numbers, strict=True)]
    execute_values(cursor, desk_work.upsert("alerts", _ALERT, "revision"), rows)
    kept = [
        (alert.id, alert.revision, from_rfc3339(alert.updated), alert.state, record.value.decode())
        for alert, record in zip(alerts, records, strict=True)
    ]
    execute_values(cursor, _HISTORY, kept)


def _alert_row(a: messages.Alert, instrument: int) -> Row:
    times = (from_rfc3339(time) for time in (a.onset, a.decided, a.updated))
    told = (a.state, a.revision, a.severity, a.score, a.probability, a.sentence, a.data_tier)
    return (a.id, a.scenario, instrument, *times, *told, _json(a.evidence), _json(a.provenance))


def _signals(cursor: Cursor, keys: Keys, records: list[JsonRecord]) -> None:
    signals = [messages.decode(messages.Signal, record.value) for record in records]
    numbers = keys.instruments([signal.instrument for signal in signals]).tolist()
    rows = [
        (s.id, number, from_rfc3339(s.ts), s.policy, s.model, s.action, s.advantage, s.price, s.size, s.position,
         _json(s.q_values), keys.log(s.cause.topic, s.cause.partition), s.cause.offset)
        for s, number in zip(signals, numbers, strict=True)
    ]  # fmt: skip
    execute_values(cursor, _SIGNALS, rows)


def _coverage(cursor: Cursor, keys: Keys, records: list[JsonRecord]) -> None:
    stretches = [messages.decode(messages.Coverage, record.value) for record in records]
    numbers = keys.instruments([stretch.instrument for stretch in stretches]).tolist()
    rows = [
        (number, from_rfc3339(c.start), from_rfc3339(c.end), c.reason, c.seconds,
         keys.log(c.cause.topic, c.cause.partition), c.cause.offset)
        for c, number in zip(stretches, numbers, strict=True)
    ]  # fmt: skip
    execute_values(cursor, _COVERAGE, rows)
