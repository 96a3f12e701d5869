"""Instruments: which there are, and their reference data."""

from typing import Annotated

import msgspec
from msgspec import Meta

from console.routing import Call, Route


class Wanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which instruments. search : part of id or name; limit : at most so many"""

    search: Annotated[str, Meta(max_length=100)] = ""
    limit: Annotated[int, Meta(ge=1, le=5000)] = 1000


class Instrument(msgspec.Struct, frozen=True):
    """An instrument. kind : its class, such as spot or equity"""

    id: str
    name: str
    currency: str
    kind: str


_LIST = """
SELECT name, coalesce(long_name, ''), coalesce(currency, ''), coalesce(kind, '') FROM instruments
WHERE id > 0 AND (:search = '' OR strpos(lower(name || ' ' || coalesce(long_name, '')), lower(:search)) > 0)
ORDER BY name LIMIT :limit
"""


async def listed(call: Call) -> list[Instrument]:
    """Instruments that the account may see, by id."""
    wanted: Wanted = call.query
    rows = await call.services.database.rows(_LIST, {"search": wanted.search, "limit": wanted.limit})
    return [Instrument(*map(str, row)) for row in rows if call.account.sees(row[0])]


ROUTES = [
    Route("GET", "/api/v1/instruments", listed, "Instruments by id", query=Wanted, answer=list[Instrument]),
]
