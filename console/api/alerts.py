"""Alerts: the ranked queue, one alert with its evidence and its case, its revisions, and the minutes around it."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from console.api import moments
from console.filters import (
    Cursor,
    Glob,
    When,
    Word,
    canaries,
    cursor,
    facets,
    identity,
    like,
    nanoseconds,
    place,
    seen_by,
)
from console.refusal import RefusedError
from console.routing import Call, Route
from tapewatch.contract.case_messages import CaseState
from tapewatch.contract.messages import Alert, AlertState, Severity
from tapewatch.rfc3339 import to_rfc3339

_END = 2**63 - 1


class AlertQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which alerts. A list allows several.

    case_state : of the alert's case; "none" for an alert without one. owner : of its case; nobody : nobody has it
    instrument : pattern with * and ?; search : part of instrument or sentence; since, until : by `decided`
    order : rank (what to look at first) or newest; cursor : where the last answer ended
    """

    scenario: Annotated[tuple[Word, ...], Meta(max_length=40)] = ()
    severity: tuple[Severity, ...] = ()
    state: tuple[AlertState, ...] = ()
    case_state: tuple[CaseState | Literal["none"], ...] = ()
    owner: Word = ""
    nobody: bool = False
    instrument: Glob = ""
    search: Word = ""
    venue: Word = ""
    since: When = ""
    until: When = ""
    order: Literal["rank", "newest"] = "rank"
    limit: Annotated[int, Meta(ge=1, le=500)] = 100
    cursor: Cursor = ""


class CaseBrief(msgspec.Struct, frozen=True):
    """An alert's case, as the queue shows it."""

    id: str
    state: str
    owner: str
    risk: float
    priority: int
    revision: int


class QueuedAlert(msgspec.Struct, frozen=True):
    """An alert in the queue. name : the instrument's, where it has one"""

    id: str
    scenario: str
    instrument: str
    name: str
    onset: str
    decided: str
    updated: str
    state: str
    revision: int
    severity: str
    score: float
    probability: float | None
    sentence: str
    case: CaseBrief | None


class AlertQueue(msgspec.Struct, frozen=True):
    """A page of the queue. total, counts : of everything that fits; next : of the next page, empty at the end."""

    alerts: list[QueuedAlert]
    total: int
    counts: dict[str, dict[str, int]]
    next: str


class AlertView(msgspec.Struct, frozen=True):
    """One alert at its newest revision, with its case."""

    alert: Alert
    name: str
    case: CaseBrief | None
    revisions: int


_FROM = """
FROM alerts a JOIN instruments i ON i.id = a.instrument_id
LEFT JOIN case_alerts ca ON ca.alert_id = a.id LEFT JOIN cases c ON c.id = ca.case_id
"""
_WHERE = """
WHERE i.name LIKE ANY(:seen) AND NOT i.name LIKE ANY(:canaries)
AND (:scenarios = '{}' OR a.scenario = ANY(:scenarios)) AND (:severities = '{}' OR a.severity = ANY(:severities))
AND (:states = '{}' OR a.state = ANY(:states))
AND (:case_states = '{}' OR coalesce(c.state, 'none') = ANY(:case_states))
AND (:owner = '' OR c.owner = :owner) AND (NOT :nobody OR coalesce(c.owner, '') = '')
AND (:instrument = '' OR i.name LIKE :instrument) AND (:venue = '' OR i.name LIKE :venue)
AND (:search = '' OR strpos(lower(i.name || ' ' || coalesce(i.long_name, '') || ' ' || a.sentence), lower(:search)) > 0)
AND a.decided_ns >= :since AND a.decided_ns < :until
"""
_BRIEF = "c.id, c.state, c.owner, c.risk, c.priority, c.revision"
_COLUMNS = f"""a.id, a.scenario, i.name, coalesce(i.long_name, ''), a.onset_ns, a.decided_ns, a.updated_ns, a.state,
a.revision, a.severity, a.score, a.probability, a.sentence, {_BRIEF}"""
# What the queue is ordered by, highest first: a closed case last, then priority, risk, severity, score, age.
_PLACE = {
    "rank": (
        "CASE WHEN c.state = 'closed' THEN 0 ELSE 1 END",
        "5 - coalesce(c.priority, 4)",
        "coalesce(c.risk, a.score)",
        "array_position(ARRAY['low', 'medium', 'high', 'critical'], a.severity)",
        "a.score",
        "a.decided_ns",
        "a.id",
    ),
    "newest": ("a.decided_ns", "a.id"),
}
_KINDS: dict[str, tuple[Any, ...]] = {"rank": (int, int, float, int, float, int, str), "newest": (int, str)}
_SORTS = ("severity", "scenario", "state", "case_state")
_COUNTS = f"""
SELECT a.severity, a.scenario, a.state, coalesce(c.state, 'none') AS case_state,
grouping(a.severity, a.scenario, a.state, coalesce(c.state, 'none')), count(*) {_FROM} {_WHERE}
GROUP BY GROUPING SETS ((a.severity), (a.scenario), (a.state), (coalesce(c.state, 'none')), ())
"""

_SHOWN = f"""
SELECT h.message, i.name, coalesce(i.long_name, ''), (SELECT count(*) FROM alert_history WHERE id = :id), {_BRIEF}
{_FROM} JOIN alert_history h ON h.id = a.id AND h.revision = a.revision WHERE a.id = :id
"""  # noqa: S608 - of constants alone


def _conditions(call: Call) -> dict[str, Any]:
    """The parameters of the condition."""
    wanted: AlertQuery = call.query
    return {
        "seen": seen_by(call.account),
        "canaries": canaries(call.services.settings),
        "scenarios": list(wanted.scenario),
        "severities": list(wanted.severity),
        "states": list(wanted.state),
        "case_states": list(wanted.case_state),
        "owner": wanted.owner,
        "nobody": wanted.nobody,
        "instrument": like([wanted.instrument])[0],
        "venue": like([f"*.{wanted.venue}"])[0] if wanted.venue else "",
        "search": wanted.search,
        "since": nanoseconds(wanted.since, 0),
        "until": nanoseconds(wanted.until, _END),
    }


async def listed(call: Call) -> AlertQueue:
    """The queue, what to look at first on top."""
    wanted: AlertQuery = call.query
    conditions = _conditions(call)
    keys, after = _PLACE[wanted.order], place(wanted.cursor, *_KINDS[wanted.order])
    bound, condition = dict(conditions, limit=wanted.limit), ""
    if after is not None:
        bound |= {f"p{index}": value for index, value in enumerate(after)}
        condition = f"AND ({', '.join(keys)}) < ({', '.join(f':p{index}' for index in range(len(keys)))})"
    ordered = ", ".join(f"{key} DESC" for key in keys)
    database = call.services.database
    rows = await database.rows(
        f"SELECT {_COLUMNS}, {', '.join(keys)} {_FROM} {_WHERE} {condition} ORDER BY {ordered} LIMIT :limit", bound
    )
    total, counts = facets(await database.rows(_COUNTS, conditions), _SORTS)
    alerts = [_queued(row) for row in rows if call.account.sees(row[2])]
    more = cursor(rows[-1][-len(keys) :]) if len(rows) == wanted.limit else ""
    return AlertQueue(alerts, total, counts, more)


async def shown(call: Call) -> AlertView:
    """One alert at its newest revision."""
    id_ = identity(call.path["id"])
    found = await call.services.database.rows(_SHOWN, {"id": id_})
    row = _one(call, found)
    return AlertView(msgspec.convert(row[0], Alert), row[2], _brief(row[4:]), row[3])


async def history(call: Call) -> list[Alert]:
    """Every revision of an alert, oldest first."""
    rows = await call.services.database.rows(
        "SELECT h.message, i.name FROM alert_history h JOIN alerts a ON a.id = h.id "
        "JOIN instruments i ON i.id = a.instrument_id WHERE h.id = :id ORDER BY h.revision LIMIT 1000",
        {"id": identity(call.path["id"])},
    )
    _one(call, rows)
    return [msgspec.convert(row[0], Alert) for row in rows]


async def context(call: Call) -> moments.Context:
    """The minutes around an alert."""
    rows = await call.services.database.rows(
        "SELECT a.instrument_id, i.name, a.onset_ns, a.decided_ns, a.evidence FROM alerts a "
        "JOIN instruments i ON i.id = a.instrument_id WHERE a.id = :id",
        {"id": identity(call.path["id"])},
    )
    number, name, onset, decided, evidence = _one(call, rows)
    features = [each["feature"] for each in evidence]
    return await moments.around(call.services.database, number, name, onset, decided, features, call.query)


def _one(call: Call, rows: Any) -> Any:
    """The first row; RefusedError 404 where there is none that the account may see. Its second column: instrument."""
    if not rows or not call.account.sees(rows[0][1]):
        raise RefusedError(404, "there is no such alert")
    return rows[0]


def _brief(columns: Any) -> CaseBrief | None:
    return None if columns[0] is None else CaseBrief(*columns)


def _queued(row: Any) -> QueuedAlert:
    """A row of the queue."""
    id_, scenario, instrument, name, onset, decided, updated, state, revision, severity, score, chance, sentence = row[
        :13
    ]
    return QueuedAlert(
        id=id_,
        scenario=scenario,
        instrument=instrument,
        name=name,
        onset=to_rfc3339(onset),
        decided=to_rfc3339(decided),
        updated=to_rfc3339(updated),
        state=state,
        revision=revision,
        severity=severity,
        score=score,
        probability=chance,
        sentence=sentence,
        case=_brief(row[13:19]),
    )


ROUTES = [
    Route("GET", "/api/v1/alerts", listed, "The ranked queue of alerts", page="alerts", query=AlertQuery,
          answer=AlertQueue),
    Route(
        "GET", "/api/v1/alerts/{id}", shown, "An alert with evidence, provenance and case", page="alerts",
        answer=AlertView, audit="alert.view",
    ),
    Route("GET", "/api/v1/alerts/{id}/history", history, "Its revisions", page="alerts", answer=list[Alert]),
    Route(
        "GET", "/api/v1/alerts/{id}/context", context, "Prices, trades, books and features around it", page="alerts",
        query=moments.Span, answer=moments.Context, audit="alert.replay",
    ),
]  # fmt: skip
