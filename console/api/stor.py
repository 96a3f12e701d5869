"""Suspicious transaction and order reports: drafted from an alert, written by people revision by revision, exported."""

import asyncio
import secrets
from typing import Annotated, Any, Literal

import msgspec
from aiohttp import web
from msgspec import Meta

from console.api.evidence import around, attachment, bundles_of, case_of, known
from console.filters import identity, seen_by
from console.refusal import RefusedError
from console.reports.evidence_report import when
from console.reports.pdf import pdf
from console.reports.stor import Stor, draft, missing
from console.reports.stor_text import as_xml, blocks
from console.routing import Call, Route
from tapewatch.rfc3339 import to_rfc3339

State = Literal["draft", "final"]


class Brief(msgspec.Struct, frozen=True):
    """A revision of a report without its content. who, at : made it"""

    id: str
    revision: int
    alert: str
    instrument: str
    state: State
    who: str
    at: str


class Draft(Brief, frozen=True):
    """A revision of a report. missing : what the template wants and it does not say"""

    missing: list[str]
    content: Stor


class StorQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many."""

    limit: Annotated[int, Meta(ge=1, le=500)] = 100


class WriteStorRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A new revision. expected : revision that was edited; final : nothing is changed after it (role approver)"""

    expected: Annotated[int, Meta(ge=0, le=2**31 - 2)]
    content: Stor
    final: bool = False


_COLUMNS = "d.id, d.revision, d.alert_id, d.instrument, d.state, d.who, d.at_ns"
_NEWEST = f"SELECT {_COLUMNS}, d.content FROM stor_drafts d WHERE d.id = :id ORDER BY d.revision DESC LIMIT 1"  # noqa: S608 - of constants alone
_HISTORY = f"SELECT {_COLUMNS} FROM stor_drafts d WHERE d.id = :id ORDER BY d.revision LIMIT 1000"  # noqa: S608 - of constants alone
_LIST = f"""
SELECT {_COLUMNS} FROM stor_drafts d
WHERE d.instrument LIKE ANY(:seen) AND (:alert = '' OR d.alert_id = :alert)
AND d.revision = (SELECT max(n.revision) FROM stor_drafts n WHERE n.id = d.id)
ORDER BY d.at_ns DESC, d.id LIMIT :limit
"""  # noqa: S608 - of constants alone
_ADD = """
INSERT INTO stor_drafts (id, revision, alert_id, instrument, state, who, at_ns, content)
VALUES (:id, :revision, :alert, :instrument, :state, :who, :at, cast(:content AS jsonb)) ON CONFLICT DO NOTHING
"""


async def make(call: Call) -> Draft:
    """Draft a report from an alert and its case."""
    found = await known(call)
    alert = found.alert
    bundles = [entry.bundle for entry in await bundles_of(call, alert.id)]
    content = draft(alert, found.name, await case_of(call, alert.id), await around(call, found), bundles)
    made = Draft(
        secrets.token_hex(16), 0, alert.id, alert.instrument, "draft", call.account.name, _now(call), missing(content),
        content,
    )  # fmt: skip
    await _add(call, made)
    return made


async def listed(call: Call) -> list[Brief]:
    """Reports at their newest revision, newest first."""
    return await _listed(call, "")


async def of_alert(call: Call) -> list[Brief]:
    """Reports of an alert."""
    return await _listed(call, (await known(call)).alert.id)


async def _listed(call: Call, alert: str) -> list[Brief]:
    limit = call.query.limit if isinstance(call.query, StorQuery) else 100
    bound = {"seen": seen_by(call.account), "alert": alert, "limit": limit}
    rows = await call.services.database.rows(_LIST, bound)
    return [_brief(row) for row in rows if call.account.sees(row[3])]


async def shown(call: Call) -> Draft:
    """A report at its newest revision; RefusedError 404 where there is none that the account may see."""
    rows = await call.services.database.rows(_NEWEST, {"id": identity(call.path["id"])})
    if not rows or not call.account.sees(rows[0][3]):
        raise RefusedError(404, "there is no such report")
    brief, content = _brief(rows[0]), msgspec.convert(rows[0][7], Stor)
    return Draft(**msgspec.structs.asdict(brief), missing=missing(content), content=content)


async def history(call: Call) -> list[Brief]:
    """Every revision, oldest first: who wrote when."""
    found = await shown(call)
    return [_brief(row) for row in await call.services.database.rows(_HISTORY, {"id": found.id})]


async def write(call: Call) -> Draft:
    """A new revision; RefusedError 409 where somebody else has written meanwhile, or where the report is final."""
    body: WriteStorRequest = call.body
    before = await shown(call)
    if body.final and not call.account.is_at_least("approver"):
        raise RefusedError(403, "this takes the role approver", "Ask an approver to make it final.")
    if before.state == "final":
        raise RefusedError(409, "the report is final", "Draft another one from the alert.")
    if before.revision != body.expected:
        raise RefusedError(409, f"{before.who} has written revision {before.revision} meanwhile", "Load it again.")
    lacks = missing(body.content)
    if body.final and lacks:
        raise RefusedError(422, f"not complete: {', '.join(lacks)}", "Fill it in first.")
    content = msgspec.structs.replace(body.content, alert=before.content.alert, case=before.content.case)
    state: State = "final" if body.final else "draft"
    made = Draft(
        before.id, before.revision + 1, before.alert, before.instrument, state, call.account.name, _now(call), lacks,
        content,
    )  # fmt: skip
    if not await _add(call, made):
        raise RefusedError(409, "somebody else has written meanwhile", "Load it again.")
    return made


async def xml(call: Call) -> web.Response:
    """The newest revision as XML."""
    found = await shown(call)
    return attachment(as_xml(found.content, found.id, found.revision, found.at), "application/xml", _name(found, "xml"))


async def document(call: Call) -> web.Response:
    """The newest revision as a PDF."""
    found = await shown(call)
    told = f"{'Final' if found.state == 'final' else 'Draft'}, by {found.who} at {when(found.at)}."
    made = blocks(found.content, found.id, found.revision, told)
    data = await asyncio.to_thread(lambda: pdf("Suspicious transaction and order report", made, told))
    return attachment(data, "application/pdf", _name(found, "pdf"))


async def _add(call: Call, made: Draft) -> int:
    bound = {
        "id": made.id, "revision": made.revision, "alert": made.alert, "instrument": made.instrument,
        "state": made.state, "who": made.who, "at": call.services.clock.now(),
        "content": msgspec.json.encode(made.content).decode(),
    }  # fmt: skip
    return await call.services.database.execute(_ADD, bound)


def _brief(row: Any) -> Brief:
    id_, revision, alert, instrument, state, who, at = row[:7]
    return Brief(id_, revision, alert, instrument, state, who, to_rfc3339(at))


def _name(found: Draft, ending: str) -> str:
    return f"stor-{found.id}-{found.revision}.{ending}"


def _now(call: Call) -> str:
    return to_rfc3339(call.services.clock.now())


_OF = "/api/v1/stor/{id}"

ROUTES = [
    Route(
        "POST", "/api/v1/alerts/{id}/stor", make, "Draft a suspicious transaction and order report", role="analyst",
        page="cases", answer=Draft, audit="stor.draft",
    ),
    Route("GET", "/api/v1/alerts/{id}/stor", of_alert, "Reports of an alert", role="analyst", page="cases",
          answer=list[Brief]),
    Route("GET", "/api/v1/stor", listed, "Reports, newest first", role="analyst", page="cases", query=StorQuery,
          answer=list[Brief]),
    Route("GET", _OF, shown, "A report at its newest revision", role="analyst", page="cases", answer=Draft,
          audit="stor.view"),
    Route("GET", f"{_OF}/history", history, "Its revisions", role="analyst", page="cases", answer=list[Brief]),
    Route("PUT", _OF, write, "Write a new revision", role="analyst", page="cases", body=WriteStorRequest, answer=Draft,
          audit="stor.write"),
    Route("GET", f"{_OF}/report.xml", xml, "The newest revision as XML", role="analyst", page="cases",
          media="application/xml", audit="stor.export"),
    Route("GET", f"{_OF}/report.pdf", document, "The newest revision as a PDF", role="analyst", page="cases",
          media="application/pdf", audit="stor.export"),
]  # fmt: skip
