"""Evidence of an alert: verified, reported, and taken along as its bundle.

`tapewatch verify` as a process of its own, one at a time: the console itself computes nothing of the engine's.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import msgspec
from aiohttp import web

from console.api import moments
from console.database import Database
from console.filters import identity
from console.refusal import RefusedError
from console.reports import evidence_report as report
from console.reports.blocks import POLICY, page
from console.reports.evidence_report import VerificationResult
from console.reports.pdf import pdf
from console.routing import Call, Route
from console.services import Services
from tapewatch.clock import Clock
from tapewatch.contract.messages import Alert, Case
from tapewatch.errors import TapewatchError
from tapewatch.proof import audit, evidence
from tapewatch.proof.evidence import Archive, Entry
from tapewatch.rfc3339 import from_rfc3339, to_rfc3339
from tapewatch.settings import Settings
from tapewatch.settings.environment import environment_of

TIMEOUT_S = 120.0
WAITING = 8
"""Verifications that wait for their turn, at most."""

_KEEP = """
INSERT INTO evidence_proofs (alert_id, at_ns, who, identical, proof)
VALUES (:alert, :at, :who, :identical, cast(:proof AS jsonb))
"""
_LAST = "SELECT proof FROM evidence_proofs WHERE alert_id = :alert ORDER BY id DESC LIMIT 1"


@dataclass(slots=True)
class Verifier:
    """Runs verifications and keeps their results. waiting : alerts that are being verified, with their results to be"""

    settings: Settings
    database: Database
    clock: Clock
    turn: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
    waiting: dict[str, asyncio.Task[VerificationResult]] = field(default_factory=dict)

    async def verified(self, alert: str, who: str) -> VerificationResult:
        """The result of a verification; who asks while one runs gets the same. TapewatchError where too many wait."""
        task = self.waiting.get(alert)
        if task is None:
            if len(self.waiting) >= WAITING:
                raise TapewatchError("too many verifications wait", "Try again in a minute.")
            task = asyncio.create_task(self._verify(alert, who))
            self.waiting[alert] = task
            task.add_done_callback(lambda _: self.waiting.pop(alert, None))
        return await asyncio.shield(task)

    async def last(self, alert: str) -> VerificationResult | None:
        """The newest kept result."""
        rows = await self.database.rows(_LAST, {"alert": alert})
        return msgspec.convert(rows[0][0], VerificationResult) if rows else None

    async def end(self) -> None:
        """Stop what is running."""
        tasks = list(self.waiting.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _verify(self, alert: str, who: str) -> VerificationResult:
        async with self.turn:
            proof = await self._run(alert)
        now = self.clock.now()
        proof = msgspec.structs.replace(proof, at=to_rfc3339(now), who=who)
        if not proof.problem:
            kept = {"alert": alert, "at": now, "who": who, "identical": proof.identical}
            text = msgspec.json.encode(proof).decode().replace("\\u0000", "?")
            await self.database.execute(_KEEP, kept | {"proof": text})
        return proof

    async def _run(self, alert: str) -> VerificationResult:
        """Run the command; what it says, or why it says nothing."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tapewatch", "verify", alert, "--json",
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            env=os.environ | environment_of(self.settings),
        )  # fmt: skip
        try:
            said, complained = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
        except TimeoutError:
            return VerificationResult(alert, False, problem=f"no result within {TIMEOUT_S:g} s")
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        try:
            return msgspec.json.decode(said, type=VerificationResult)
        except msgspec.DecodeError:
            lines = complained.decode(errors="replace").strip().splitlines()
            problem = next((line for line in lines if line.startswith("tapewatch: ")), lines[-1] if lines else "")
            return VerificationResult(
                alert, False, problem=problem.removeprefix("tapewatch: ")[:500] or "the command failed"
            )


class VerificationResponse(msgspec.Struct, frozen=True):
    """Whether an alert is what its log or bundle gives; null before anybody asked, or where it cannot be told.

    text : in words; at, who : RFC 3339 and account; proof : record by record
    """

    verified: bool | None
    text: str
    at: str = ""
    who: str = ""
    proof: VerificationResult | None = None


class AlertRow(msgspec.Struct, frozen=True):
    """What the console has of an alert. number, name : of the instrument"""

    alert: Alert
    number: int
    name: str


_ALERT = """
SELECT h.message, i.name, coalesce(i.long_name, ''), i.id FROM alerts a
JOIN alert_history h ON h.id = a.id AND h.revision = a.revision JOIN instruments i ON i.id = a.instrument_id
WHERE a.id = :id
"""
_HISTORY = "SELECT message FROM alert_history WHERE id = :id ORDER BY revision LIMIT 1000"
_CASE = """
SELECT h.message FROM case_alerts ca JOIN cases c ON c.id = ca.case_id
JOIN case_history h ON h.id = c.id AND h.revision = c.revision WHERE ca.alert_id = :id LIMIT 1
"""


async def known(call: Call) -> AlertRow:
    """The alert of the path; RefusedError 404 where there is none that the account may see."""
    rows = await call.services.database.rows(_ALERT, {"id": identity(call.path["id"])})
    if not rows or not call.account.sees(rows[0][1]):
        raise RefusedError(404, "there is no such alert")
    return AlertRow(msgspec.convert(rows[0][0], Alert), int(rows[0][3]), str(rows[0][2]))


async def case_of(call: Call, alert: str) -> Case | None:
    """The case that an alert belongs to, where the account may see all of it."""
    rows = await call.services.database.rows(_CASE, {"id": alert})
    case = msgspec.convert(rows[0][0], Case) if rows else None
    if case is None or not all(map(call.account.sees, (case.instrument, *case.instruments))):
        return None
    return case


async def around(call: Call, found: AlertRow) -> moments.Context:
    """The minutes around an alert."""
    alert = found.alert
    features = [each.feature for each in alert.evidence]
    onset, decided = from_rfc3339(alert.onset), from_rfc3339(alert.decided)
    span = moments.Span()
    return await moments.around(
        call.services.database, found.number, alert.instrument, onset, decided, features, span
    )  # fmt: skip


async def bundles_of(call: Call, alert: str) -> list[Entry]:
    """The bundles of an alert in the archive, oldest first."""
    return await asyncio.to_thread(lambda: Archive(call.services.settings).of_alert(alert))


async def verify(call: Call) -> VerificationResponse:
    """Recompute the alert, from the log or from its bundle."""
    found = await known(call)
    verifier: Verifier = call.services.parts["verifier"]
    return told(await verifier.verified(found.alert.id, call.account.name))


async def last_verified(call: Call) -> VerificationResponse:
    """The newest result."""
    found = await known(call)
    verifier: Verifier = call.services.parts["verifier"]
    return told(await verifier.last(found.alert.id))


def told(proof: VerificationResult | None) -> VerificationResponse:
    """A result in words."""
    if proof is None:
        return VerificationResponse(None, "Nobody has verified this alert yet.")
    if proof.problem:
        return VerificationResponse(None, f"It could not be verified: {proof.problem}", proof.at, proof.who, proof)
    lines = [*proof.damage, *(line for finding in proof.findings for line in finding.differences)]
    source = "the market log" if proof.source == "log" else "its evidence bundle"
    text = f"From {source}. {'; '.join(lines)[:1000]}".strip()
    return VerificationResponse(proof.identical, text, proof.at, proof.who, proof)


async def _report(call: Call) -> report.Report:
    """Everything that the report tells."""
    found = await known(call)
    services, id_ = call.services, found.alert.id
    history = await services.database.rows(_HISTORY, {"id": id_})
    verifier: Verifier = services.parts["verifier"]
    entries = await asyncio.to_thread(audit.entries, audit.folder(services.settings.data_path))
    case = await case_of(call, id_)
    return report.Report(
        alert=found.alert,
        name=found.name,
        revisions=[msgspec.convert(row[0], Alert) for row in history],
        case=case,
        context=await around(call, found),
        proof=await verifier.last(id_),
        bundles=await bundles_of(call, id_),
        audit_head=entries[-1].hash if entries else audit.GENESIS,
        audit_entries=len(entries),
        made_at=to_rfc3339(services.clock.now()),
        made_by=call.account.name,
    )


async def as_html(call: Call) -> web.Response:
    """The report as one page."""
    made = await _report(call)
    text = await asyncio.to_thread(lambda: page(report.title(made), report.blocks(made)))
    return web.Response(text=text, content_type="text/html", headers={"Content-Security-Policy": POLICY})


async def as_pdf(call: Call) -> web.Response:
    """The report as a PDF."""
    made = await _report(call)
    foot = f"Alert {made.alert.id}, made {report.when(made.made_at)} by {made.made_by}"
    data = await asyncio.to_thread(lambda: pdf(report.title(made), report.blocks(made), foot))
    return attachment(data, "application/pdf", f"alert-{made.alert.id}.pdf")


async def listed(call: Call) -> list[Entry]:
    """The alert's bundles, oldest first."""
    return await bundles_of(call, (await known(call)).alert.id)


async def bundle(call: Call) -> web.Response:
    """The alert's newest bundle as one file."""
    found = await known(call)
    entries = await bundles_of(call, found.alert.id)
    if not entries:
        raise RefusedError(404, "no bundle of this alert is archived", "Is `tapewatch run evidence` at work?")
    archive = Archive(call.services.settings)
    data = await asyncio.to_thread(lambda: evidence.packed(archive.bundle(entries[-1].bundle)))
    return attachment(data, "application/x-tar", f"{entries[-1].bundle}.tar")


def attachment(data: bytes, media: str, name: str) -> web.Response:
    """A file to keep."""
    return web.Response(
        body=data, content_type=media, headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )


@asynccontextmanager
async def _verifier(services: Services) -> AsyncIterator[Verifier]:
    made = Verifier(services.settings, services.database, services.clock)
    try:
        yield made
    finally:
        await made.end()


PARTS = {"verifier": _verifier}

_OF = "/api/v1/alerts/{id}"

ROUTES = [
    Route(
        "POST", f"{_OF}/verify", verify, "Recompute an alert from log or bundle, and compare", role="analyst",
        page="alerts", answer=VerificationResponse, audit="evidence.verify",
    ),
    Route(
        "GET", f"{_OF}/verify", last_verified, "The newest result of doing so", page="alerts",
        answer=VerificationResponse,
    ),
    Route(
        "GET", f"{_OF}/report.html", as_html, "The evidence report as a page", page="alerts", media="text/html",
        audit="evidence.report",
    ),
    Route(
        "GET", f"{_OF}/report.pdf", as_pdf, "The evidence report as a PDF", page="alerts", media="application/pdf",
        audit="evidence.report",
    ),
    Route("GET", f"{_OF}/bundles", listed, "Archived evidence of an alert", page="alerts", answer=list[Entry]),
    Route(
        "GET", f"{_OF}/bundle", bundle, "The newest evidence bundle as one file", role="analyst", page="alerts",
        media="application/x-tar", audit="evidence.export",
    ),
]  # fmt: skip
