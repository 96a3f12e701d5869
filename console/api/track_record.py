"""Track record: every past prediction with what happened, and how each model has done."""

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
from console.track_sql import BY_DAY, BY_DAY_BOUNDS, LISTED, LISTED_BOUNDS
from tapewatch.clock import LATEST_NS
from tapewatch.day_blocks import F8, I8, drawn, interval

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
