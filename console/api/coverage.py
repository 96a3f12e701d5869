"""Coverage: what of a day was watched, instrument by instrument, and trades against the venues' own totals."""

from typing import Annotated

import msgspec
import sqlalchemy as sa
from msgspec import Meta

from console.filters import Glob
from console.refusal import RefusedError
from console.routing import Call, Route
from tapewatch.desk import coverage
from tapewatch.desk.coverage import Day
from tapewatch.errors import TapewatchError
from tapewatch.rfc3339 import to_rfc3339


class CoverageQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which record. day : UTC, empty for today; instrument : one id, empty for all; totals : the venues' totals too"""

    day: Annotated[str, Meta(pattern="^([0-9]{4}-[0-9]{2}-[0-9]{2})?$")] = ""
    instrument: Glob = ""
    totals: bool = False


async def shown(call: Call) -> Day:
    """The record of a day, of the instruments that the account may see."""
    wanted: CoverageQuery = call.query
    day = wanted.day or to_rfc3339(call.services.clock.now())[:10]
    if wanted.instrument:
        call.see(wanted.instrument)

    def read(session: sa.Connection) -> Day:
        session.execute(sa.text("SET TRANSACTION READ ONLY"))
        session.execute(sa.text("SET LOCAL statement_timeout = '10s'"))
        return coverage.record(session, day, wanted.instrument, wanted.totals)

    try:
        coverage.day_ns(day)
    except TapewatchError as error:
        raise RefusedError(422, error.message, error.hint) from error
    try:
        found = await call.services.database.run(read)
    except sa.exc.OperationalError as error:
        if getattr(error.orig, "pgcode", "") != _CANCELLED:
            raise
        raise RefusedError(503, "that reads too much", "Ask for one instrument, or without the totals.") from error
    return Day(found.day, tuple(each for each in found.instruments if call.account.sees(each.instrument)))


_CANCELLED = "57014"
"""PostgreSQL's code of a statement that took too long."""

ROUTES = [
    Route(
        "GET", "/api/v1/coverage", shown, "What of a day was watched, and trades against venue totals",
        page="coverage", query=CoverageQuery, answer=Day,
    ),
]  # fmt: skip
