"""Coins: the newest ranking with what it rests on, and each coin's regime over time."""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from console.filters import Glob, Word
from console.recent import NS_PER_MS, NS_PER_S, Ms
from console.refusal import RefusedError
from console.routing import Call, Route


class RankingQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which ranking. name : empty for the one made last"""

    name: Word = ""


class Place(msgspec.Struct, frozen=True):
    """A ranked instrument, as the message tells it: probability to reach the target before the stop, and measures."""

    instrument: str
    place: int
    probability: float
    regime: str
    regimes: dict[str, str]
    hourly_return: float | None
    win_rate: float | None
    buys: float | None
    sells: float | None
    volatility: float | None
    volatility_level: float | None
    high_line: float | None
    low_line: float | None
    position: float | None
    averages: dict[str, float]
    volumes: dict[str, float]


class Ranking(msgspec.Struct, frozen=True):
    """A ranking. names : of all rankings there are; left_out : instruments without a place, with the reason"""

    name: str
    names: list[str]
    at: Ms | None
    horizon_s: int
    target_return: float
    stop_return: float
    model: str
    places: list[Place]
    left_out: dict[str, str]


class RegimeQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which history. hours : back from the newest ranking; name : of the ranking, empty for all"""

    instrument: Glob
    hours: Annotated[float, Meta(gt=0, le=24 * 31)] = 24.0
    name: Word = ""


class Regimes(msgspec.Struct, frozen=True):
    """A coin minute by minute. regimes : by horizon, 1 bull, -1 bear, 0 not assessed; place : null where left out"""

    at: list[Ms]
    probability: list[float | None]
    place: list[int | None]
    regimes: dict[str, list[int]]


_NAMES = """
WITH RECURSIVE every AS (
    (SELECT name FROM rankings ORDER BY name LIMIT 1)
    UNION ALL SELECT (SELECT name FROM rankings WHERE name > every.name ORDER BY name LIMIT 1) FROM every
    WHERE every.name IS NOT NULL
) SELECT name FROM every WHERE name IS NOT NULL
"""
_NEWEST = """
SELECT name, as_of_ns, id, horizon_s, target_return, stop_return, model FROM rankings
WHERE :name = '' OR name = :name ORDER BY as_of_ns DESC LIMIT 1
"""
_PLACES = """
SELECT i.name AS instrument, r.place, r.probability, r.regime, r.regimes, r.hourly_return, r.win_rate, r.buys, r.sells,
    r.volatility, r.volatility_level, r.high_line, r.low_line, r.position, r.averages, r.volumes, r.reason
FROM rankings r JOIN instruments i ON i.id = r.instrument_id WHERE r.as_of_ns = :at AND r.id = :id
ORDER BY r.place, i.name
"""
_HISTORY = """
SELECT r.as_of_ns, r.probability, r.place, r.regimes FROM rankings r JOIN instruments i ON i.id = r.instrument_id
WHERE i.name = :instrument AND (:name = '' OR r.name = :name) AND r.as_of_ns > :begin ORDER BY r.as_of_ns
"""


async def ranking(call: Call) -> Ranking:
    """The newest ranking of that name; without any, one with no places."""
    database = call.services.database
    names = [name for (name,) in await database.rows(_NAMES)]
    found = await database.rows(_NEWEST, {"name": call.query.name})
    if not found:
        return Ranking(call.query.name, names, None, 0, 0.0, 0.0, "", [], {})
    newest = found[0]
    rows = await database.rows(_PLACES, {"at": newest.as_of_ns, "id": newest.id})
    mine = [row for row in rows if call.account.sees(row.instrument)]
    return Ranking(
        newest.name, names, newest.as_of_ns // NS_PER_MS, newest.horizon_s, newest.target_return, newest.stop_return,
        newest.model, [Place(*row[:-1]) for row in mine if row.place is not None],
        {row.instrument: row.reason for row in mine if row.place is None},
    )  # fmt: skip


async def regimes(call: Call) -> Regimes:
    """What each ranking said of one coin."""
    asked: RegimeQuery = call.query
    call.see(asked.instrument)
    database = call.services.database
    found = await database.rows(_NEWEST, {"name": asked.name})
    if not found:
        raise RefusedError(404, "there is no ranking yet", "Run `tapewatch run desk`.")
    begin = int(found[0].as_of_ns) - int(asked.hours * 3600 * NS_PER_S)
    return charted(await database.rows(_HISTORY, {**msgspec.structs.asdict(asked), "begin": begin}))


def charted(rows: Sequence[Any]) -> Regimes:
    """Columns of rows of time, probability, place and regimes."""
    horizons = sorted({name for row in rows for name in row[3]}, key=lambda name: (len(name), name))
    signs = {"bull": 1, "bear": -1}
    return Regimes(
        [row[0] // NS_PER_MS for row in rows],
        [row[1] for row in rows],
        [row[2] for row in rows],
        {name: [signs.get(row[3].get(name, ""), 0) for row in rows] for name in horizons},
    )


ROUTES = [
    Route("GET", "/api/v1/rankings", ranking, "The newest ranking", page="signals", query=RankingQuery, answer=Ranking),
    Route("GET", "/api/v1/regimes", regimes, "A coin's regime and probability over time", page="signals",
          query=RegimeQuery, answer=Regimes),
]  # fmt: skip
