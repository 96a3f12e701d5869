"""What a run found, and the tables of docs/mutants.md."""

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from benchmarks.figures import Machine
from benchmarks.mutants.job import Outcome
from benchmarks.mutants.listing import Mutant
from benchmarks.mutants.targets import TARGETS
from benchmarks.report import DOCS, filled

PAGE = DOCS / "mutants.md"
LEAST = 200
"""Mutants that the whole list must have, beside those that do not count."""
LEAST_SHARE = 0.85
"""Share of the mutants that are not equivalent which tests have to kill."""
KILLED = ("killed", "timeout")
NOT_EXPLAINED = "no test notices it"


class SurvivingMutant(msgspec.Struct, frozen=True):
    """A mutant that no test killed. why : the reason where it is equivalent, else empty"""

    mutant: Mutant
    why: str


class Result(msgspec.Struct, frozen=True):
    """The document.

    counts : by file and status: killed, timeout, survived, equivalent, stale (its line is gone), untried
    judged : all that are neither equivalent nor stale nor untried; killed : of these; share : killed / judged
    """

    judged: int
    killed: int
    share: float
    counts: dict[str, dict[str, int]]
    left: list[SurvivingMutant]
    outcomes: list[Outcome]
    seconds: float
    machine: Machine


def result(
    chosen: Sequence[Mutant], outcomes: Sequence[Outcome], reasons: Mapping[Mutant, str], seconds: float, where: Machine
) -> Result:
    """What the outcomes come to. reasons : of the mutants that are listed as equivalent"""
    status = dict.fromkeys(chosen, "untried") | {each.mutant: each.status for each in outcomes}
    for mutant, found in status.items():
        if found == "survived" and mutant in reasons:
            status[mutant] = "equivalent"
    counts = {
        target.file: dict(Counter(status[each] for each in chosen if each.file == target.file)) for target in TARGETS
    }
    killed = sum(found in KILLED for found in status.values())
    survived = sum(found == "survived" for found in status.values())
    return Result(
        judged=killed + survived,
        killed=killed,
        share=round(killed / max(killed + survived, 1), 4),
        counts={file: each for file, each in counts.items() if each},
        left=[
            SurvivingMutant(mutant, reasons[mutant] if found == "equivalent" else "")
            for mutant, found in status.items()
            if found in ("survived", "equivalent")
        ],
        outcomes=list(outcomes),
        seconds=round(seconds, 1),
        machine=where,
    )


def tables(found: Result) -> str:
    """The sums by file, and each mutant that is left with the reason."""
    lines = ["| file | mutants | killed | out of time | survived | equivalent |", "|---|--:|--:|--:|--:|--:|"]
    total: Counter[str] = Counter()
    for file, counts in found.counts.items():
        total.update(counts)
        lines.append(_row(f"`{file}`", counts))
    lines += [_row("**all**", total), "", f"**{_sum(found, total)}**", ""]
    lines.append(f"{found.seconds:,.0f} s on {found.machine.cores} cores, {found.machine.cpu}, Python "
                 f"{found.machine.python}, load {found.machine.load_before:g} before the run.")  # fmt: skip
    if found.left:
        lines += ["", "| left | line | becomes | why |", "|---|---|---|---|"]
    for left in found.left:
        mutant = left.mutant
        where = f"`{mutant.file}` {mutant.function}".strip()
        lines.append(f"| {where} | {_code(mutant.line)} | {_code(mutant.becomes)} | {left.why or NOT_EXPLAINED} |")
    return "\n".join(lines)


def _row(name: str, counts: Mapping[str, int]) -> str:
    columns = [counts.get(status, 0) for status in ("killed", "timeout", "survived", "equivalent")]
    return f"| {name} | {' | '.join(map(str, [sum(counts.values()), *columns]))} |"


def _sum(found: Result, total: Mapping[str, int]) -> str:
    told = f"{found.killed} of {found.judged} killed ({found.share:.1%})"
    for status, meaning in (
        ("equivalent", "do what the product does"),
        ("stale", "whose line is gone"),
        ("untried", "not tried"),
    ):
        if total.get(status):
            told += f", {total[status]} more {meaning}"
    return told


def _code(line: str) -> str:
    """A line of source in a cell of a table."""
    ticks = "``" if "`" in line else "`"
    return f"{ticks}{line.replace('|', chr(92) + '|')}{ticks}"


def write(found: Result) -> None:
    """Put the tables into the page."""
    PAGE.write_text(filled(PAGE.read_text(), "mutants", tables(found)))
