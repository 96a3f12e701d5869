"""Instruments: which there are, their reference data, and what is known of each."""

from typing import Annotated

import msgspec
from msgspec import Meta

from console.filters import Word, seen_by
from console.routing import Call, Route
from console.spans import numbered


class InstrumentQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which instruments. search : part of id or name; limit : at most so many"""

    search: Word = ""
    limit: Annotated[int, Meta(ge=1, le=5000)] = 1000


class Instrument(msgspec.Struct, frozen=True):
    """An instrument. kind : its class, such as spot or equity"""

    id: str
    name: str
    currency: str
    kind: str


class InstrumentView(msgspec.Struct, frozen=True):
    """One instrument, and what can be drawn of it. features : names; detectors : that have given scores lately"""

    instrument: Instrument
    features: list[str]
    detectors: list[str]


_COLUMNS = "name, coalesce(long_name, ''), coalesce(currency, ''), coalesce(kind, '')"
_LIST = f"""
SELECT {_COLUMNS} FROM instruments WHERE id > 0 AND name LIKE ANY(:seen)
AND (:search = '' OR strpos(lower(name || ' ' || coalesce(long_name, '')), lower(:search)) > 0)
ORDER BY name LIMIT :limit
"""  # noqa: S608 - of constants alone
_ONE = f"SELECT {_COLUMNS} FROM instruments WHERE id = :number"  # noqa: S608 - of constants alone
_FEATURES = """
SELECT attname FROM pg_attribute WHERE attrelid = cast('features' AS regclass) AND attnum > 0 AND NOT attisdropped
AND atttypid = cast('real' AS regtype) ORDER BY attnum
"""
_DETECTORS = "SELECT DISTINCT detector FROM score_models ORDER BY detector"


async def listed(call: Call) -> list[Instrument]:
    """Instruments that the account may see, by id."""
    wanted: InstrumentQuery = call.query
    rows = await call.services.database.rows(
        _LIST, {"search": wanted.search, "limit": wanted.limit, "seen": seen_by(call.account)}
    )
    return [Instrument(*map(str, row)) for row in rows if call.account.sees(row[0])]


async def shown(call: Call) -> InstrumentView:
    """One instrument."""
    number = await numbered(call)
    database = call.services.database
    rows = await database.rows(_ONE, {"number": number})
    features = [row[0] for row in await database.rows(_FEATURES)]
    return InstrumentView(Instrument(*map(str, rows[0])), features, [row[0] for row in await database.rows(_DETECTORS)])


ROUTES = [
    Route("GET", "/api/v1/instruments", listed, "Instruments by id", query=InstrumentQuery, answer=list[Instrument]),
    Route("GET", "/api/v1/instruments/{id}", shown, "One instrument", answer=InstrumentView),
]
