"""The coverage record of a day: what was watched and what was not, and trades seen against the venue's own totals.

Everything is read from PostgreSQL. A day is a UTC day; seconds of an instrument count on each feed that carries it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from tapewatch.clock import NANOS
from tapewatch.errors import TapewatchError
from tapewatch.rfc3339 import from_rfc3339

DAY_NS = 86_400 * NANOS
_STRETCH_NS = 14 * DAY_NS
"""Longest stretch of silence that is looked for: an older one that still lasts does not count."""

AGREES = 1e-6
"""Relative difference of volumes up to which they are the same: sums of float64."""


class VolumeReconciliation(msgspec.Struct, frozen=True):
    """A venue's own total against the trades seen over the same stretch.

    source : quotes (the session's running volume) or bars (the venue's own)
    venue, seen : volume; venue_trades, seen_trades : counts, null where the venue tells none
    difference : seen less venue, as a fraction of the venue's volume
    """

    source: str
    venue: float
    seen: float
    venue_trades: int | None
    seen_trades: int
    difference: float
    agrees: bool


class InstrumentCoverage(msgspec.Struct, frozen=True):
    """An instrument's day on one feed.

    watched : seconds closed with a feature row; missed : seconds not watched, by reason (silent, halt, gap)
    share : watched of both, null where there are none
    trades, volume : on-book trades seen (regular and auction, cancellations taken off); other : volume of the rest
    """

    instrument: str
    topic: str
    watched: int
    missed: dict[str, int]
    share: float | None
    trades: int = 0
    volume: float = 0.0
    other: float = 0.0
    totals: tuple[VolumeReconciliation, ...] = ()


class Day(msgspec.Struct, frozen=True):
    """The coverage record of a day (YYYY-MM-DD, UTC)."""

    day: str
    instruments: tuple[InstrumentCoverage, ...]


def day_ns(day: str) -> int:
    """The beginning of a UTC day, nanoseconds; TapewatchError where it is none."""
    try:
        return from_rfc3339(f"{day}T00:00:00Z")
    except ValueError as error:
        raise TapewatchError(f"{day!r} is no day", "Write it as 2026-01-31; days are UTC.") from error


_CHOSEN = "(:instrument = '' OR {0}.instrument_id = (SELECT id FROM instruments WHERE name = :instrument))"

_WATCHED = f"""
SELECT t.instrument_id, t.log_id, count(*) AS seconds FROM features t
WHERE t.ts_ns > :start AND t.ts_ns <= :end AND {_CHOSEN.format("t")}
GROUP BY 1, 2
"""  # noqa: S608 - of constants alone

_MISSED = f"""
WITH watched AS ({_WATCHED}),
stretch AS (
    SELECT c.instrument_id, c.log_id, c.reason, greatest(c.start_ns, :start) AS a, least(c.end_ns, :end) AS b
    FROM coverage c WHERE c.start_ns > :start - :longest AND c.start_ns < :end AND c.end_ns > :start
),
known AS (
    SELECT instrument_id, log_id FROM watched
    UNION SELECT t.instrument_id, t.log_id FROM stretch t WHERE t.instrument_id > 0 AND {_CHOSEN.format("t")}
)
SELECT k.instrument_id, k.log_id, s.reason, sum((s.b - s.a) / 1000000000) AS seconds
FROM known k JOIN stretch s ON s.log_id = k.log_id AND s.instrument_id IN (0, k.instrument_id)
GROUP BY 1, 2, 3
"""  # noqa: S608 - of constants alone

# Conditions by number: 0 regular, 1 auction, 2 off-book, 3 odd lot, 4 a cancellation, 5 a correction (the new values).
_SEEN = "CASE WHEN t.condition IN (0, 1) THEN 1 WHEN t.condition = 4 THEN -1 ELSE 0 END"

_TRADES = f"""
SELECT t.instrument_id, t.log_id, sum({_SEEN}) AS trades, sum(t.qty * {_SEEN}) AS volume,
    coalesce(sum(t.qty) FILTER (WHERE t.condition NOT IN (0, 1, 4)), 0) AS other
FROM trades t WHERE t.ts_recv_ns >= :start AND t.ts_recv_ns < :end AND {_CHOSEN.format("t")}
GROUP BY 1, 2
"""  # noqa: S608 - of constants alone

# A running volume that falls begins a new session. What was traded before the first quote of the day, or after the
# last one, is in neither side.
_QUOTED = f"""
WITH told AS (
    SELECT t.instrument_id, t.log_id, t.ts_recv_ns, t.volume,
        lag(t.volume) OVER (PARTITION BY t.instrument_id, t.log_id ORDER BY t.log_offset, t.ts_recv_ns) AS before
    FROM quotes t
    WHERE t.ts_recv_ns >= :start AND t.ts_recv_ns < :end AND t.volume <> 'NaN' AND t.volume > 0
        AND {_CHOSEN.format("t")}
),
venue AS (
    SELECT instrument_id, log_id, min(ts_recv_ns) AS first, max(ts_recv_ns) AS last,
        sum(CASE WHEN before IS NULL THEN 0 WHEN volume < before THEN volume ELSE volume - before END) AS volume
    FROM told GROUP BY 1, 2
)
SELECT v.instrument_id, v.log_id, v.volume, coalesce(sum(t.qty * {_SEEN}), 0) AS seen,
    NULL::bigint AS venue_trades, coalesce(sum({_SEEN}), 0) AS trades
FROM venue v LEFT JOIN trades t ON t.instrument_id = v.instrument_id AND t.log_id = v.log_id
    AND t.ts_recv_ns > v.first AND t.ts_recv_ns <= v.last AND t.ts_recv_ns >= :start AND t.ts_recv_ns < :end
GROUP BY v.instrument_id, v.log_id, v.volume
HAVING count(t.qty) > 0
"""  # noqa: S608 - of constants alone

# The venue's shortest bars, each as it was told last, against the trades of the same stretch by the venue's own time.
_BARRED = f"""
WITH told AS (
    SELECT DISTINCT ON (t.instrument_id, t.log_id, t.interval_s, t.ts_open_ns) t.*
    FROM bars t
    WHERE t.origin = 1 AND t.ts_ns >= :start AND t.ts_ns < :end + :longest AND t.ts_open_ns >= :start
        AND t.ts_open_ns + t.interval_s * 1000000000::bigint <= :end AND {_CHOSEN.format("t")}
    ORDER BY t.instrument_id, t.log_id, t.interval_s, t.ts_open_ns, t.log_offset DESC, t.ts_ns DESC
),
venue AS (
    SELECT b.* FROM told b
    WHERE b.interval_s = (SELECT min(o.interval_s) FROM told o
        WHERE o.instrument_id = b.instrument_id AND o.log_id = b.log_id)
),
summed AS (
    SELECT instrument_id, log_id, sum(volume) AS volume, sum(trades) AS trades FROM venue GROUP BY 1, 2
),
seen AS (
    SELECT v.instrument_id, v.log_id, sum(t.qty * {_SEEN}) AS volume, sum({_SEEN}) AS trades
    FROM venue v JOIN trades t ON t.instrument_id = v.instrument_id AND t.log_id = v.log_id
        AND t.ts_event_ns >= v.ts_open_ns AND t.ts_event_ns < v.ts_open_ns + v.interval_s * 1000000000::bigint
        AND t.ts_recv_ns >= :start AND t.ts_recv_ns < :end + :longest
    GROUP BY 1, 2
)
SELECT s.instrument_id, s.log_id, s.volume, seen.volume AS seen, nullif(s.trades, 0) AS venue_trades, seen.trades
FROM summed s JOIN seen USING (instrument_id, log_id)
"""  # noqa: S608 - of constants alone

_NAMES = "SELECT id, name FROM instruments WHERE id = ANY(:ids)"
_LOGS = "SELECT id, topic || '[' || partition || ']' AS name FROM logs WHERE id = ANY(:ids)"

_Key = tuple[int, int]


def record(session: sa.Connection, day: str, instrument: str = "", venue: bool = True) -> Day:
    """The coverage record of a UTC day, of one instrument or of all.

    venue : compare with the venues' totals too, which reads the day's quotes and bars
    """
    start = day_ns(day)
    given = {"start": start, "end": start + DAY_NS, "longest": _STRETCH_NS, "instrument": instrument}
    watched = {_key(row): int(row.seconds) for row in _rows(session, _WATCHED, given)}
    missed: dict[_Key, dict[str, int]] = {}
    for row in _rows(session, _MISSED, given):
        missed.setdefault(_key(row), {})[str(row.reason)] = int(row.seconds)
    traded = {_key(row): row for row in _rows(session, _TRADES, given)}
    totals: dict[_Key, list[VolumeReconciliation]] = {}
    for source, statement in (("quotes", _QUOTED), ("bars", _BARRED)) if venue else ():
        for row in _rows(session, statement, given):
            totals.setdefault(_key(row), []).append(_reconciled(source, row))
    keys = sorted(watched.keys() | missed.keys() | traded.keys() | totals.keys())
    names = dict(_pairs(session, _NAMES, [key[0] for key in keys]))
    logs = dict(_pairs(session, _LOGS, [key[1] for key in keys]))
    found = []
    for key in keys:
        seconds, not_watched = watched.get(key, 0), missed.get(key, {})
        whole = seconds + sum(not_watched.values())
        trade = traded.get(key)
        found.append(
            InstrumentCoverage(
                instrument=names.get(key[0], str(key[0])),
                topic=logs.get(key[1], ""),
                watched=seconds,
                missed=dict(sorted(not_watched.items())),
                share=seconds / whole if whole else None,
                trades=int(trade.trades) if trade else 0,
                volume=float(trade.volume) if trade else 0.0,
                other=float(trade.other) if trade else 0.0,
                totals=tuple(totals.get(key, ())),
            )
        )
    return Day(day, tuple(sorted(found, key=lambda each: (each.instrument, each.topic))))


def _rows(session: sa.Connection, statement: str, given: Mapping[str, Any]) -> Sequence[sa.Row[Any]]:
    return session.execute(sa.text(statement), dict(given)).all()


def _pairs(session: sa.Connection, statement: str, ids: list[int]) -> list[tuple[int, str]]:
    return [(int(row.id), str(row.name)) for row in _rows(session, statement, {"ids": sorted(set(ids))})]


def _key(row: sa.Row[Any]) -> _Key:
    return int(row.instrument_id), int(row.log_id)


def _reconciled(source: str, row: sa.Row[Any]) -> VolumeReconciliation:
    venue, seen, trades = float(row.volume), float(row.seen), int(row.trades)
    told = None if row.venue_trades is None else int(row.venue_trades)
    difference = (seen - venue) / venue if venue else float(seen != venue)
    agrees = told in (None, trades) and abs(difference) <= AGREES
    return VolumeReconciliation(source, venue, seen, told, trades, difference, agrees)
