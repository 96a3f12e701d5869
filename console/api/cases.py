"""Cases: the queue, one case with its history, and what people tell the case stage; one case at a time or many."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from console.filters import Cursor, Glob, MessageId, Word, cursor, facets, identity, like, place, seen_by
from console.refusal import RefusedError
from console.routing import Call, Route
from console.services import Services
from tapewatch.contract.case_messages import CaseState, Disposition
from tapewatch.contract.messages import Case, CaseAnswer, CaseCommand
from tapewatch.desk.case_client import CaseClient, command
from tapewatch.errors import TapewatchError

Action = Literal["assign", "review", "escalate", "note", "close", "approve", "reject", "reopen"]
BY_APPROVER = frozenset({"approve", "reject"})
AT_ONCE = 8
_NEEDS_WHY = frozenset({"escalate", "note", "close", "reject", "reopen"})


class CaseQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which cases. A list allows several.

    owner : account; nobody : nobody has it; closing : a close waits for approval
    instrument : pattern with * and ?; search : part of instrument or neighbourhood
    """

    state: tuple[CaseState, ...] = ()
    owner: Word = ""
    nobody: bool = False
    closing: bool = False
    priority: Annotated[int, Meta(ge=0, le=4)] = 0
    instrument: Glob = ""
    search: Word = ""
    limit: Annotated[int, Meta(ge=1, le=500)] = 100
    cursor: Cursor = ""


class QueuedCase(msgspec.Struct, frozen=True):
    """A case in the queue. scenarios : of its alerts; closing : who wants to close it, empty for nobody"""

    id: str
    revision: int
    instrument: str
    instruments: list[str]
    neighbourhood: str
    state: str
    disposition: str
    closing: str
    owner: str
    risk: float
    priority: int
    opened: str
    updated: str
    alerts: int
    scenarios: list[str]


class CaseQueue(msgspec.Struct, frozen=True):
    """A page of the queue. total, counts : of everything that fits; next : of the next page, empty at the end."""

    cases: list[QueuedCase]
    total: int
    counts: dict[str, dict[str, int]]
    next: str


class CaseView(msgspec.Struct, frozen=True):
    """A case with what its alerts say, by alert id."""

    case: Case
    sentences: dict[str, str]


class CaseCommandRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to do with a case.

    why : note or reason; owner : of `assign`, empty for nobody; disposition : of `close`
    expected : revision that the account saw, -1 for whatever there is
    id : of the command; the same one again changes nothing and finds its answer. Empty for a new one
    """

    action: Action
    why: Annotated[str, Meta(max_length=4000)] = ""
    owner: Annotated[str, Meta(max_length=100)] = ""
    disposition: Disposition | None = None
    expected: Annotated[int, Meta(ge=-1, le=2**31 - 1)] = -1
    id: Annotated[str, Meta(pattern="^([0-9a-f]{32})?$")] = ""


class BulkCaseCommandRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The same for many cases."""

    cases: Annotated[list[MessageId], Meta(min_length=1, max_length=100)]
    action: Action
    why: Annotated[str, Meta(max_length=4000)] = ""
    owner: Annotated[str, Meta(max_length=100)] = ""
    disposition: Disposition | None = None


class Outcome(msgspec.Struct, frozen=True):
    """What became of a command. reason : why it was refused, in words; revision : of the case, -1 for none"""

    case: str
    accepted: bool
    reason: str
    revision: int


_INSTRUMENTS = "jsonb_array_elements_text(m.message -> 'instruments')"
_FROM = """
FROM cases c JOIN instruments i ON i.id = c.instrument_id JOIN case_history m ON m.id = c.id AND m.revision = c.revision
"""
_WHERE = f"""
WHERE i.name LIKE ANY(:seen) AND NOT EXISTS (SELECT FROM {_INSTRUMENTS} n WHERE NOT n LIKE ANY(:seen))
AND (:states = '{{}}' OR c.state = ANY(:states)) AND (:owner = '' OR c.owner = :owner)
AND (NOT :nobody OR c.owner = '') AND (NOT :closing OR coalesce(jsonb_typeof(c.closing), 'null') = 'object')
AND (:priority = 0 OR c.priority = :priority)
AND (:instrument = '' OR EXISTS (SELECT FROM {_INSTRUMENTS} n WHERE n LIKE :instrument))
AND (:search = '' OR strpos(lower(i.name || ' ' || c.neighbourhood), lower(:search)) > 0)
"""  # noqa: S608 - of constants alone
_KEYS = ("CASE WHEN c.state = 'closed' THEN 0 ELSE 1 END", "5 - c.priority", "c.risk", "c.updated_ns", "c.id")
_KINDS: tuple[Any, ...] = (int, int, float, int, str)
_LIST = f"""SELECT m.message, {", ".join(_KEYS)} {_FROM} {_WHERE}"""
_SORTS = ("state", "owner", "priority")
_COUNTS = f"""
SELECT c.state, c.owner, cast(c.priority AS text), grouping(c.state, c.owner, c.priority), count(*) {_FROM} {_WHERE}
GROUP BY GROUPING SETS ((c.state), (c.owner), (c.priority), ())
"""


async def listed(call: Call) -> CaseQueue:
    """The queue: open cases by priority and risk, closed ones last."""
    wanted: CaseQuery = call.query
    bound = {
        "seen": seen_by(call.account),
        "states": list(wanted.state),
        "owner": wanted.owner,
        "nobody": wanted.nobody,
        "closing": wanted.closing,
        "priority": wanted.priority,
        "instrument": like([wanted.instrument])[0],
        "search": wanted.search,
    }
    after, condition, places = place(wanted.cursor, *_KINDS), "", {}
    if after is not None:
        places = {f"p{index}": value for index, value in enumerate(after)}
        condition = f"AND ({', '.join(_KEYS)}) < ({', '.join(f':{name}' for name in places)})"
    ordered = ", ".join(f"{key} DESC" for key in _KEYS)
    database = call.services.database
    rows = await database.rows(
        f"{_LIST} {condition} ORDER BY {ordered} LIMIT :limit", bound | places | {"limit": wanted.limit}
    )
    total, counts = facets(await database.rows(_COUNTS, bound), _SORTS)
    more = cursor(rows[-1][1:]) if len(rows) == wanted.limit else ""
    return CaseQueue([_queued(msgspec.convert(row[0], Case)) for row in rows], total, counts, more)


def _queued(case: Case) -> QueuedCase:
    return QueuedCase(
        id=case.id,
        revision=case.revision,
        instrument=case.instrument,
        instruments=list(case.instruments),
        neighbourhood=case.neighbourhood,
        state=case.state,
        disposition=case.disposition,
        closing=case.closing.who if case.closing else "",
        owner=case.owner,
        risk=case.risk,
        priority=case.priority,
        opened=case.opened,
        updated=case.updated,
        alerts=len(case.alerts),
        scenarios=sorted({alert.scenario for alert in case.alerts}),
    )


async def shown(call: Call) -> CaseView:
    """One case with its alerts and its history."""
    case = await seen(call, identity(call.path["id"]))
    rows = await call.services.database.rows(
        "SELECT id, sentence FROM alerts WHERE id = ANY(:ids)", {"ids": [alert.id for alert in case.alerts]}
    )
    return CaseView(case, {row[0]: row[1] for row in rows})


async def seen(call: Call, id_: str) -> Case:
    """A case; RefusedError 404 where there is none whose instruments the account may all see."""
    rows = await call.services.database.rows(f"SELECT m.message {_FROM} WHERE c.id = :id", {"id": id_})
    case = msgspec.convert(rows[0][0], Case) if rows else None
    if case is None or not all(map(call.account.sees, (case.instrument, *case.instruments))):
        raise RefusedError(404, "there is no such case")
    return case


async def told(call: Call) -> Outcome:
    """Tell one case something; RefusedError 409 where the case stage refuses it, in its words."""
    body: CaseCommandRequest = call.body
    _check(call, body.action, body.why, body.disposition)
    case = await seen(call, identity(call.path["id"]))
    fields = {"expected": body.expected} | ({"id": body.id} if body.id else {})
    outcome = _outcome(await send(call, order(call, case.id, body, **fields)))
    if not outcome.accepted:
        raise RefusedError(409, outcome.reason, "Look at the case again.")
    return outcome


async def told_many(call: Call) -> list[Outcome]:
    """Tell many cases the same; each has its own answer."""
    body: BulkCaseCommandRequest = call.body
    _check(call, body.action, body.why, body.disposition)
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(id_: str) -> Outcome:
        async with gate:
            try:
                case = await seen(call, id_)
                return _outcome(await send(call, order(call, case.id, body)))
            except RefusedError as refused:
                return Outcome(id_, False, refused.reason, -1)
            except TapewatchError as error:
                return Outcome(id_, False, error.message, -1)

    return list(await asyncio.gather(*(one(id_) for id_ in dict.fromkeys(body.cases))))


def _check(call: Call, action: str, why: str, disposition: str | None) -> None:
    """RefusedError for what the case stage would refuse whatever the case's state is."""
    if action in BY_APPROVER and not call.account.is_at_least("approver"):
        raise RefusedError(403, "this takes the role approver", "Ask an approver.")
    if action in _NEEDS_WHY and not why.strip():
        raise RefusedError(422, f"{action} needs a reason in `why`")
    if action == "close" and disposition is None:
        raise RefusedError(422, "close needs a disposition")


def order(call: Call, case: str, body: CaseCommandRequest | BulkCaseCommandRequest, **fields: Any) -> CaseCommand:
    """The command as the stage takes it."""
    return command(
        body.action, call.account.name, clock=call.services.clock, case=case, why=body.why, owner=body.owner,
        disposition=body.disposition, **fields,
    )  # fmt: skip


async def send(call: Call, given: CaseCommand) -> CaseAnswer:
    """Send a command and wait for its answer, in a thread; the client writes the audit log."""
    client: CaseClient = call.services.parts["cases"]
    return await asyncio.to_thread(client.send, given)


def _outcome(answer: CaseAnswer) -> Outcome:
    return Outcome(answer.case, answer.accepted, answer.reason, answer.revision)


@asynccontextmanager
async def client_of(services: Services) -> AsyncIterator[CaseClient]:
    """One client of the case stage for all calls; it connects with the first command."""
    client = CaseClient(services.settings, services.clock)
    try:
        yield client
    finally:
        await asyncio.to_thread(client.close)


PARTS = {"cases": client_of}

ROUTES = [
    Route("GET", "/api/v1/cases", listed, "The queue of cases", page="cases", query=CaseQuery, answer=CaseQueue),
    Route(
        "POST", "/api/v1/cases/commands", told_many, "Tell many cases the same", role="analyst", page="cases",
        body=BulkCaseCommandRequest, answer=list[Outcome],
    ),
    Route("GET", "/api/v1/cases/{id}", shown, "A case", page="cases", answer=CaseView),
    Route(
        "POST", "/api/v1/cases/{id}/commands", told, "Assign, review, escalate, note, close, approve, reject, reopen",
        role="analyst", page="cases", body=CaseCommandRequest, answer=Outcome,
    ),
]  # fmt: skip
