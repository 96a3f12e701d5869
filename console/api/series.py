"""What an instrument did: bars, features, scores, signals, alerts and trades over a stretch of time, in columns.

Times are milliseconds since 1970. A stretch that holds more than is asked for is thinned out, never cut in silence.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from console.refusal import RefusedError
from console.routing import Call, Route
from console.spans import Numbers, Points, Span, columns, stretch
from tapewatch.clock import NANOS

INTERVALS = {"1m": 60, "5m": 300, "15m": 900, "1h": 3600, "1d": 86_400}
Origin = Literal["engine", "venue", "trades"]
_DAY = 86_400
_YEAR = 366 * _DAY


class BarQuery(Span, frozen=True, forbid_unknown_fields=True):
    """Which bars. limit : at most so many, the newest"""

    interval: Literal["1m", "5m", "15m", "1h", "1d"] = "1m"
    limit: Points = 600


class Bars(msgspec.Struct, frozen=True):
    """Bars. t : begin of the bar, UTC; origin : engine, or venue where the engine has none

    trades : made of the last day's trades, where there are no bars at all
    """

    t: list[float]
    open: Numbers
    high: Numbers
    low: Numbers
    close: Numbers
    volume: Numbers
    trades: list[int]
    interval_s: int
    origin: Origin


class FeatureQuery(Span, frozen=True, forbid_unknown_fields=True):
    """Which features. names : with commas between, eight at most; points : at most so many"""

    names: Annotated[str, Meta(max_length=300, pattern="^[a-z0-9_]+(,[a-z0-9_]+){0,7}$")] = "volume_z"
    points: Points = 1000


class FeatureSeries(msgspec.Struct, frozen=True):
    """Means over each step; null where a feature was not warm. step_s : seconds between points"""

    t: list[float]
    values: dict[str, Numbers]
    step_s: float


class ScoreQuery(Span, frozen=True, forbid_unknown_fields=True):
    """points : at most so many"""

    points: Points = 1000


class ScoreSeries(msgspec.Struct, frozen=True):
    """The highest score of each step. raw : in the detector's own unit; probability : calibrated"""

    t: list[float]
    raw: Numbers
    probability: Numbers


class Scores(msgspec.Struct, frozen=True):
    """Scores by detector. step_s : seconds between points"""

    detectors: dict[str, ScoreSeries]
    step_s: float


class SignalSeriesQuery(Span, frozen=True, forbid_unknown_fields=True):
    """holds : whether signals to do nothing are wanted too; limit : at most so many, the newest"""

    holds: bool = False
    limit: Points = 1000


class Signals(msgspec.Struct, frozen=True):
    """Actions of policies. more : whether there are earlier ones"""

    t: list[float]
    id: list[str]
    policy: list[str]
    action: list[str]
    price: Numbers
    size: Numbers
    advantage: Numbers
    position: Numbers
    more: bool


class LimitedSpanQuery(Span, frozen=True, forbid_unknown_fields=True):
    """limit : at most so many, the newest"""

    limit: Points = 500


class TradeSeries(msgspec.Struct, frozen=True):
    """Trades. side : 1 buyer aggressed, -1 seller, 0 unknown; more : whether there are earlier ones"""

    t: list[float]
    price: Numbers
    qty: Numbers
    side: list[int]
    more: bool


class Alerts(msgspec.Struct, frozen=True):
    """Alerts by onset. more : whether there are earlier ones"""

    t: list[float]
    id: list[str]
    scenario: list[str]
    severity: list[str]
    state: list[str]
    score: Numbers
    sentence: list[str]
    decided: list[float]
    more: bool


_BARS = """
SELECT (ts_open_ns / :step) * :step AS t, (array_agg(nullif(open, 'NaN') ORDER BY ts_open_ns))[1],
max(nullif(high, 'NaN')), min(nullif(low, 'NaN')), (array_agg(nullif(close, 'NaN') ORDER BY ts_open_ns DESC))[1],
sum(nullif(volume, 'NaN')), cast(sum(trades) AS bigint)
FROM bars WHERE instrument_id = :number AND ts_ns > :start AND ts_ns <= :end AND origin = :origin
AND interval_s <= :interval AND ts_open_ns >= :start
GROUP BY 1 ORDER BY 1 DESC LIMIT :limit
"""
_OF_TRADES = """
SELECT (ts_recv_ns / :step) * :step AS t, (array_agg(price ORDER BY ts_recv_ns, log_offset))[1], max(price), min(price),
(array_agg(price ORDER BY ts_recv_ns DESC, log_offset DESC))[1], sum(qty), count(*)
FROM trades WHERE instrument_id = :number AND ts_recv_ns >= :start AND ts_recv_ns < :end AND condition < 2
GROUP BY 1 ORDER BY 1 DESC LIMIT :limit
"""
_SCORES = """
SELECT m.detector, (s.ts_ns / :step) * :step AS t, max(nullif(s.raw, 'NaN')), max(nullif(s.probability, 'NaN'))
FROM scores s JOIN score_models m ON m.id = s.model_id
WHERE s.instrument_id = :number AND s.ts_ns >= :start AND s.ts_ns < :end GROUP BY 1, 2 ORDER BY 1, 2 LIMIT 100000
"""
_SIGNALS = """
SELECT ts_ns, id, policy, action, nullif(price, 'NaN'), nullif(size, 'NaN'), nullif(advantage, 'NaN'), position
FROM signals WHERE instrument_id = :number AND ts_ns >= :start AND ts_ns < :end AND (:holds OR action <> 'hold')
ORDER BY ts_ns DESC LIMIT :limit
"""
_TRADES = """
SELECT ts_recv_ns, price, qty, aggressor_side FROM trades
WHERE instrument_id = :number AND ts_recv_ns >= :start AND ts_recv_ns < :end AND condition < 4
ORDER BY ts_recv_ns DESC, log_offset DESC LIMIT :limit
"""
_ALERTS = """
SELECT onset_ns, id, scenario, severity, state, score, sentence, decided_ns FROM alerts
WHERE instrument_id = :number AND onset_ns >= :start AND onset_ns < :end ORDER BY onset_ns DESC LIMIT :limit
"""
_KNOWN = """
SELECT attname FROM pg_attribute WHERE attrelid = cast('features' AS regclass) AND attnum > 0 AND NOT attisdropped
AND atttypid = cast('real' AS regtype) AND attname = ANY(:names)
"""


async def bars(call: Call) -> Bars:
    """Bars of an interval, made of the engine's one-minute bars; the venue's own where there are none."""
    wanted: BarQuery = call.query
    interval = INTERVALS[wanted.interval]
    usual = float(min(interval * wanted.limit, 10 * _YEAR))
    span = await stretch(call, usual, usual)
    step = interval * NANOS
    bound = span.bound | {"step": step, "interval": interval, "limit": wanted.limit, "start": span.start // step * step}
    rows, origin = await _bars(call, bound)
    found = columns("t open high low close volume trades", rows[::-1])
    return Bars(**found, interval_s=interval, origin=origin)


async def _bars(call: Call, bound: dict[str, Any]) -> tuple[Sequence[Any], Origin]:
    """Rows of bars, newest first, from the first source that has any."""
    database = call.services.database
    if rows := await database.rows(_BARS, bound | {"origin": 0}):
        return rows, "engine"
    if rows := await database.rows(_BARS, bound | {"origin": 1}):
        return rows, "venue"
    recent = max(bound["start"], bound["end"] - _DAY * NANOS)
    rows = await database.rows(_OF_TRADES, bound | {"start": recent})
    return rows, "trades" if rows else "engine"


async def features(call: Call) -> FeatureSeries:
    """Features by name, averaged over steps where the stretch is long."""
    wanted: FeatureQuery = call.query
    span = await stretch(call, 3600, 7 * _DAY)
    names = list(dict.fromkeys(wanted.names.split(",")))
    known = {row[0] for row in await call.services.database.rows(_KNOWN, {"names": names})}
    if unknown := [name for name in names if name not in known]:
        raise RefusedError(422, f"parameters: there is no feature {unknown[0]}", "See docs/features.md.")
    step = span.step(wanted.points)
    chosen = ", ".join(f"avg(nullif(\"{name}\", 'NaN'))" for name in names)
    rows = await call.services.database.rows(
        f"SELECT (ts_ns / :step) * :step AS t, {chosen} FROM features "  # noqa: S608 - names of real columns
        "WHERE instrument_id = :number AND ts_ns >= :start AND ts_ns < :end GROUP BY 1 ORDER BY 1",
        span.bound | {"step": step},
    )
    found = columns(" ".join(("t", *(f"f_{name}" for name in names))), rows)
    return FeatureSeries(found["t"], {name: found[f"f_{name}"] for name in names}, step / NANOS)


async def scores(call: Call) -> Scores:
    """Scores of every detector; the highest of each step where the stretch is long."""
    wanted: ScoreQuery = call.query
    span = await stretch(call, 3600, 7 * _DAY)
    step = span.step(wanted.points)
    rows = await call.services.database.rows(_SCORES, span.bound | {"step": step})
    by_name: dict[str, list[Any]] = {}
    for row in rows:
        by_name.setdefault(row[0], []).append(row[1:])
    found = {name: ScoreSeries(**columns("t raw probability", points)) for name, points in by_name.items()}
    return Scores(found, step / NANOS)


async def signals(call: Call) -> Signals:
    """Actions of policies."""
    wanted: SignalSeriesQuery = call.query
    span = await stretch(call, _DAY, 31 * _DAY)
    bound = span.bound | {"holds": wanted.holds, "limit": wanted.limit + 1}
    return Signals(**await _newest(call, _SIGNALS, bound, "t id policy action price size advantage position"))


async def trades(call: Call) -> TradeSeries:
    """Single trades."""
    wanted: LimitedSpanQuery = call.query
    span = await stretch(call, 3600, _DAY, of="books")
    bound = span.bound | {"limit": wanted.limit + 1}
    return TradeSeries(**await _newest(call, _TRADES, bound, "t price qty side"))


async def alerts(call: Call) -> Alerts:
    """Alerts of the instrument."""
    wanted: LimitedSpanQuery = call.query
    span = await stretch(call, 31 * _DAY, 10 * _YEAR, of="alerts")
    bound = span.bound | {"limit": wanted.limit + 1}
    return Alerts(**await _newest(call, _ALERTS, bound, "t id scenario severity state score sentence decided"))


async def _newest(call: Call, statement: str, bound: dict[str, Any], names: str) -> dict[str, Any]:
    """Columns of the newest rows, oldest first, and whether there are `more`. The limit is one above the wanted."""
    rows = await call.services.database.rows(statement, bound)
    more = len(rows) == bound["limit"]
    kept = rows[:-1] if more else rows
    return {**columns(names, kept[::-1]), "more": more}


def _route(name: str, handler: Any, summary: str, query: type[msgspec.Struct], answer: Any) -> Route:
    path = f"/api/v1/instruments/{{id}}/{name}"
    return Route("GET", path, handler, summary, page="instrument", query=query, answer=answer)


ROUTES = [
    _route("bars", bars, "Bars of an instrument", BarQuery, Bars),
    _route("features", features, "Features of an instrument", FeatureQuery, FeatureSeries),
    _route("scores", scores, "Scores of an instrument by detector", ScoreQuery, Scores),
    _route("signals", signals, "Actions of policies for an instrument", SignalSeriesQuery, Signals),
    _route("trades", trades, "Trades of an instrument", LimitedSpanQuery, TradeSeries),
    _route("alerts", alerts, "Alerts of an instrument", LimitedSpanQuery, Alerts),
]
