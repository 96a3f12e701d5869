"""Four eyes for thresholds and promotions: one account proposes, another one approves, then the console applies it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from console import applying
from console.app import record
from console.refusal import RefusedError
from console.routing import Call, Route
from console.services import Services
from tapewatch.clock import NANOS
from tapewatch.contract.case_messages import Proposal
from tapewatch.desk import proposals
from tapewatch.rfc3339 import to_rfc3339

KEPT_NS = 10 * NANOS

Why = Annotated[str, Meta(min_length=1, max_length=2000)]


class ProposalQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which proposals. state : empty for all"""

    state: Literal["", "proposed", "approved", "rejected", "applied", "failed"] = ""
    limit: Annotated[int, Meta(ge=1, le=1000)] = 200


class CreateProposalRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A change to propose. content : a configuration as TOML, or a model's hash or its beginning"""

    kind: Literal["configuration", "promotion"]
    content: Annotated[str, Meta(min_length=1, max_length=100_000)]
    why: Why


class Decision(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Approve, or reject."""

    approve: bool
    why: Why


class Configuration(msgspec.Struct, frozen=True):
    """The detector configuration in force. applied : when; empty: as shipped"""

    hash: str
    applied: str
    values: dict[str, Any]


@dataclass(slots=True)
class ProposalState:
    """What the commands that are run share. shown : the configuration in force, kept for a few seconds"""

    one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)
    shown: Configuration | None = None
    shown_ns: int = 0


async def listed(call: Call) -> list[Proposal]:
    """Proposals, newest first."""
    asked: ProposalQuery = call.query
    found = await asyncio.to_thread(proposals.newest, call.services.settings)
    wanted = [each for each in reversed(found.values()) if asked.state in ("", each.state)]
    return wanted[: asked.limit]


async def shown(call: Call) -> Proposal:
    """One proposal."""
    found = (await asyncio.to_thread(proposals.newest, call.services.settings)).get(call.path["id"])
    if found is None:
        raise RefusedError(404, "there is no such proposal")
    return found


async def made(call: Call) -> Proposal:
    """Propose a change; what could not be applied is refused now."""
    wanted: CreateProposalRequest = call.body
    settings = call.services.settings
    async with call.services.parts["proposals"].one_at_a_time:
        if wanted.kind == "configuration":
            words = ["config", "apply", "@wanted.toml", "--check", "--why", "checked"]
            outcome = await applying.tapewatch(settings, words, {"wanted.toml": wanted.content})
            subject, content = proposals.content_hash(wanted.content.encode()), wanted.content
        else:
            outcome = await applying.tapewatch(settings, ["models", "show", _hash(wanted.content)])
            subject = content = str((outcome.document or {}).get("hash", ""))
    if outcome.document is None:
        raise RefusedError(422, outcome.problem, "Change it.")
    made = proposals.made(wanted.kind, subject, content, call.account.name, wanted.why, call.services.clock)
    await asyncio.to_thread(proposals.write, settings, [made])
    await record(call.services, call.account, "proposal.make", made.id, wanted.why, kind=made.kind, content=subject)
    return made


def _hash(content: str) -> str:
    """A model's hash: no path, no option."""
    text = content.strip()
    if not text.isalnum() or len(text) < 6:
        raise RefusedError(422, "a model is named by its hash, six digits at least", "See the page Models.")
    return text


async def decided(call: Call) -> Proposal:
    """Approve or reject a proposal of somebody else; an approved one is applied at once."""
    wanted: Decision = call.body
    settings = call.services.settings
    async with call.services.parts["proposals"].one_at_a_time:
        proposal = await shown(call)
        if proposal.state != "proposed":
            raise RefusedError(409, f"the proposal is {proposal.state}")
        if proposal.who == call.account.name:
            raise RefusedError(403, "a second pair of eyes must decide", "Ask somebody else.")
        decision = msgspec.structs.replace(
            proposal,
            revision=proposal.revision + 1,
            state="approved" if wanted.approve else "rejected",
            decided_by=call.account.name,
            decided=to_rfc3339(call.services.clock.now()),
            answer=wanted.why,
        )
        await asyncio.to_thread(proposals.write, settings, [decision])
        act = "proposal.approve" if wanted.approve else "proposal.reject"
        await record(call.services, call.account, act, proposal.id, wanted.why, proposed_by=proposal.who)
        if not wanted.approve:
            return decision
        outcome = await _applied(call, decision)
        final = msgspec.structs.replace(
            decision,
            revision=decision.revision + 1,
            state="applied" if outcome.document else "failed",
            answer=wanted.why if outcome.document else f"{wanted.why}: {outcome.problem}",
        )
        await asyncio.to_thread(proposals.write, settings, [final])
    return final


async def _applied(call: Call, proposal: Proposal) -> applying.Outcome:
    """Apply an approved proposal, in both accounts' names."""
    named = ["--why", proposal.why, "--who", f"{proposal.who}, approved by {proposal.decided_by}"]
    named += ["--proposal", proposal.id]
    if proposal.kind == "configuration":
        words, files = ["config", "apply", "@wanted.toml", *named], {"wanted.toml": proposal.content}
    else:
        words, files = ["models", "promote", proposal.subject, *named], {}
    return await applying.tapewatch(call.services.settings, words, files)


async def configuration(call: Call) -> Configuration:
    """The detector configuration in force."""
    desk: ProposalState = call.services.parts["proposals"]
    async with desk.one_at_a_time:
        elapsed = call.services.clock.elapsed()
        if desk.shown is None or elapsed - desk.shown_ns > KEPT_NS:
            outcome = await applying.tapewatch(call.services.settings, ["config", "show"])
            if outcome.document is None:
                raise RefusedError(503, outcome.problem, "Try again.")
            values = dict(outcome.document["detectors"])
            desk.shown = Configuration(values.pop("hash"), values.pop("applied") or "", values)
            desk.shown_ns = elapsed
        return desk.shown


@asynccontextmanager
async def _desk(services: Services) -> AsyncIterator[ProposalState]:
    yield ProposalState()


def _route(method: Any, path: str, handler: Any, summary: str, **more: Any) -> Route:
    return Route(method, f"/api/v1{path}", handler, summary, page="proposals", **{"role": "analyst", **more})


ROUTES = [
    _route("GET", "/proposals", listed, "Proposals, newest first", query=ProposalQuery, answer=list[Proposal]),
    _route("GET", "/proposals/{id}", shown, "One proposal", answer=Proposal),
    _route("POST", "/proposals", made, "Propose a change", body=CreateProposalRequest, answer=Proposal),
    _route(
        "POST",
        "/proposals/{id}/decision",
        decided,
        "Approve or reject",
        role="approver",
        body=Decision,
        answer=Proposal,
    ),
    _route("GET", "/configuration", configuration, "The detector configuration in force", answer=Configuration),
]
PARTS = {"proposals": _desk}
