"""What an account may do with a case in which state, and what becomes of it; the four eyes of a close."""

import unicodedata
from collections.abc import Callable

import msgspec

from tapewatch.contract.messages import Case, CaseCommand, CaseEvent, PendingClose
from tapewatch.rfc3339 import stamp, to_rfc3339

"""The year 2200."""

OPEN = ("new", "assigned", "in_review", "escalated", "reopened")
"""States of a case that is being worked on."""

TABLE: dict[str, tuple[str, ...]] = {
    "assign": OPEN,
    "review": ("new", "assigned", "escalated", "reopened"),
    "escalate": ("new", "assigned", "in_review", "reopened"),
    "note": (*OPEN, "closed"),
    "close": OPEN,
    "approve": OPEN,
    "reject": OPEN,
    "reopen": ("closed",),
}
"""Action -> the states in which it may be taken."""

REASONED = ("escalate", "note", "close", "reject", "reopen")
"""Actions that need a reason or a text."""


class RefusedError(Exception):
    """A command that is not done, with the reason in words."""


def same(one: str, other: str) -> bool:
    """Whether two account names mean one account: case, width and spaces around do not make a second pair of eyes."""
    return _folded(one) == _folded(other)


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", name).strip().casefold()


def changed(case: Case, command: CaseCommand) -> Case:
    """The case after a command, one revision higher. RefusedError says why it is not done."""
    if command.expected >= 0 and command.expected != case.revision:
        raise RefusedError(f"the case has changed: it is at revision {case.revision}, not {command.expected}")
    if case.state not in TABLE[command.action]:
        allowed = ", ".join(TABLE[command.action])
        raise RefusedError(f"{command.action} is not possible in state {case.state}; only in: {allowed}")
    if command.action in REASONED and not command.why.strip():
        raise RefusedError(f"{command.action} needs a reason")
    return _ACTS[command.action](case, command)


def stepped(case: Case, at: str, *events: CaseEvent) -> Case:
    """The case one revision higher, with steps added to its history; its time never goes back."""
    return msgspec.structs.replace(
        case, revision=case.revision + 1, updated=max(case.updated, at), history=(*case.history, *events)
    )


def moment(text: str) -> str:
    """A message's time with all nine decimals, so that texts compare as times do; ValueError for what is none, or lies
    outside 1970 to 2200.
    """
    try:
        return to_rfc3339(stamp(text))
    except ValueError as error:
        raise ValueError(f"{text} is no time: {error}") from None


def _event(command: CaseCommand, action: str, subject: str = "") -> CaseEvent:
    return CaseEvent(command.at, command.who, action, command.why, command.id, subject)


def _assign(case: Case, command: CaseCommand) -> Case:
    if command.owner == case.owner:
        raise RefusedError(f"the case is {f'assigned to {case.owner}' if case.owner else 'assigned to nobody'} already")
    state = case.state
    if command.owner and state in ("new", "reopened"):
        state = "assigned"
    elif not command.owner and state == "assigned":
        state = "new"
    event = _event(command, "assigned" if command.owner else "unassigned", command.owner)
    return stepped(msgspec.structs.replace(case, state=state, owner=command.owner), command.at, event)


def _review(case: Case, command: CaseCommand) -> Case:
    owner = case.owner or command.who
    event = _event(command, "in_review", owner)
    return stepped(msgspec.structs.replace(case, state="in_review", owner=owner), command.at, event)


def _escalate(case: Case, command: CaseCommand) -> Case:
    event = _event(command, "escalated")
    return stepped(msgspec.structs.replace(case, state="escalated"), command.at, event)


def _note(case: Case, command: CaseCommand) -> Case:
    return stepped(case, command.at, _event(command, "note"))


def _close(case: Case, command: CaseCommand) -> Case:
    if case.closing is not None:
        raise RefusedError(f"a close by {case.closing.who} waits for approval already")
    if command.disposition is None:
        raise RefusedError("close needs a disposition")
    closing = PendingClose(command.who, command.disposition, command.why, command.at)
    event = _event(command, "closing", command.disposition)
    return stepped(msgspec.structs.replace(case, closing=closing), command.at, event)


def _approve(case: Case, command: CaseCommand) -> Case:
    closing = _waiting(case)
    if same(closing.who, command.who):
        raise RefusedError("four eyes: who wants to close a case cannot approve it")
    done = msgspec.structs.replace(
        case, state="closed", disposition=closing.disposition, closing=None, closed=max(case.updated, command.at)
    )
    return stepped(done, command.at, _event(command, "closed", closing.disposition))


def _reject(case: Case, command: CaseCommand) -> Case:
    closing = _waiting(case)
    event = _event(command, "close_rejected", closing.disposition)
    return stepped(msgspec.structs.replace(case, closing=None), command.at, event)


def _waiting(case: Case) -> PendingClose:
    if case.closing is None:
        raise RefusedError("no close waits for approval")
    return case.closing


def _reopen(case: Case, command: CaseCommand) -> Case:
    event = _event(command, "reopened")
    return stepped(msgspec.structs.replace(case, state="reopened", disposition=""), command.at, event)


_ACTS: dict[str, Callable[[Case, CaseCommand], Case]] = {
    "assign": _assign,
    "review": _review,
    "escalate": _escalate,
    "note": _note,
    "close": _close,
    "approve": _approve,
    "reject": _reject,
    "reopen": _reopen,
}
