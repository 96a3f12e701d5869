"""Track record: every past prediction with what happened, and how each model has done.

SQL of the track record: predictions, and what the bars say happened after them.
"""

import asyncio
import csv
import io
from itertools import groupby
from typing import Annotated, Any

import msgspec
import numpy as np
from aiohttp import web
from msgspec import Meta

from console.csv_text import cell
from console.database import Rows
from console.filters import Cursor, Glob, When, Word, cursor, like, nanoseconds, place, seen_by
from console.recent import Ms, ms
from console.routing import Call, Route
from tapewatch.clock import LATEST_NS
from tapewatch.desk.day_blocks import F8, I8, drawn, interval

_FITTING = """
    SELECT p.*, i.name AS instrument
    FROM predictions p JOIN instruments i ON i.id = p.instrument_id
    WHERE p.as_of_ns >= :since AND p.as_of_ns < :until AND {named}
        AND (:target = '' OR p.target = :target) AND (:horizon = '' OR p.horizon = :horizon)
        AND i.name LIKE ANY(:wanted) AND i.name LIKE ANY(:seen)
        AND (:begins OR (p.as_of_ns, p.id) < (:after_ns, :after_id))
    ORDER BY p.as_of_ns DESC, p.id DESC LIMIT {limit}
"""
_NEWEST = f"""
WITH chosen AS ({_FITTING.format(named="(:model = '' OR p.name = :model)", limit=":limit")})
"""
_OF_EACH = f"""
WITH RECURSIVE every AS (
    (SELECT name FROM predictions WHERE :model = '' OR name = :model ORDER BY name LIMIT 1)
    UNION ALL SELECT (SELECT name FROM predictions WHERE name > every.name ORDER BY name LIMIT 1) FROM every
    WHERE every.name IS NOT NULL AND :model = ''
), named AS (
    SELECT name FROM every WHERE name IS NOT NULL LIMIT 100
), chosen AS (
    SELECT of_one.* FROM named CROSS JOIN LATERAL (
        {_FITTING.format(named="p.name = named.name", limit="greatest(1, :limit / (SELECT count(*) FROM named))")}
    ) of_one
)
"""  # noqa: S608 - of constants alone
"""As many of each model: minute by minute one alone would fill the whole."""

_SPANS = """, spans AS (
    SELECT *,
        CASE WHEN horizon ~ '^[0-9]{1,3}d$' THEN rtrim(horizon, 'd')::int ELSE 0 END AS days,
        CASE WHEN horizon ~ '^[0-9]{1,5}[smh]$'
            THEN left(horizon, -1)::bigint * CASE right(horizon, 1) WHEN 's' THEN 1 WHEN 'm' THEN 60 ELSE 3600 END
            ELSE 0 END AS seconds,
        coalesce((SELECT key FROM jsonb_each(classes) ORDER BY value DESC, key LIMIT 1), '') AS likeliest
    FROM chosen
)
"""
_BOUNDS = """
SELECT min(as_of_ns) - 864000000000000 AS low_ns,
    max(as_of_ns) + (2 * max(days) + 10) * 86400000000000 + max(seconds) * 1000000000 AS high_ns
FROM spans
"""
"""Between which times the bars lie that a record looks at; null where no prediction fits."""

LISTED_BOUNDS = _NEWEST + _SPANS + _BOUNDS
BY_DAY_BOUNDS = _OF_EACH + _SPANS + _BOUNDS

_BARS = """, based AS (
    SELECT spans.*, base.close AS base, coalesce(outcome.close, told.close) AS outcome,
        coalesce(outcome.ts_ns, told.ts_ns) AS outcome_ns
    FROM spans
    LEFT JOIN LATERAL (
        SELECT coalesce(CASE WHEN target <> 'return' THEN reference END, (
            SELECT close FROM bars
            WHERE instrument_id = spans.instrument_id
                    AND ts_ns BETWEEN :low_ns AND :high_ns AND interval_s = CASE WHEN days > 0 THEN 86400 ELSE 60 END
                AND ts_ns <= as_of_ns AND ts_ns > as_of_ns - 10 * 86400000000000
            ORDER BY ts_ns DESC LIMIT 1
        )) AS close
    ) base ON true
    LEFT JOIN LATERAL (
        SELECT close, ts_ns FROM (
            (
                SELECT DISTINCT ON (ts_ns) close, ts_ns FROM bars
                WHERE days > 0 AND instrument_id = spans.instrument_id
                    AND ts_ns BETWEEN :low_ns AND :high_ns AND interval_s = 86400
                    AND ts_ns > as_of_ns AND ts_ns <= as_of_ns + (2 * days + 10) * 86400000000000
                ORDER BY ts_ns LIMIT 1 OFFSET greatest(days - 1, 0)
            ) UNION ALL (
                SELECT close, ts_ns FROM bars
                WHERE seconds > 0 AND instrument_id = spans.instrument_id
                    AND ts_ns BETWEEN :low_ns AND :high_ns AND interval_s = 60
                    AND ts_ns >= as_of_ns + seconds * 1000000000
                    AND ts_ns <= as_of_ns + seconds * 1000000000 + 10 * 86400000000000
                ORDER BY ts_ns LIMIT 1
            )
        ) either
    ) outcome ON true
    LEFT JOIN LATERAL (
        SELECT DISTINCT ON (period) value AS close, published_ns AS ts_ns FROM factors
        WHERE days > 0 AND outcome.ts_ns IS NULL AND series = 'close' AND instrument_id = spans.instrument_id
            AND published_ns > as_of_ns AND published_ns <= as_of_ns + (2 * days + 10) * 86400000000000
            AND period ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}$' AND value > 0 AND period > coalesce((
                SELECT max(period) FROM factors
                WHERE series = 'close' AND instrument_id = spans.instrument_id AND length(period) = 10
                    AND published_ns <= as_of_ns AND published_ns > as_of_ns - 20 * 86400000000000
            ), '')
        ORDER BY period, revision, published_ns LIMIT 1 OFFSET greatest(days - 1, 0)
    ) told ON true
), moved AS (
    SELECT *,
        outcome / nullif(base, 0) - 1 AS realised,
        CASE WHEN target = 'return' THEN value ELSE value / nullif(base, 0) - 1 END AS expected
    FROM based
), signed AS (
    SELECT *,
        CASE WHEN value IS NOT NULL THEN sign(expected)
            WHEN likeliest = 'up' OR left(likeliest, 4) = 'rise' THEN 1
            WHEN likeliest = 'down' OR left(likeliest, 4) = 'fall' THEN -1
            ELSE 0 END AS side
    FROM moved
), judged AS (
    SELECT *, CASE WHEN side <> 0 AND realised <> 0 THEN side = sign(realised) END AS hit FROM signed
)
"""
"""Parameters of each statement: those of its bounds (since, until, model, target, horizon, wanted, seen, begins,
after_ns, after_id, limit), and low_ns, high_ns as they gave them: PostgreSQL plans over the partitions of those days
alone.

Daily horizons: the n-th daily bar after the prediction, or where there is none the n-th day's close among the factors
that was not known yet, as first published; others: the first minute bar that ends after so long or later.
Both are looked for within ten days more (daily: twice as long and ten), so that what has no bars costs little.
"""

LISTED = (
    _NEWEST
    + _SPANS
    + _BARS
    + """SELECT id, instrument, as_of_ns, horizon, target, name, model, base, value, likeliest,
    (classes ->> likeliest)::float8 AS probability, outcome, outcome_ns, realised, expected, hit
FROM judged ORDER BY as_of_ns DESC, id DESC
"""
)

BY_DAY = (
    _OF_EACH
    + _SPANS
    + _BARS
    + """SELECT name, target, horizon, as_of_ns / 86400000000000 AS day, count(*) AS made, count(realised) AS known,
    count(hit) AS judged, count(*) FILTER (WHERE hit) AS hits,
    count(*) FILTER (WHERE hit IS NOT NULL AND realised > 0) AS rises,
    count(*) FILTER (WHERE expected IS NOT NULL AND realised IS NOT NULL) AS errors,
    coalesce(sum((expected - realised) ^ 2), 0) AS squares,
    coalesce(sum(realised ^ 2) FILTER (WHERE expected IS NOT NULL), 0) AS naive,
    min(as_of_ns) AS first_ns, max(as_of_ns) AS last_ns
FROM judged GROUP BY name, target, horizon, day ORDER BY name, target, horizon, day
"""
)


MOST_JUDGED = 3_000
"""Predictions, newest first, that the figures of all models rest on, and that a table to take along holds."""
LEAST_DAYS = 5
"""Days below which no interval is given."""


class TrackRecordQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which predictions; empty for all. model : name, such as lstm; instrument : pattern; since, until : of as_of"""

    model: Word = ""
    instrument: Glob = ""
    target: Word = ""
    horizon: Word = ""
    since: When = ""
    until: When = ""


class TrackRecordPageQuery(TrackRecordQuery, frozen=True, forbid_unknown_fields=True):
    """A page of them, newest first. cursor : where the last answer ended"""

    limit: Annotated[int, Meta(ge=1, le=500)] = 50
    cursor: Cursor = ""


class PastPrediction(msgspec.Struct, frozen=True):
    """A prediction and its outcome. base : price at the prediction; direction, probability : the likeliest class

    outcome : price of the bar that the horizon leads to, null while it is pending; realised, expected : returns
    hit : whether the direction was right; null where there is no outcome, it did not move, or no side was taken
    """

    id: str
    instrument: str
    at: Ms
    horizon: str
    target: str
    name: str
    model: str
    base: float | None
    value: float | None
    direction: str
    probability: float | None
    outcome: float | None
    outcome_at: Ms | None
    realised: float | None
    expected: float | None
    hit: bool | None


class RecordPage(msgspec.Struct, frozen=True):
    """A page of the record. cursor : for the next one; empty at the end"""

    predictions: list[PastPrediction]
    cursor: str


class RecordFigure(msgspec.Struct, frozen=True):
    """A figure with its 95 % interval over days; null below five days."""

    value: float
    low: float | None
    high: float | None


class ModelRecord(msgspec.Struct, frozen=True):
    """A model's record. made, known : predictions, and those whose outcome is known; days : with one of these

    judged : those that took a side and moved; majority : share of the more frequent side among them
    rmse_ratio : root mean square error of the expected return over that of expecting none
    """

    name: str
    target: str
    horizon: str
    made: int
    known: int
    days: int
    judged: int
    first: Ms
    last: Ms
    hit_rate: RecordFigure | None
    majority: float | None
    rmse_ratio: RecordFigure | None


def _asked(call: Call, limit: int, at: str = "") -> dict[str, Any]:
    """The statement's parameters."""
    chosen: TrackRecordQuery = call.query
    after = place(at, int, str)
    return {
        "model": chosen.model,
        "target": chosen.target,
        "horizon": chosen.horizon,
        "since": nanoseconds(chosen.since, 0),
        "until": nanoseconds(chosen.until, LATEST_NS),
        "wanted": like([chosen.instrument or "*"]),
        "seen": seen_by(call.account),
        "begins": after is None,
        "after_ns": after[0] if after else 0,
        "after_id": after[1] if after else "",
        "limit": limit,
    }


async def _found(call: Call, bounds: str, statement: str, limit: int, at: str = "") -> Rows:
    """What a statement of the record gives; nothing where no prediction fits."""
    database, asked = call.services.database, _asked(call, limit, at)
    ((low, high),) = await database.rows(bounds, asked)
    if low is None:
        return []
    return await database.rows(statement, {**asked, "low_ns": low, "high_ns": high})


def _past(row: Any) -> PastPrediction:
    return PastPrediction(
        row.id, row.instrument, int(ms(row.as_of_ns) or 0), row.horizon, row.target, row.name, row.model, row.base,
        row.value, row.likeliest, row.probability, row.outcome, ms(row.outcome_ns), row.realised, row.expected, row.hit,
    )  # fmt: skip


async def listed(call: Call) -> RecordPage:
    """Predictions with their outcomes, newest first."""
    wanted: TrackRecordPageQuery = call.query
    rows = await _found(call, LISTED_BOUNDS, LISTED, wanted.limit, wanted.cursor)
    more = cursor((rows[-1].as_of_ns, rows[-1].id)) if len(rows) == wanted.limit else ""
    return RecordPage([_past(row) for row in rows], more)


async def models(call: Call) -> list[ModelRecord]:
    """How each model has done, by target and horizon, over 3,000 predictions that fit, as many of each."""
    rows = await _found(call, BY_DAY_BOUNDS, BY_DAY, MOST_JUDGED)
    return await asyncio.to_thread(judged, rows)


async def as_csv(call: Call) -> web.Response:
    """The newest 3,000 predictions that fit, as a table."""
    rows = await _found(call, LISTED_BOUNDS, LISTED, MOST_JUDGED)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(PastPrediction.__struct_fields__)
    writer.writerows([cell(each) for each in msgspec.structs.astuple(_past(row))] for row in rows)
    headers = {"Content-Disposition": 'attachment; filename="track-record.csv"'}
    return web.Response(body=text.getvalue().encode("utf-8", "replace"), content_type="text/csv", headers=headers)


def judged(rows: Rows) -> list[ModelRecord]:
    """Each model's figures. rows : of BY_DAY"""
    return [
        _judged(key, list(days)) for key, days in groupby(rows, key=lambda row: (row.name, row.target, row.horizon))
    ]


def _judged(key: tuple[str, str, str], days: list[Any]) -> ModelRecord:
    known = [row for row in days if row.known]
    sums = np.array([(row.judged, row.hits, row.errors, row.squares, row.naive) for row in known], dtype=np.float64)
    sides = sum(row.judged for row in days)
    rises = sum(row.rises for row in days)
    draws = drawn(len(known), min(len(known), _block(key[2]))) if len(known) >= LEAST_DAYS else None
    errors = sum(row.errors for row in days)
    return ModelRecord(
        *key,
        made=sum(row.made for row in days),
        known=sum(row.known for row in days),
        days=len(known),
        judged=sides,
        first=int(ms(min(row.first_ns for row in days)) or 0),
        last=int(ms(max(row.last_ns for row in days)) or 0),
        hit_rate=_figure(sums, draws, _hit_rate) if sides else None,
        majority=max(rises, sides - rises) / sides if sides else None,
        rmse_ratio=_figure(sums, draws, _rmse_ratio) if errors and sums[:, 4].sum() > 0.0 else None,
    )


def _block(horizon: str) -> int:
    """Days in a row that share an outcome's days: those of a daily horizon."""
    return max(1, int(horizon[:-1])) if horizon[-1:] == "d" and horizon[:-1].isdecimal() else 1


def _figure(sums: F8, draws: I8 | None, figure: Any) -> RecordFigure:
    if draws is None:
        return RecordFigure(figure(sums.sum(axis=0)), None, None)
    found = interval(sums, draws, figure)
    return RecordFigure(found["mean"], *(found[side] if np.isfinite(found[side]) else None for side in ("low", "high")))


def _hit_rate(total: F8) -> float:
    return float(total[1] / total[0])


def _rmse_ratio(total: F8) -> float:
    return float(np.sqrt(total[3] / total[4]))


ROUTES = [
    Route("GET", "/api/v1/track-record", listed, "Past predictions with what happened, newest first", page="signals",
          query=TrackRecordPageQuery, answer=RecordPage),
    Route("GET", "/api/v1/track-record/models", models, "How each model has done", page="signals",
          query=TrackRecordQuery, answer=list[ModelRecord]),
    Route("GET", "/api/v1/track-record/export.csv", as_csv, "Past predictions with what happened as a table",
          page="signals", query=TrackRecordQuery, media="text/csv"),
]  # fmt: skip
