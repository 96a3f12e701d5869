"""Cases as their tables hold them: each at its newest revision, its alerts, and every revision as it was sent."""

from collections import Counter
from collections.abc import Container, Iterable, Sequence

import msgspec
from confluent_kafka import Message

from sinks.log_reader import place
from sinks.postgres.desk_work import CASE, CASE_ALERT, case_alert_row, case_row
from sinks.reconcile.rows.message_rows import Key, content
from sinks.reconcile.rows.report import NOWHERE
from sinks.reconcile.rows.store_side import Snapshot
from tapewatch.contract import messages
from tapewatch.contract.messages import Case
from tapewatch.errors import ContractError

Found = dict[Key, Counter[bytes]]


def _query(table: str, columns: Sequence[str]) -> str:
    """All rows, with the instrument's id in place of its number."""
    named = ", ".join("i.name" if column == "instrument_id" else f"t.{column}" for column in columns)
    return f"SELECT {named} FROM {table} t JOIN instruments i ON i.id = t.instrument_id"  # noqa: S608 - constants


_QUERIES = {
    "cases": _query("cases", CASE),
    "case_alerts": _query("case_alerts", CASE_ALERT),
    "case_history": "SELECT id, revision, message FROM case_history",
}
TABLES = tuple(_QUERIES)


def said(records: Iterable[Message], refused: Container[tuple[int, int]]) -> dict[str, Found]:
    """What the topic says must lie in each table; of a revision said twice the first counts.

    refused : partition and offset of records that the sink has buried
    """
    newest: dict[str, Case] = {}
    history: Found = {}
    for record in records:
        (_, partition), offset = place(record)
        value = record.value() or b""
        try:
            case = messages.decode(Case, value)
        except (ContractError, ValueError):
            continue  # the sink buries it
        if (partition, offset) in refused:
            continue
        history.setdefault(_revision(case.id, case.revision), Counter([content(msgspec.json.decode(value))]))
        if case.id not in newest or case.revision > newest[case.id].revision:
            newest[case.id] = case
    alerts = {each.id: (case, each) for case in newest.values() for each in case.alerts}
    return {
        "cases": {(id_, NOWHERE): Counter([_of_case(case)]) for id_, case in newest.items()},
        "case_alerts": {
            (id_, NOWHERE): Counter([content(case_alert_row(case, each, each.instrument))])
            for id_, (case, each) in alerts.items()
        },
        "case_history": history,
    }


def kept(table: str, snapshot: Snapshot) -> Found:
    """What lies in a table."""
    found: Found = {}
    for row in snapshot.rows(_QUERIES[table]):
        if table == "case_history":
            key, told = _revision(row[0], row[1]), content(row[2])
        else:
            key, told = (row[0], NOWHERE), content(row)
        found.setdefault(key, Counter())[told] += 1
    return found


def _revision(id_: str, revision: int) -> Key:
    return f"{id_} revision {revision}", NOWHERE


def _of_case(case: Case) -> bytes:
    """Its row, with JSON columns as values."""
    row = dict(zip(CASE, case_row(case, case.instrument), strict=True))
    for name in ("closing", "history"):
        row[name] = None if row[name] is None else msgspec.json.decode(row[name])
    return content(list(row.values()))
