"""Subscriptions: who is told of which alerts, and what was sent. An account sees its own, an administrator all."""

from collections.abc import Callable
from typing import Annotated, TypedDict, TypeVar

import msgspec
import sqlalchemy as sa
from msgspec import Meta

from console.app import record
from console.filters import When, nanoseconds
from console.identity import Role
from console.refusal import RefusedError
from console.routing import Call, Route
from tapewatch.clock import NANOS
from tapewatch.desk import delivery_store as outbox
from tapewatch.desk import subscription_store as store
from tapewatch.desk.subscription_store import NewSubscription
from tapewatch.desk.subscriptions import Filter, Kind, Name, Pace, State, Subscription, Target, check_target
from tapewatch.errors import TapewatchError
from tapewatch.rfc3339 import to_rfc3339
from tapewatch.security.secret_box import SecretBox, secret_box

RESOLVE_S = 5.0

T = TypeVar("T")


class SubscriptionResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A subscription as it stands, without its secrets. Times are RFC 3339, empty where there is none.

    target : its address, shortened; deliveries : how many in each state
    failing_since : nothing got through since then; held_until : the receiver asked for a pause
    """

    id: str
    name: str
    kind: Kind
    target: str
    filter: Filter
    pace: Pace
    state: State
    reason: str
    created: str
    created_by: str
    failing_since: str
    held_until: str
    deliveries: dict[str, int]


class CreateSubscriptionResponse(msgspec.Struct, frozen=True):
    """A new subscription. secret : of its webhooks, shown this once; empty for other kinds."""

    subscription: SubscriptionResponse
    secret: str


class UpdateSubscriptionRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What changes; what is left out stays. target : the whole address"""

    name: Name | None = None
    target: Target | None = None
    filter: Filter | None = None
    pace: Pace | None = None


class SubscriptionActionRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The reason given."""

    why: Annotated[str, Meta(max_length=1000, pattern="^[^\\x00]*$")] = ""


class Rotation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long the old secret signs on, hours."""

    overlap_hours: Annotated[float, Meta(ge=0, le=2160)] = 24.0


class Secret(msgspec.Struct, frozen=True):
    """A new secret, shown this once."""

    secret: str


class Range(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is sent again: messages made from `since` to `until` (exclusive; empty is now); dead : dead letters only."""

    since: When
    until: When = ""
    dead: bool = False


class ReplayResponse(msgspec.Struct, frozen=True):
    """How many messages go out again."""

    messages: int


class MessageResponse(msgspec.Struct, frozen=True):
    """The id of a message that waits to be sent."""

    message_id: str


async def listed(call: Call) -> list[SubscriptionResponse]:
    """The account's subscriptions, by name."""

    def work(session: sa.Connection) -> list[SubscriptionResponse]:
        counted = outbox.counts(session)
        return [_shown(each, counted) for each in own(call, session)]

    return await call.services.database.run(work)


async def made(call: Call) -> CreateSubscriptionResponse:
    """Make a subscription, for what the account may see."""
    new: NewSubscription = call.body
    await _reachable(call, new.kind, new.target)

    def work(session: sa.Connection) -> CreateSubscriptionResponse:
        box, now = _box(call), call.services.clock.now()
        found, secret = store.add(session, box, new, call.account.name, now, call.account.instruments)
        return CreateSubscriptionResponse(_shown(found, {}), secret)

    answer = await _refusing(call, work)
    shown = answer.subscription
    await _record(call, "add", shown.id, name=shown.name, kind=shown.kind, target=shown.target)
    return answer


async def one(call: Call) -> SubscriptionResponse:
    """One subscription."""
    return await call.services.database.run(lambda session: _shown(_mine(call, session), outbox.counts(session)))


async def changed(call: Call) -> SubscriptionResponse:
    """Change a subscription. Its messages that wait go to the new address."""
    change: UpdateSubscriptionRequest = call.body
    before = await call.services.database.run(lambda session: _mine(call, session))
    if change.target is not None:
        await _reachable(call, before.kind, change.target)

    def work(session: sa.Connection) -> SubscriptionResponse:
        fields = msgspec.structs.asdict(change)
        key, now = _mine(call, session).id, call.services.clock.now()
        return _shown(store.edit(session, _box(call), key, now, **fields), outbox.counts(session))

    answer = await _refusing(call, work)
    told = {name: msgspec.to_builtins(value) for name, value in msgspec.structs.asdict(change).items() if value}
    await _record(call, "edit", answer.id, **(told | {"target": answer.target}))
    return answer


async def disabled(call: Call) -> SubscriptionResponse:
    """Send nothing more; what waits is kept."""
    why: SubscriptionActionRequest = call.body
    reason = why.why or f"disabled by {call.account.name}"
    return await _switched(call, "disable", lambda session, key, now: store.disable(session, key, reason, now))


async def enabled(call: Call) -> SubscriptionResponse:
    """Send again, what waits first."""
    return await _switched(call, "enable", store.enable)


async def _switched(
    call: Call, act: str, switch: Callable[[sa.Connection, str, int], Subscription]
) -> SubscriptionResponse:
    """Disable or enable."""

    def work(session: sa.Connection) -> SubscriptionResponse:
        found = switch(session, _mine(call, session).id, call.services.clock.now())
        return _shown(found, outbox.counts(session))

    answer = await _refusing(call, work)
    await _record(call, act, answer.id, name=answer.name, why=call.body.why)
    return answer


async def rotated(call: Call) -> Secret:
    """Make a new webhook secret, shown this once; the old one signs on for a while."""
    rotation: Rotation = call.body
    overlap = int(rotation.overlap_hours * 3600) * NANOS

    def work(session: sa.Connection) -> tuple[str, str]:
        key = _mine(call, session).id
        return key, store.rotate(session, _box(call), key, overlap, call.services.clock.now())

    key, secret = await _refusing(call, work)
    await _record(call, "rotate", key, overlap_hours=rotation.overlap_hours)
    return Secret(secret)


async def replayed(call: Call) -> ReplayResponse:
    """Send a range again, under the same message ids."""
    body: Range = call.body
    now = call.services.clock.now()
    since, until = nanoseconds(body.since, 0), nanoseconds(body.until, now)
    states = ("dead",) if body.dead else ("delivered", "dead")

    def work(session: sa.Connection) -> tuple[str, int]:
        key = _mine(call, session).id
        return key, outbox.replay(session, key, since, until, now, states)

    key, count = await _refusing(call, work)
    await _record(call, "replay", key, since=body.since, until=body.until, dead=body.dead, messages=count)
    return ReplayResponse(count)


async def tested(call: Call) -> MessageResponse:
    """Send a test message."""

    def work(session: sa.Connection) -> tuple[str, str]:
        key = _mine(call, session).id
        return key, outbox.send_test(session, key, call.account.name, call.services.clock.now())

    key, message = await _refusing(call, work)
    await _record(call, "test", key, message=message)
    return MessageResponse(message)


def own(call: Call, session: sa.Connection) -> list[Subscription]:
    """Subscriptions that the account may see: its own, for an administrator all."""
    found = store.listed(session)
    return [each for each in found if call.account.role == "admin" or each.created_by == call.account.name]


def _mine(call: Call, session: sa.Connection) -> Subscription:
    """The subscription of the path; RefusedError 404 where the account may not see it."""
    found = next((each for each in own(call, session) if each.id == call.path["id"]), None)
    if found is None:
        raise RefusedError(404, "there is no such subscription")
    return found


async def _refusing(call: Call, work: Callable[[sa.Connection], T]) -> T:
    """Work in a transaction; what the store refuses, the caller is told."""

    def refused(session: sa.Connection) -> T:
        try:
            return work(session)
        except TapewatchError as error:
            raise RefusedError(409, error.message, error.hint) from error

    return await call.services.database.run(refused)


async def _reachable(call: Call, kind: Kind, target: str) -> None:
    """RefusedError where the address is none of its kind, or leads into the operator's network."""
    from tapewatch.security.guarded_http import GuardedHttpClient, HttpRequestError

    try:
        check_target(kind, target)
    except TapewatchError as error:
        raise RefusedError(422, error.message, error.hint) from error
    if kind != "webhook":
        return
    notify = call.services.settings.notify
    try:
        await GuardedHttpClient(notify.allow_networks, plain=notify.allow_http, timeout_s=RESOLVE_S).judge(target)
    except HttpRequestError as error:
        # A name that nobody knows yet may come; where it leads is judged again at every delivery.
        if error.reason == "refused":
            raise RefusedError(422, f"the address is refused: {error.detail}", error.hint) from error


def _box(call: Call) -> SecretBox:
    return secret_box(call.services.settings)


async def _record(call: Call, act: str, key: str, why: str = "", **details: object) -> None:
    """Note who did what."""
    await record(call.services, call.account, f"subscriptions.{act}", key, why, details)


def _shown(found: Subscription, counted: dict[str, dict[str, int]]) -> SubscriptionResponse:
    return SubscriptionResponse(
        id=found.id,
        name=found.name,
        kind=found.kind,
        target=found.target,
        filter=found.filter,
        pace=found.pace,
        state=found.state,
        reason=found.reason,
        created=_when(found.created_ns),
        created_by=found.created_by,
        failing_since=_when(found.failing_since_ns),
        held_until=_when(found.hold_until_ns),
        deliveries=counted.get(found.id, {}),
    )


def _when(at_ns: int) -> str:
    return to_rfc3339(at_ns) if at_ns else ""


class Seat(TypedDict):
    """Whose operations these are."""

    role: Role
    page: str


OF: Seat = {"role": "analyst", "page": "subscriptions"}

ROUTES = [
    Route("GET", "/api/v1/subscriptions", listed, "Your subscriptions", answer=list[SubscriptionResponse], **OF),
    Route(
        "POST",
        "/api/v1/subscriptions",
        made,
        "Make a subscription",
        body=NewSubscription,
        answer=CreateSubscriptionResponse,
        **OF,
    ),
    Route("GET", "/api/v1/subscriptions/{id}", one, "One subscription", answer=SubscriptionResponse, **OF),
    Route(
        "PATCH",
        "/api/v1/subscriptions/{id}",
        changed,
        "Change a subscription",
        body=UpdateSubscriptionRequest,
        answer=SubscriptionResponse,
        **OF,
    ),
    Route(
        "POST",
        "/api/v1/subscriptions/{id}/disable",
        disabled,
        "Send nothing more",
        body=SubscriptionActionRequest,
        answer=SubscriptionResponse,
        **OF,
    ),
    Route(
        "POST",
        "/api/v1/subscriptions/{id}/enable",
        enabled,
        "Send again",
        body=SubscriptionActionRequest,
        answer=SubscriptionResponse,
        **OF,
    ),
    Route("POST", "/api/v1/subscriptions/{id}/rotate", rotated, "A new secret", body=Rotation, answer=Secret, **OF),
    Route(
        "POST",
        "/api/v1/subscriptions/{id}/replay",
        replayed,
        "Send a range again",
        body=Range,
        answer=ReplayResponse,
        **OF,
    ),
    Route(
        "POST",
        "/api/v1/subscriptions/{id}/test",
        tested,
        "Send a test",
        body=SubscriptionActionRequest,
        answer=MessageResponse,
        **OF,
    ),
]
