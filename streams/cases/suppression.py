"""Suppression rules: who may make and approve one, and which alerts it keeps quiet.

A rule keeps an alert quiet that it names, that was decided within [starts, expires), once a second account has approved
it. Ending a rule moves its end to then: what it kept quiet before stays quiet.
"""

import msgspec

from streams.cases.risk import RANK
from streams.cases.transitions import RefusedError, moment, same
from tapewatch.clock import NANOS
from tapewatch.contract.messages import CaseAlert, CaseCommand, Suppression
from tapewatch.rfc3339 import from_rfc3339, to_rfc3339

ACTIONS = ("suppress", "approve_suppression", "end_suppression")
LONGEST_DAYS = 366


def covers(rule: Suppression, alert: CaseAlert) -> bool:
    """Whether a rule keeps an alert quiet."""
    if not rule.approved_by or rule.state not in ("in_force", "ended"):
        return False
    named = (
        (rule.scenario, alert.scenario),
        (rule.instrument, alert.instrument),
        (rule.venue, alert.instrument.rpartition(".")[2]),
    )
    return (
        all(not wanted or wanted == found for wanted, found in named)
        and (not rule.below or RANK[alert.severity] < RANK[rule.below])
        and from_rfc3339(rule.starts) <= from_rfc3339(alert.decided) < from_rfc3339(rule.expires)
    )


def proposed(command: CaseCommand, known: bool) -> Suppression:
    """The rule that a command proposes, as it is kept. known : a rule of its id exists; RefusedError says why not."""
    rule = command.suppression
    if rule is None:
        raise RefusedError("suppress needs a rule")
    if known:
        raise RefusedError("there is a rule of this id already")
    if not same(rule.owner, command.who):
        raise RefusedError("a rule is proposed by its owner")
    if not rule.reason.strip():
        raise RefusedError("a rule needs a reason")
    if not (rule.scenario or rule.instrument or rule.venue):
        raise RefusedError("a rule names a scenario, an instrument or a venue")
    if rule.below and rule.below not in RANK:
        raise RefusedError(f"{rule.below} is no severity")
    starts, expires = moment(rule.starts), moment(rule.expires)
    lasts = from_rfc3339(expires) - from_rfc3339(starts)
    if not 0 < lasts <= LONGEST_DAYS * 86_400 * NANOS:
        raise RefusedError(f"a rule ends after it starts, within {LONGEST_DAYS} days")
    return msgspec.structs.replace(
        rule, revision=0, state="proposed", approved_by="", ended_by="", created=command.at, starts=starts,
        expires=expires,
    )  # fmt: skip


def approved(rule: Suppression, command: CaseCommand) -> Suppression:
    """The rule in force; RefusedError says why not."""
    _expected(rule, command)
    if rule.state != "proposed":
        raise RefusedError(f"the rule is {rule.state.replace('_', ' ')}, not proposed")
    if same(rule.owner, command.who):
        raise RefusedError("four eyes: who proposes a rule cannot approve it")
    if from_rfc3339(command.at) >= from_rfc3339(rule.expires):
        raise RefusedError("the rule has expired")
    return msgspec.structs.replace(rule, revision=rule.revision + 1, state="in_force", approved_by=command.who)


def ended(rule: Suppression, command: CaseCommand) -> Suppression:
    """The rule at its end: rejected where nobody had approved it. RefusedError says why not."""
    _expected(rule, command)
    if not command.why.strip():
        raise RefusedError("end_suppression needs a reason")
    if rule.state == "proposed":
        return msgspec.structs.replace(rule, revision=rule.revision + 1, state="rejected", ended_by=command.who)
    if rule.state != "in_force":
        raise RefusedError(f"the rule is {rule.state} already")
    at = max(from_rfc3339(command.at), from_rfc3339(rule.starts))
    end = to_rfc3339(min(at, from_rfc3339(rule.expires)))
    return msgspec.structs.replace(rule, revision=rule.revision + 1, state="ended", ended_by=command.who, expires=end)


def _expected(rule: Suppression, command: CaseCommand) -> None:
    if command.expected >= 0 and command.expected != rule.revision:
        raise RefusedError(f"the rule has changed: it is at revision {rule.revision}, not {command.expected}")
