"""Deliveries: what was sent to subscribers, what waits, and the dead letters."""

from typing import Annotated, Literal

import msgspec
import sqlalchemy as sa
from msgspec import Meta

from console.api.subscriptions import OF, own
from console.routing import Call, Route
from tapewatch.desk import delivery_store as outbox
from tapewatch.desk.delivery_store import Delivery, DeliveryState


class DeliveryQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which deliveries, newest first. before : number of the last one that was seen, 0 for the newest"""

    subscription: Annotated[str, Meta(max_length=32, pattern="^[0-9a-f]*$")] = ""
    state: DeliveryState | Literal[""] = ""
    before: Annotated[int, Meta(ge=0, le=2**53)] = 0
    limit: Annotated[int, Meta(ge=1, le=500)] = 100


async def listed(call: Call) -> list[Delivery]:
    """Deliveries of the account's subscriptions, newest first."""
    wanted: DeliveryQuery = call.query

    def work(session: sa.Connection) -> list[Delivery]:
        keys = tuple(each.id for each in own(call, session) if wanted.subscription in ("", each.id))
        query = outbox.DeliveryFilter(subscriptions=keys, state=wanted.state, before=wanted.before, limit=wanted.limit)
        return outbox.deliveries(session, query)

    return await call.services.database.run(work)


ROUTES = [
    Route(
        "GET",
        "/api/v1/deliveries",
        listed,
        "Deliveries, newest first",
        query=DeliveryQuery,
        answer=list[Delivery],
        **OF,
    )
]
