"""Signals: what the policies chose, one by one, and one table of action, prediction and yesterday's close."""

from collections.abc import Sequence
from datetime import UTC, datetime, time, tzinfo
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import sqlalchemy as sa
from msgspec import Meta

from console.filters import Glob, Word, canaries, seen_by
from console.recent import NS_PER_S, Ms, ms
from console.routing import Call, Route
from tapewatch.contract.messages import PaperCommit


class SignalQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which signals. instrument, action : empty for all; limit : at most so many, newest first"""

    instrument: Glob = ""
    action: Word = ""
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


class Signal(msgspec.Struct, frozen=True):
    """A policy's action. advantage : Q of the action less Q of hold; position : the virtual one it saw, lots"""

    id: str
    instrument: str
    at: Ms
    policy: str
    model: str
    action: str
    advantage: float | None
    price: float | None
    size: float | None
    position: float
    q_values: dict[str, float | None]


class Forecast(msgspec.Struct, frozen=True):
    """A prediction. direction, probability : the likeliest class and how likely, where there are classes"""

    name: str
    target: str
    horizon: str
    at: Ms
    reference: float | None
    value: float | None
    direction: str
    probability: float | None


class Line(msgspec.Struct, frozen=True):
    """An instrument's line. yesterday : close of the day before the newest bar's; last : newest close of a bar

    forecast : the newest prediction; forecasts : the newest of each model, by name
    switched : whether it is traded automatically; null where the paper broker has not told yet
    """

    instrument: str
    name: str
    currency: str
    yesterday: float | None
    last: float | None
    last_at: Ms | None
    action: str
    policy: str
    advantage: float | None
    price: float | None
    action_at: Ms | None
    forecast: Forecast | None
    switched: bool
    forecasts: list[Forecast] = []


_NEWEST = """
SELECT s.id, i.name, s.ts_ns, s.policy, s.model, s.action, s.advantage, s.price, s.size, s.position, s.q_values
FROM instruments i CROSS JOIN LATERAL (
    SELECT * FROM signals WHERE instrument_id = i.id AND (:action = '' OR action = :action)
    ORDER BY ts_ns DESC LIMIT :limit
) s
WHERE i.id > 0 AND (:instrument = '' OR i.name = :instrument) AND i.name LIKE ANY(:seen)
AND NOT i.name LIKE ANY(:canaries)
ORDER BY s.ts_ns DESC, i.name LIMIT :limit
"""
_LINES = """
SELECT i.id, i.name, coalesce(i.long_name, '') AS long_name, coalesce(i.currency, '') AS currency,
    coalesce(i.reference -> 'session' ->> 'timezone', 'UTC') AS zone, bar.ts_ns AS bar_ns, bar.close,
    s.action, s.policy, s.advantage, s.price, s.ts_ns AS action_ns
FROM instruments i
LEFT JOIN LATERAL (
    SELECT action, policy, advantage, price, ts_ns FROM signals WHERE instrument_id = i.id ORDER BY ts_ns DESC LIMIT 1
) s ON true
LEFT JOIN LATERAL (
    SELECT id FROM predictions WHERE instrument_id = i.id ORDER BY as_of_ns DESC LIMIT 1
) p ON true
LEFT JOIN LATERAL (
    SELECT ts_ns, close FROM bars WHERE instrument_id = i.id AND interval_s IN (60, 86400) ORDER BY ts_ns DESC LIMIT 1
) bar ON true
WHERE i.id > 0 AND (s.ts_ns IS NOT NULL OR p.id IS NOT NULL) AND i.name LIKE ANY(:seen)
AND NOT i.name LIKE ANY(:canaries)
ORDER BY s.ts_ns DESC NULLS LAST, i.name LIMIT 2000
"""
_FORECASTS = """
WITH RECURSIVE every AS (
    (SELECT name FROM predictions ORDER BY name LIMIT 1)
    UNION ALL SELECT (SELECT name FROM predictions WHERE name > every.name ORDER BY name LIMIT 1) FROM every
    WHERE every.name IS NOT NULL
)
SELECT p.instrument_id, p.name, p.target, p.horizon, p.as_of_ns, p.reference, p.value, p.classes
FROM unnest(CAST(:ids AS int[])) AS wanted (id) CROSS JOIN every CROSS JOIN LATERAL (
    SELECT * FROM predictions WHERE instrument_id = wanted.id AND name = every.name ORDER BY as_of_ns DESC LIMIT 1
) p ORDER BY p.name
"""
_CLOSES = """
SELECT wanted.id, bar.close FROM unnest(CAST(:ids AS int[]), CAST(:begins AS bigint[])) AS wanted (id, begin_ns)
CROSS JOIN LATERAL (
    SELECT close FROM bars WHERE instrument_id = wanted.id AND interval_s IN (60, 86400) AND ts_ns <= begin_ns
    ORDER BY ts_ns DESC LIMIT 1
) bar
"""


def _seen(call: Call) -> dict[str, list[str]]:
    return {"seen": seen_by(call.account), "canaries": canaries(call.services.settings)}


async def listed(call: Call) -> list[Signal]:
    """Signals, newest first."""
    wanted: SignalQuery = call.query
    rows = await call.services.database.rows(_NEWEST, {**msgspec.structs.asdict(wanted), **_seen(call)})
    return [Signal(row[0], row[1], int(ms(row[2]) or 0), *row[3:]) for row in rows]


async def table(call: Call) -> list[Line]:
    """A line for each instrument with a signal or a prediction."""
    database = call.services.database
    rows = await database.rows(_LINES, _seen(call))
    begins = {row.id: day_begin(row.bar_ns, row.zone) for row in rows if row.bar_ns is not None}
    closes: dict[int, float] = {}
    if begins:
        found = await database.rows(_CLOSES, {"ids": list(begins), "begins": list(begins.values())})
        closes = {row.id: row.close for row in found}
    forecasts: dict[int, list[Forecast]] = {}
    if rows:
        for each in await database.rows(_FORECASTS, {"ids": [row.id for row in rows]}):
            forecasts.setdefault(each.instrument_id, []).append(_forecast(each))
    commits: Sequence[PaperCommit] = call.services.parts["commits"].paper()
    switched = {name: on for commit in commits for name, on in commit.switched.items()}
    auto = call.services.settings.paper.auto
    return [_line(row, closes.get(row.id), switched.get(row.name, auto), forecasts.get(row.id, [])) for row in rows]


def day_begin(at_ns: int, zone: str) -> int:
    """Midnight, in that time zone, of the day in which a bar ends; a bar that ends at midnight is the day's before.

    >>> day_begin(1_700_000_000 * 10**9, "UTC") // 10**9
    1699920000
    """
    try:
        place: tzinfo = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError):
        place = UTC
    day = datetime.fromtimestamp((at_ns - 1) // NS_PER_S, place).date()
    return int(datetime.combine(day, time(), place).timestamp()) * NS_PER_S


def _line(row: sa.Row[*tuple[Any, ...]], close: float | None, switched: bool, forecasts: list[Forecast]) -> Line:
    """The reference of a prediction over days stands in where no bar of the day before is kept."""
    newest = max(forecasts, key=lambda each: each.at, default=None)
    if close is None:
        told = [each for each in forecasts if each.horizon.endswith("d") and each.reference is not None]
        close = max(told, key=lambda each: each.at).reference if told else None
    return Line(
        row.name, row.long_name, row.currency, close, row.close, ms(row.bar_ns), row.action or "", row.policy or "",
        row.advantage, row.price, ms(row.action_ns), newest, switched, forecasts,
    )  # fmt: skip


def _forecast(row: sa.Row[*tuple[Any, ...]]) -> Forecast:
    classes: dict[str, float] = row.classes
    likeliest = max(classes, key=lambda name: classes[name], default="")
    return Forecast(
        row.name, row.target, row.horizon, int(ms(row.as_of_ns) or 0), row.reference, row.value, likeliest,
        classes.get(likeliest),
    )  # fmt: skip


ROUTES = [
    Route("GET", "/api/v1/signals", listed, "Signals, newest first", page="signals", query=SignalQuery,
          answer=list[Signal]),
    Route("GET", "/api/v1/signals/table", table, "Action, prediction and yesterday's close of each instrument",
          page="signals", answer=list[Line]),
]  # fmt: skip
