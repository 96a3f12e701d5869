"""The evidence report of an alert: what happened, on what evidence, who did what about it, and whether it is proved.

The result of `tapewatch verify`, as the console keeps it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from console.api.moments import Context
from console.reports.blocks import Block, Fields, Heading, Table, Text
from console.reports.charts import pictures, shown
from tapewatch.contract.messages import Alert, Case
from tapewatch.proof.evidence import Entry


class RecordComparison(msgspec.Struct, frozen=True):
    """What was found for one record of the alert. same_build : this build decided it"""

    revision: int
    identical: bool
    same_build: bool
    differences: list[str] = []


class VerificationResult(msgspec.Struct, frozen=True):
    """A verification: recomputed from what, by which build, with which result; when and by whom.

    problem : why it could not be done at all; empty where it was
    """

    alert: str
    identical: bool
    source: str = ""
    input: str = ""
    build: str = ""
    replayed: int = 0
    bundles: list[str] = []
    damage: list[str] = []
    findings: list[RecordComparison] = []
    problem: str = ""
    at: str = ""
    who: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """What a report tells.

    name : of the instrument; revisions : of the alert, oldest first; proof : the last verification, if there was one
    bundles : of the archive; audit_head, audit_entries : of the audit log; made_at, made_by : RFC 3339, account
    """

    alert: Alert
    name: str
    revisions: Sequence[Alert]
    case: Case | None
    context: Context
    proof: VerificationResult | None
    bundles: Sequence[Entry] = ()
    audit_head: str = ""
    audit_entries: int = 0
    made_at: str = ""
    made_by: str = ""
    notes: Sequence[str] = field(default_factory=tuple)


def title(report: Report) -> str:
    """The report's title."""
    return f"Evidence report: {worded(report.alert.scenario)}, {report.alert.instrument}"


def blocks(report: Report) -> list[Block]:
    """The report, section by section."""
    alert = report.alert
    named = f"{alert.instrument} {report.name}".strip()
    return [
        Text(alert.sentence, "lead"),
        Fields(
            [
                ("Alert", alert.id),
                ("Instrument", named),
                ("Scenario", worded(alert.scenario)),
                ("Severity and score", f"{alert.severity}, {alert.score:.1f} of 100"),
                ("Probability", "not calibrated" if alert.probability is None else f"{alert.probability:.2%}"),
                ("Onset", when(alert.onset)),
                ("Decided", when(alert.decided)),
                ("State", f"{alert.state}, revision {alert.revision}"),
                ("Rests on", alert.data_tier),
            ]
        ),
        Heading("Evidence against thresholds"),
        _evidence(alert),
        Heading("The minutes around it"),
        *_minutes(report),
        Heading("Revisions"),
        _revisions(report.revisions),
        Heading("Case"),
        *_case(report.case),
        Heading("Provenance"),
        _provenance(alert),
        Heading("Proof"),
        *_proof(report),
        Heading("This report"),
        Fields(
            [
                ("Made", f"{when(report.made_at)} by {report.made_by}"),
                ("Head of the audit log", f"{report.audit_head} (entry {report.audit_entries})"),
            ]
        ),
        *(Text(note, "small") for note in report.notes),
    ]


def _minutes(report: Report) -> Sequence[Block]:
    found = pictures(report.context, report.alert.evidence)
    return found or [Text("Nothing of these minutes is kept any more.")]


def _evidence(alert: Alert) -> Table:
    rows = []
    for each in alert.evidence:
        met = "context" if each.threshold is None else _met(each.value, each.relation, each.threshold)
        limit = "" if each.threshold is None else f"{each.relation} {shown(each.threshold)}"
        rows.append((each.feature, shown(each.value), limit, each.unit, met))
    return Table(("feature", "value", "threshold", "unit", ""), rows, frozenset({1, 2}))


def _met(value: float | None, relation: str, threshold: float) -> str:
    if value is None:
        return "not warm"
    return "met" if (value >= threshold if relation == ">=" else value <= threshold) else "not met"


def _revisions(revisions: Sequence[Alert]) -> Table:
    rows = [
        (str(each.revision), when(each.updated), each.state, each.severity, f"{each.score:.1f}") for each in revisions
    ]
    return Table(("revision", "at", "state", "severity", "score"), rows, frozenset({4}))


def _case(case: Case | None) -> list[Block]:
    if case is None:
        return [Text("The alert belongs to no case yet.")]
    closing = f"{case.closing.who} wants to close it as {worded(case.closing.disposition)}" if case.closing else ""
    fields = Fields(
        [
            ("Case", case.id),
            ("State", worded(case.state)),
            ("Disposition", worded(case.disposition)),
            ("Waits for approval", closing),
            ("Owner", case.owner),
            ("Risk and priority", f"{case.risk:.1f}, priority {case.priority}"),
            ("Alerts", str(len(case.alerts))),
        ]
    )
    rows = [(when(step.at), step.who, worded(step.action), step.subject, step.why) for step in case.history]
    return [fields, Table(("at", "who", "did", "about", "why"), rows)]


def _provenance(alert: Alert) -> Fields:
    source = alert.provenance
    return Fields(
        [
            ("Input", f"{source.topic}[{source.partition}]"),
            (
                "Offsets",
                f"onset {source.onset_offset}, decided {source.decided_offset}, updated {source.updated_offset}",
            ),
            ("Configuration", source.configuration),
            ("Models", "\n".join(f"{name} {wanted}" for name, wanted in sorted(source.models.items()))),
            ("Build", source.build),
        ]
    )


def _proof(report: Report) -> list[Block]:
    proof = report.proof
    told: list[Block] = []
    if proof is None:
        told.append(Text("Nobody has verified this alert yet.", "bad"))
    else:
        where = "the market log" if proof.source == "log" else "its evidence bundle"
        good = f"Proved: {where} gives this alert, byte for byte."
        told.append(Text(good, "good") if proof.identical else Text(f"NOT proved from {where}.", "bad"))
        rows = [
            (str(each.revision), "identical" if each.identical else "different", "; ".join(each.differences))
            for each in proof.findings
        ]
        build = f"{proof.build}" + ("" if all(each.same_build for each in proof.findings) else " (another one decided)")
        told += [
            Fields([("Verified", f"{when(proof.at)} by {proof.who}"), ("Input", proof.input), ("Build", build)]),
            Table(("revision", "result", "differences"), rows),
            *(Text(f"Damaged: {line}", "bad") for line in proof.damage),
        ]
    bundles = [
        (each.bundle, ",".join(map(str, each.subject.revisions)), when(each.created), each.locked_until[:10],
         "yes" if each.proved else each.problem)
        for each in report.bundles
    ]  # fmt: skip
    return [*told, Table(("evidence bundle (SHA-256)", "revisions", "archived", "locked until", "proved then"), bundles,
                         empty="No evidence bundle is archived.")]  # fmt: skip


def worded(code: str) -> str:
    """A code as words."""
    return code.replace("_", " ")


def when(at: str) -> str:
    """A time to the millisecond, UTC."""
    return f"{at[:10]} {at[11:23].rstrip('Z')} UTC" if at else ""
