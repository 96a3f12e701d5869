"""The audit log: its entries, newest first, and whether its chain holds."""

import asyncio
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from console.routing import Call, Route
from tapewatch.proof import audit

Words = Annotated[str, Meta(max_length=200)]


class AuditQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which entries. who, subject : exactly; action : its beginning; before : only entries below this number"""

    who: Words = ""
    action: Words = ""
    subject: Words = ""
    before: Annotated[int, Meta(ge=0, le=2**53)] = 0
    limit: Annotated[int, Meta(ge=1, le=500)] = 100


class AuditPage(msgspec.Struct, frozen=True):
    """Entries, newest first. more : whether there are older ones that fit"""

    entries: list[audit.AuditEntry]
    more: bool


async def listed(call: Call) -> AuditPage:
    """Entries, newest first."""
    return await asyncio.to_thread(_page, call, call.query)


def _page(call: Call, asked: AuditQuery) -> AuditPage:
    found: list[audit.AuditEntry] = []
    for entry in reversed(audit.entries(audit.folder(call.services.settings.data_path))):
        fits = (
            (not asked.before or entry.sequence < asked.before)
            and asked.who in ("", entry.who)
            and entry.action.startswith(asked.action)
            and asked.subject in ("", entry.subject)
        )
        if fits and len(found) == asked.limit:
            return AuditPage(found, True)
        if fits:
            found.append(entry)
    return AuditPage(found, False)


async def verified(call: Call) -> audit.AuditReport:
    """Whether every entry is as it was written and none is missing."""
    return await asyncio.to_thread(audit.verify, audit.folder(call.services.settings.data_path))


def _route(path: str, handler: Any, summary: str, **more: Any) -> Route:
    return Route("GET", f"/api/v1{path}", handler, summary, role="approver", page="audit", **more)


ROUTES = [
    _route("/audit", listed, "Entries of the audit log", query=AuditQuery, answer=AuditPage),
    _route("/audit/verify", verified, "Whether the log's chain holds", answer=audit.AuditReport),
]
