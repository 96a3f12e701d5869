"""The messages of the desk's work: cases, what people say of them, suppressions, labels and proposals.

Every description below goes into docs/schemas/.
"""

from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta

from tapewatch.contract.message import Count, Id, Message, Time, Unit

CaseState = Literal["new", "assigned", "in_review", "escalated", "closed", "reopened"]
Disposition = Literal["true_positive", "false_positive", "inconclusive", "reported", "duplicate"]
CaseAction = Literal[
    "assign",
    "review",
    "escalate",
    "note",
    "close",
    "approve",
    "reject",
    "reopen",
    "suppress",
    "approve_suppression",
    "end_suppression",
]


class CaseAlert(msgspec.Struct, frozen=True):
    """An alert within a case, at the newest revision the case has seen."""

    id: Annotated[Id, Meta(description="alert id")]
    revision: Annotated[Count, Meta(description="newest revision seen")]
    scenario: Annotated[str, Meta(description="scenario that fired")] = ""
    instrument: Annotated[str, Meta(description="instrument id")] = ""
    severity: Annotated[str, Meta(description="severity at that revision")] = ""
    score: Annotated[float, Meta(ge=0, le=100, description="strength at that revision, 0 to 100")] = 0.0
    state: Annotated[str, Meta(description="open, update or closed")] = ""
    onset: Annotated[str, Meta(description="first-decided begin of the episode, RFC 3339")] = ""
    inhibited: Annotated[
        str,
        Meta(
            description="what keeps it from raising anybody: id of the stronger alert, of the suppression, or of the "
            "closed case whose cooldown it falls into; empty: it does raise"
        ),
    ] = ""
    inhibition: Annotated[
        Literal["", "stronger", "suppression", "cooldown"], Meta(description="which of the three; empty: it does raise")
    ] = ""
    decided: Annotated[str, Meta(description="when the alert was first decided, log time, RFC 3339")] = ""
    updated: Annotated[str, Meta(description="log time of that revision, RFC 3339")] = ""
    probability: Annotated[Unit | None, Meta(description="calibrated probability at that revision; null for none")] = (
        None
    )


class CaseEvent(msgspec.Struct, frozen=True):
    """One step of a case's history."""

    at: Annotated[Time, Meta(description="when")]
    who: Annotated[str, Meta(description="account, or the stage's name for an automatic step")]
    action: Annotated[str, Meta(description="what was done: a new state, an assignment or a note")]
    why: Annotated[str, Meta(description="reason or note as given")] = ""
    command: Annotated[str, Meta(description="id of the command that asked for it; empty for an automatic step")] = ""
    subject: Annotated[str, Meta(description="alert, owner or disposition that the step is about")] = ""


class PendingClose(msgspec.Struct, frozen=True):
    """A close that waits for a second pair of eyes."""

    who: Annotated[str, Meta(description="account that wants to close")]
    disposition: Annotated[Disposition, Meta(description="outcome it gives")]
    why: Annotated[str, Meta(description="reason given")]
    at: Annotated[Time, Meta(description="when")]


class Case(Message, frozen=True, kw_only=True):
    """Alerts of one instrument and its neighbourhood, worked on as one. Later revisions replace earlier ones."""

    TOPIC: ClassVar[str] = "cases"

    id: Annotated[Id, Meta(description="stable_id(neighbourhood, id of the first alert)")]
    revision: Annotated[Count, Meta(description="0 for the first, one higher for each change")]
    instrument: Annotated[str, Meta(description="instrument of the first alert")]
    neighbourhood: Annotated[str, Meta(description="what its instruments have in common, such as a base asset")] = ""
    instruments: Annotated[tuple[str, ...], Meta(description="instruments of its alerts")] = ()
    state: Annotated[CaseState, Meta(description="state of the work")]
    disposition: Annotated[
        str, Meta(description="outcome when closed, `suppressed` where no alert ever raised anybody; empty before")
    ] = ""
    closed: Annotated[str, Meta(description="when it was last closed, RFC 3339; empty while it never was")] = ""
    closing: Annotated[PendingClose | None, Meta(description="a close that waits for approval; null for none")] = None
    owner: Annotated[str, Meta(description="account it is assigned to; empty for none")] = ""
    risk: Annotated[float, Meta(ge=0, le=100, description="risk that orders the queue, 0 to 100")]
    priority: Annotated[int, Meta(ge=1, le=4, description="1 first to 4 last")] = 4
    opened: Annotated[Time, Meta(description="when the case was opened")]
    updated: Annotated[Time, Meta(description="when it last changed")]
    alerts: Annotated[tuple[CaseAlert, ...], Meta(description="alerts of the case")]
    history: Annotated[tuple[CaseEvent, ...], Meta(description="every step, oldest first")] = ()


class Suppression(Message, frozen=True, kw_only=True):
    """A rule by which alerts raise nobody for a time. Later revisions replace earlier ones."""

    TOPIC: ClassVar[str] = "suppressions"

    id: Annotated[Id, Meta(description="stable_id(owner, created, the rule)")]
    revision: Annotated[Count, Meta(description="0 for the first, one higher for each change")] = 0
    state: Annotated[Literal["proposed", "in_force", "rejected", "ended"], Meta(description="state of the rule")]
    scenario: Annotated[str, Meta(description="scenario it is for; empty for every one")] = ""
    instrument: Annotated[str, Meta(description="instrument it is for; empty for every one")] = ""
    venue: Annotated[str, Meta(description="venue it is for; empty for every one")] = ""
    below: Annotated[str, Meta(description="only alerts below this severity; empty for all")] = ""
    owner: Annotated[str, Meta(description="account that proposed it and answers for it")]
    reason: Annotated[str, Meta(min_length=1, description="why")]
    approved_by: Annotated[str, Meta(description="second account; empty before")] = ""
    ended_by: Annotated[str, Meta(description="account that rejected or ended it; empty before")] = ""
    created: Annotated[Time, Meta(description="when it was proposed")]
    starts: Annotated[Time, Meta(description="alerts decided from here on")]
    expires: Annotated[Time, Meta(description="to here, exclusive; there is no rule without an end")]


class CaseCommand(Message, frozen=True, kw_only=True):
    """What somebody tells the case stage. A command whose id was seen is not done twice."""

    TOPIC: ClassVar[str] = "case.commands"

    id: Annotated[Id, Meta(description="id given by whoever sends it; a repeat of it changes nothing")]
    case: Annotated[str, Meta(description="case id; empty for a suppression")] = ""
    action: Annotated[CaseAction, Meta(description="what to do")]
    who: Annotated[str, Meta(min_length=1, description="account")]
    why: Annotated[str, Meta(max_length=4000, description="reason or note")] = ""
    at: Annotated[Time, Meta(description="when it was given")]
    owner: Annotated[str, Meta(description="assign: account to assign to; empty for nobody")] = ""
    disposition: Annotated[Disposition | None, Meta(description="close: outcome")] = None
    expected: Annotated[int, Meta(ge=-1, description="revision that the account saw; -1: whatever there is")] = -1
    suppression: Annotated[Suppression | None, Meta(description="suppress: the rule")] = None
    subject: Annotated[str, Meta(description="approve_suppression, end_suppression: id of the rule")] = ""


class CaseAnswer(Message, frozen=True, kw_only=True):
    """What became of a command: exactly one for each id."""

    TOPIC: ClassVar[str] = "case.answers"

    command: Annotated[Id, Meta(description="id of the command")]
    case: Annotated[str, Meta(description="case id; empty for a suppression")] = ""
    accepted: Annotated[bool, Meta(description="whether it was done")]
    reason: Annotated[str, Meta(description="why it was refused, in words; empty where it was done")] = ""
    revision: Annotated[int, Meta(ge=-1, description="revision after it; -1 where there is none")] = -1
    at: Annotated[Time, Meta(description="when it was answered")]


class Label(Message, frozen=True, kw_only=True):
    """What somebody says an alert or a news item is: training data with who and when. The newest one holds."""

    TOPIC: ClassVar[str] = "labels"

    id: Annotated[Id, Meta(description="stable_id(kind, subject, who, at)")]
    kind: Annotated[Literal["alert", "news"], Meta(description="what is labelled")]
    subject: Annotated[str, Meta(description="alert or news id")]
    label: Annotated[
        Literal["manipulation", "genuine", "unclear", "positive", "neutral", "negative"],
        Meta(description="alerts: manipulation, genuine, unclear; news: positive, neutral, negative"),
    ]
    instrument: Annotated[str, Meta(description="instrument id; empty where there is none")] = ""
    who: Annotated[str, Meta(description="account")]
    at: Annotated[Time, Meta(description="when")]
    why: Annotated[str, Meta(description="reason or note")] = ""


class Proposal(Message, frozen=True, kw_only=True):
    """A change of thresholds or a promotion that waits for a second pair of eyes. Later revisions replace earlier."""

    TOPIC: ClassVar[str] = "proposals"

    id: Annotated[Id, Meta(description="stable_id(kind, content hash, who, created)")]
    revision: Annotated[Count, Meta(description="0 for the first, one higher for each change")] = 0
    kind: Annotated[Literal["configuration", "promotion"], Meta(description="what would change")]
    state: Annotated[
        Literal["proposed", "approved", "rejected", "applied", "failed"], Meta(description="state of the proposal")
    ]
    subject: Annotated[str, Meta(description="content hash of the model or of the configuration")]
    content: Annotated[str, Meta(description="configuration as TOML, or the model's hash or name")]
    who: Annotated[str, Meta(description="account that proposes")]
    why: Annotated[str, Meta(min_length=1, description="reason given")]
    created: Annotated[Time, Meta(description="when it was proposed")]
    decided_by: Annotated[str, Meta(description="second account; empty before")] = ""
    decided: Annotated[str, Meta(description="when it was decided, RFC 3339; empty before")] = ""
    answer: Annotated[str, Meta(description="reason of the decision, or what the application said")] = ""
