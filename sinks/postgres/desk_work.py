"""Cases, answers, suppressions, labels and proposals into their tables: by id and newest revision, every one kept."""

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import msgspec
from psycopg2.extensions import cursor as Cursor  # noqa: N812 - a class with a lower-case name
from psycopg2.extras import execute_values

from sinks.postgres.batch import JsonRecord
from sinks.postgres.keys import Keys
from tapewatch.contract import messages, topics
from tapewatch.contract.messages import Alert, Case, CaseAlert, CaseAnswer, Label, Message, Proposal, Suppression
from tapewatch.rfc3339 import from_rfc3339

TABLES = {
    topics.CASES: "cases",
    topics.CASE_ANSWERS: "case_answers",
    topics.SUPPRESSIONS: "suppressions",
    topics.LABELS: "labels",
    topics.PROPOSALS: "proposals",
}
"""The table of each topic."""

KINDS = (Case, CaseAnswer, Suppression, Label, Proposal)

Row = tuple[Any, ...]
M = TypeVar("M", Alert, Case, Suppression, Proposal)

CASE = (
    "id", "revision", "instrument_id", "neighbourhood", "state", "disposition", "owner", "risk", "priority", "alerts",
    "raising", "opened_ns", "updated_ns", "closed_ns", "closing", "history",
)  # fmt: skip
CASE_ALERT = (
    "alert_id", "case_id", "case_revision", "revision", "instrument_id", "scenario", "severity", "state", "inhibited",
    "inhibition", "score", "probability", "onset_ns", "decided_ns", "updated_ns",
)  # fmt: skip
_ANSWER = ("command", "case_id", "accepted", "reason", "revision", "at_ns")
_SUPPRESSION = (
    "id", "revision", "state", "scenario", "instrument", "venue", "below", "owner", "reason", "approved_by",
    "ended_by", "created_ns", "starts_ns", "expires_ns",
)  # fmt: skip
_LABEL = ("id", "kind", "subject", "label", "instrument", "who", "why", "at_ns")
_PROPOSAL = (
    "id", "revision", "kind", "state", "subject", "content", "who", "why", "decided_by", "answer", "created_ns",
    "decided_ns",
)  # fmt: skip


def instruments(message: Message) -> list[str]:
    """The instruments that a message needs numbers of."""
    if not isinstance(message, Case):
        return []
    return [message.instrument, *(each.instrument for each in message.alerts)]


def times(message: Message) -> list[str]:
    """The times of a message that has any."""
    if isinstance(message, Case):
        of_alerts = [time for each in message.alerts for time in (each.onset, each.decided, each.updated)]
        found = [message.opened, message.updated, message.closed, *of_alerts]
    elif isinstance(message, Suppression):
        found = [message.created, message.starts, message.expires]
    elif isinstance(message, Proposal):
        found = [message.created, message.decided]
    else:
        found = [message.at] if isinstance(message, CaseAnswer | Label) else []
    return [time for time in found if time]


def merge_cases(cursor: Cursor, keys: Keys, records: Sequence[JsonRecord]) -> None:
    """Cases and their alerts: the highest revision wins; the history keeps all."""
    cases = [messages.decode(Case, record.value) for record in records]
    highest = newest(cases)
    numbers = iter(keys.instruments([name for case in highest for name in instruments(case)]).tolist())
    rows: list[Row] = []
    alerts: dict[str, Row] = {}
    for case in highest:
        rows.append(case_row(case, next(numbers)))
        for alert in case.alerts:
            alerts[alert.id] = case_alert_row(case, alert, next(numbers))
    execute_values(cursor, upsert("cases", CASE, "revision"), rows)
    if alerts:
        execute_values(cursor, upsert("case_alerts", CASE_ALERT, "case_revision"), list(alerts.values()))
    _keep(cursor, "case_history", cases, records)


def merge_answers(cursor: Cursor, _: Keys, records: Sequence[JsonRecord]) -> None:
    """Answers: each command's once."""
    rows = [
        (a.command, a.case, a.accepted, a.reason, a.revision, from_rfc3339(a.at))
        for a in (messages.decode(CaseAnswer, record.value) for record in records)
    ]
    execute_values(cursor, _once("case_answers", _ANSWER), rows)


def merge_suppressions(cursor: Cursor, _: Keys, records: Sequence[JsonRecord]) -> None:
    """Suppressions: the highest revision wins; the history keeps all."""
    rules = [messages.decode(Suppression, record.value) for record in records]
    rows = [
        (s.id, s.revision, s.state, s.scenario, s.instrument, s.venue, s.below, s.owner, s.reason, s.approved_by,
         s.ended_by, *_ns(s.created, s.starts, s.expires))
        for s in newest(rules)
    ]  # fmt: skip
    execute_values(cursor, upsert("suppressions", _SUPPRESSION, "revision"), rows)
    _keep(cursor, "suppression_history", rules, records)


def merge_labels(cursor: Cursor, _: Keys, records: Sequence[JsonRecord]) -> None:
    """Labels: each id once."""
    rows = [
        (x.id, x.kind, x.subject, x.label, x.instrument, x.who, x.why, from_rfc3339(x.at))
        for x in (messages.decode(Label, record.value) for record in records)
    ]
    execute_values(cursor, _once("labels", _LABEL), rows)


def merge_proposals(cursor: Cursor, _: Keys, records: Sequence[JsonRecord]) -> None:
    """Proposals: the highest revision wins; the history keeps all."""
    proposals = [messages.decode(Proposal, record.value) for record in records]
    rows = [
        (p.id, p.revision, p.kind, p.state, p.subject, p.content, p.who, p.why, p.decided_by, p.answer,
         *_ns(p.created, p.decided))
        for p in newest(proposals)
    ]  # fmt: skip
    execute_values(cursor, upsert("proposals", _PROPOSAL, "revision"), rows)
    _keep(cursor, "proposal_history", proposals, records)


def case_row(case: Case, instrument: int | str) -> Row:
    """The columns CASE of a case. instrument : its number, or its id for who compares"""
    raising = sum(not each.inhibited for each in case.alerts)
    told = (case.neighbourhood, case.state, case.disposition, case.owner, case.risk, case.priority)
    moments = _ns(case.opened, case.updated, case.closed)
    closing = None if case.closing is None else _json(case.closing)
    counts = (len(case.alerts), raising)
    return (case.id, case.revision, instrument, *told, *counts, *moments, closing, _json(case.history))


def case_alert_row(case: Case, alert: CaseAlert, instrument: int | str) -> Row:
    """The columns CASE_ALERT of an alert of a case. instrument : its number, or its id"""
    told = (alert.scenario, alert.severity, alert.state, alert.inhibited, alert.inhibition, alert.score)
    moments = _ns(alert.onset, alert.decided, alert.updated)
    return (alert.id, case.id, case.revision, alert.revision, instrument, *told, alert.probability, *moments)


def newest(found: Iterable[M]) -> list[M]:
    """The highest revision of each id; of equal ones the first, as in the history."""
    highest: dict[str, M] = {}
    for each in found:
        if each.id not in highest or each.revision > highest[each.id].revision:
            highest[each.id] = each
    return list(highest.values())


def _ns(*moments: str) -> list[int | None]:
    """UTC nanoseconds; NULL for no time."""
    return [from_rfc3339(each) if each else None for each in moments]


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _keep(
    cursor: Cursor, table: str, found: Sequence[Case | Suppression | Proposal], records: Sequence[JsonRecord]
) -> None:
    """Every revision as it was sent."""
    rows = [(m.id, m.revision, m.state, record.value.decode()) for m, record in zip(found, records, strict=True)]
    execute_values(cursor, _once(table, ("id", "revision", "state", "message")), rows)


def _once(table: str, columns: Sequence[str]) -> str:
    """Insert what is not there yet."""
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES %s ON CONFLICT DO NOTHING"  # noqa: S608 - constants


def upsert(table: str, columns: Sequence[str], newer: str) -> str:
    """Insert, or replace by a higher value of the column `newer`; the key is the first column."""
    key, *others = columns
    changes = ", ".join(f"{name} = EXCLUDED.{name}" for name in others)
    return (
        f"INSERT INTO {table} AS kept ({', '.join(columns)}) VALUES %s "  # noqa: S608 - constants
        f"ON CONFLICT ({key}) DO UPDATE SET {changes} WHERE EXCLUDED.{newer} > kept.{newer}"
    )
