"""Signals, coverage and every revision of alerts: JSON messages and their table rows, as one hash a row."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from typing import Any

import msgspec

from sinks.reconcile.rows.store_side import Snapshot
from tapewatch.contract import messages, topics
from tapewatch.contract.messages import Coverage, Signal
from tapewatch.rfc3339 import from_rfc3339

Key = tuple[str, int]
"""What a row is told by, in words, and its input offset."""
Row = tuple[Key, int, bytes]
"""Which row, its input partition, the hash of what it says."""

_SIGNALS = """
SELECT s.id, i.name, s.ts_ns, s.policy, s.model, s.action, s.advantage, s.price, s.size, s.position, s.q_values,
    l.partition, s.log_offset
FROM signals s JOIN instruments i ON i.id = s.instrument_id JOIN logs l ON l.id = s.log_id WHERE l.topic = %s
"""
_COVERAGE = """
SELECT i.name, c.start_ns, c.end_ns, c.reason, c.seconds, l.partition, c.log_offset
FROM coverage c JOIN instruments i ON i.id = c.instrument_id JOIN logs l ON l.id = c.log_id WHERE l.topic = %s
"""
_ALERTS = "SELECT message FROM alert_history WHERE message -> 'provenance' ->> 'topic' = %s"


def content(value: Any) -> bytes:
    """Of a value as JSON with sorted keys; a number counts by its value, however it is written."""
    return blake2b(msgspec.json.encode(_plain(value), order="sorted"), digest_size=16).digest()


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    # Not the other way round: UTC nanoseconds are more than a float holds.
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _signal(value: bytes) -> Row:
    s = messages.decode(Signal, value)
    told = (s.instrument, from_rfc3339(s.ts), s.policy, s.model, s.action)
    values = (s.advantage, s.price, s.size, s.position, s.q_values)
    return (s.id, s.cause.offset), s.cause.partition, content([*told, *values])


def _kept_signal(row: tuple[Any, ...]) -> Row:
    id_, *told, partition, offset = row
    return (id_, int(offset)), int(partition), content(told)


def _stretch(value: bytes) -> Row:
    c = messages.decode(Coverage, value)
    start = from_rfc3339(c.start)
    what = f"{c.instrument} {c.reason} {start}"
    return (what, c.cause.offset), c.cause.partition, content([from_rfc3339(c.end), c.seconds])


def _kept_stretch(row: tuple[Any, ...]) -> Row:
    name, start, end, reason, seconds, partition, offset = row
    return (f"{name} {reason} {start}", int(offset)), int(partition), content([end, seconds])


def _alert(value: bytes) -> Row:
    return _kept_alert((msgspec.json.decode(value),))


def _kept_alert(row: tuple[Any, ...]) -> Row:
    told = row[0]
    origin = told["provenance"]
    key = f"{told['id']} revision {told['revision']}", int(origin["updated_offset"])
    return key, int(origin["partition"]), content(told)


KINDS: dict[str, tuple[str, Callable[[bytes], Row], str, Callable[[tuple[Any, ...]], Row]]] = {
    "signals": (topics.SIGNALS, _signal, _SIGNALS, _kept_signal),
    "coverage": (topics.COVERAGE, _stretch, _COVERAGE, _kept_stretch),
    "alert_history": (topics.ALERTS, _alert, _ALERTS, _kept_alert),
}
"""Table -> topic, a message as a row, the table's query, a table row as a row."""


def said(table: str, values: Iterable[bytes]) -> Iterator[Row]:
    """What messages say must lie in a table; of a key the first one, since the tables keep one. Coverage has no key."""
    of_message, met = KINDS[table][1], set[Key]()
    for value in values:
        try:
            row = of_message(value)
        except (ValueError, KeyError, TypeError):
            continue  # the sink buries it
        if table != "coverage":
            if row[0] in met:
                continue
            met.add(row[0])
        yield row


def kept(table: str, snapshot: Snapshot, topic: str) -> Iterator[Row]:
    """What lies in a table. topic : the market topic"""
    _, _, query, of_row = KINDS[table]
    for row in snapshot.rows(query, (topic,)):
        yield of_row(row)


def counted(rows: Iterable[Row]) -> dict[int, dict[Key, Counter[bytes]]]:
    """Rows by input partition and key, with how often each content is there."""
    found: dict[int, dict[Key, Counter[bytes]]] = {}
    for key, partition, content in rows:
        found.setdefault(partition, {}).setdefault(key, Counter())[content] += 1
    return found
