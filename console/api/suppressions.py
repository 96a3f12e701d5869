"""Suppressions: rules by which alerts raise nobody for a time. Proposed by one person, approved by another."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from console.api.cases import send
from console.filters import When, Word, canaries, identity, nanoseconds, seen_by
from console.refusal import RefusedError
from console.routing import Call, Route
from tapewatch.clock import NANOS
from tapewatch.contract.messages import CaseAnswer, Severity, Suppression
from tapewatch.desk.case_client import command, suppression

LONGEST_DAYS = 366
_DAY = 86_400 * NANOS
_LAST_DAYS = 7


class SuppressionQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which rules. state : none for all"""

    state: tuple[Literal["proposed", "in_force", "rejected", "ended"], ...] = ()
    limit: Annotated[int, Meta(ge=1, le=500)] = 200


class Scope(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a rule would be for; an empty field means everything. below : only alerts below this severity"""

    scenario: Word = ""
    instrument: Word = ""
    venue: Word = ""
    below: Severity | Literal[""] = ""


class ProposeSuppressionRequest(Scope, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A rule as it is proposed. starts : empty for now; expires : exclusive, at most a year away"""

    reason: Annotated[str, Meta(min_length=1, max_length=2000)]
    expires: When
    starts: When = ""


class SuppressionActionRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why it is approved or ended."""

    why: Annotated[str, Meta(max_length=2000)] = ""


class SuppressionResponse(msgspec.Struct, frozen=True):
    """What became of it. id : of the rule"""

    id: str
    revision: int


class Effect(msgspec.Struct, frozen=True):
    """What a rule would have kept from people in the days before now."""

    alerts: int
    of: int
    days: int


_FROM = "FROM suppressions s JOIN suppression_history m ON m.id = s.id AND m.revision = s.revision"
_LIST = f"""
SELECT m.message {_FROM} WHERE (:states = '{{}}' OR s.state = ANY(:states))
ORDER BY array_position(ARRAY['proposed', 'in_force', 'ended', 'rejected'], s.state), s.expires_ns DESC, s.id
LIMIT :limit
"""
_EFFECT = """
SELECT count(*) FILTER (WHERE (:scenario = '' OR a.scenario = :scenario) AND (:instrument = '' OR i.name = :instrument)
AND (:venue = '' OR right(i.name, length(:venue) + 1) = '.' || :venue)
AND (:below = '' OR array_position(:ranks, a.severity) < array_position(:ranks, :below))), count(*)
FROM alerts a JOIN instruments i ON i.id = a.instrument_id WHERE a.decided_ns >= :since AND i.name LIKE ANY(:seen)
AND NOT i.name LIKE ANY(:canaries)
"""


async def listed(call: Call) -> list[Suppression]:
    """Rules: those that wait for approval first, then those in force."""
    wanted: SuppressionQuery = call.query
    rows = await call.services.database.rows(_LIST, {"states": list(wanted.state), "limit": wanted.limit})
    rules = [msgspec.convert(row[0], Suppression) for row in rows]
    return [rule for rule in rules if not rule.instrument or call.account.sees(rule.instrument)]


async def effect(call: Call) -> Effect:
    """How many of the last days' alerts a rule would have kept from people."""
    wanted: Scope = call.query
    bound = msgspec.structs.asdict(wanted) | {
        "since": call.services.clock.now() - _LAST_DAYS * _DAY,
        "seen": seen_by(call.account),
        "canaries": canaries(call.services.settings),
        "ranks": ["low", "medium", "high", "critical"],
    }
    rows = await call.services.database.rows(_EFFECT, bound)
    return Effect(rows[0][0], rows[0][1], _LAST_DAYS)


async def proposed(call: Call) -> SuppressionResponse:
    """Propose a rule; another account has to approve it."""
    body: ProposeSuppressionRequest = call.body
    now = call.services.clock.now()
    starts, expires = nanoseconds(body.starts, now), nanoseconds(body.expires, 0)
    _check(call, body, starts, expires, now)
    scope = {name: getattr(body, name) for name in ("scenario", "instrument", "venue", "below")}
    rule = suppression(call.account.name, body.reason, starts, expires, call.services.clock, **scope)
    given = command("suppress", call.account.name, call.services.clock, suppression=rule, why=body.reason)
    return _ruled(await send(call, given), rule.id)


def _check(call: Call, body: ProposeSuppressionRequest, starts: int, expires: int, now: int) -> None:
    """RefusedError for a rule that silences too much, too long, or what the account does not see."""
    if not any((body.scenario, body.instrument, body.venue)):
        raise RefusedError(422, "a rule for everything would blind the desk", "Name a scenario, instrument or venue.")
    if body.instrument:
        call.see(body.instrument)
    elif "*" not in call.account.instruments:
        raise RefusedError(403, "your seat sees some instruments: name the one that the rule is for")
    if not body.reason.strip():
        raise RefusedError(422, "a rule needs a reason")
    if expires <= max(now, starts):
        raise RefusedError(422, "the rule would have ended before it begins", "Choose a later end.")
    if expires - max(now, starts) > LONGEST_DAYS * _DAY:
        raise RefusedError(422, f"a rule may last {LONGEST_DAYS} days", "Choose an earlier end.")


async def approved(call: Call) -> SuppressionResponse:
    """Approve a rule that somebody else proposed."""
    return await _act(call, "approve_suppression")


async def ended(call: Call) -> SuppressionResponse:
    """End a rule before its time, or take a proposal back."""
    return await _act(call, "end_suppression")


async def _act(call: Call, action: str) -> SuppressionResponse:
    id_ = identity(call.path["id"])
    rows = await call.services.database.rows(f"SELECT m.message {_FROM} WHERE s.id = :id", {"id": id_})
    rule = msgspec.convert(rows[0][0], Suppression) if rows else None
    if rule is None or (rule.instrument and not call.account.sees(rule.instrument)):
        raise RefusedError(404, "there is no such rule")
    body: SuppressionActionRequest = call.body
    given = command(action, call.account.name, call.services.clock, subject=id_, why=body.why)
    return _ruled(await send(call, given), id_)


def _ruled(answer: CaseAnswer, id_: str) -> SuppressionResponse:
    """The answer; RefusedError 409 where the stage refused, in its words."""
    if not answer.accepted:
        raise RefusedError(409, answer.reason, "Look at the rules again.")
    return SuppressionResponse(id_, answer.revision)


_BASE = "/api/v1/suppressions"
ROUTES = [
    Route("GET", _BASE, listed, "Rules of suppression", page="cases", query=SuppressionQuery, answer=list[Suppression]),
    Route("GET", f"{_BASE}/effect", effect, "What a rule would have kept from people", page="cases", query=Scope,
          answer=Effect),
    Route("POST", _BASE, proposed, "Propose a rule", role="analyst", page="cases",
          body=ProposeSuppressionRequest, answer=SuppressionResponse),
    Route("POST", f"{_BASE}/{{id}}/approve", approved, "Approve another's rule", role="approver", page="cases",
          body=SuppressionActionRequest, answer=SuppressionResponse),
    Route("POST", f"{_BASE}/{{id}}/end", ended, "End a rule", role="analyst", page="cases",
          body=SuppressionActionRequest, answer=SuppressionResponse),
]  # fmt: skip
