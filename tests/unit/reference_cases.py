"""The rules of docs/cases.md, slowly and plainly: which alerts are quiet, and what a case's risk is.

Written from that page alone, to hold the case stage against. Times are whole seconds, numbers are fractions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import prod
from pathlib import Path

from tapewatch.contract.messages import CaseAlert
from tests.unit.case_scene import at

PAGE = Path(__file__).parents[2] / "docs" / "cases.md"
LADDER = ("low", "medium", "high", "critical")
SEVERITY = dict(zip(LADDER, (Fraction(20, 100), Fraction(45, 100), Fraction(70, 100), Fraction(90, 100)), strict=True))
UNKNOWN = None


@dataclass(frozen=True)
class PlainAlert:
    """An alert. percent : its probability; quiet : what keeps it quiet beside stronger alerts, "" for nothing"""

    scenario: str
    severity: str = "high"
    instrument: str = "2330.XTAI"
    score: int = 80
    percent: int | None = UNKNOWN
    onset: int = 0
    decided: int = 10
    updated: int = 10
    quiet: str = ""
    number: int = 0

    @property
    def id(self) -> str:
        return f"{self.number:032x}"

    def in_case(self) -> CaseAlert:
        """The alert as a case keeps it."""
        return CaseAlert(
            id=self.id,
            revision=0,
            scenario=self.scenario,
            instrument=self.instrument,
            severity=self.severity,
            score=float(self.score),
            state="open",
            onset=at(self.onset),
            decided=at(self.decided),
            updated=at(self.updated),
            inhibited="f" * 32 if self.quiet else "",
            inhibition="suppression" if self.quiet == "suppression" else "cooldown" if self.quiet else "",
            probability=None if self.percent is None else self.percent / 100,
        )


def risk(loud: Sequence[PlainAlert], confirmed: int = 0, dismissed: int = 0) -> Fraction:
    """Risk of a case whose alerts are all loud, not rounded. confirmed, dismissed : the neighbourhood's closed cases"""
    heaviest: dict[str, Fraction] = {}
    for alert in loud:
        probability = Fraction(100 if alert.percent is None else alert.percent, 100)
        weight = SEVERITY[alert.severity] * Fraction(60 * 100 + 40 * alert.score, 10_000) * (3 + probability) / 4
        key = f"{alert.scenario} of {alert.instrument}"
        heaviest[key] = max(weight, heaviest.get(key, weight))
    if not heaviest:
        return Fraction(0)
    risk = 1 - prod((1 - weight for weight in heaviest.values()), start=Fraction(1))
    for _ in range(min(confirmed, 5)):
        risk += (1 - risk) / 10
    for _ in range(min(dismissed, 10)):
        risk -= risk / 20
    return 100 * risk


class InhibitionTable:
    """The table of the page: which scenario silences which."""

    def __init__(self) -> None:
        lines = PAGE.read_text().partition("| source | targets |\n|---|---|\n")[2].partition("\n\n")[0].splitlines()
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
        self.general = set(rows[0][1].split(", "))
        self.pairs = {
            (source, target) for sources, targets in rows[1:]
            for source in sources.split(", ") for target in targets.split(", ")
        }  # fmt: skip
        self.scenarios = sorted(self.general | {each for pair in self.pairs for each in pair})

    def has(self, source: str, target: str) -> bool:
        return (source, target) in self.pairs or (target in self.general and source not in self.general)


def silencers(
    target: PlainAlert, alerts: Sequence[PlainAlert], table: InhibitionTable, inhibit_s: int
) -> list[PlainAlert]:
    """The loud alerts that silence one; none where something else keeps it quiet already."""
    if target.quiet:
        return []
    return [
        source
        for source in alerts
        if table.has(source.scenario, target.scenario)
        and source.instrument == target.instrument
        and source.onset - target.updated <= inhibit_s
        and target.onset - source.updated <= inhibit_s
        and LADDER.index(source.severity) >= LADDER.index(target.severity)
        and not source.quiet
        and not silencers(source, alerts, table, inhibit_s)
    ]


@dataclass(frozen=True)
class PlainRule:
    """A suppression rule. starts, expires : alerts decided from, and before; ended : when somebody ended it, s"""

    scenario: str = ""
    instrument: str = ""
    venue: str = ""
    below: str = ""
    starts: int = 0
    expires: int = 1000
    approved: bool = True
    ended: int | None = None

    def last_moment(self) -> int:
        """From when on it keeps nothing quiet."""
        return self.expires if self.ended is None else sorted((self.starts, self.ended, self.expires))[1]

    def keeps_quiet(self, alert: PlainAlert) -> bool:
        fits = self.scenario in ("", alert.scenario) and self.instrument in ("", alert.instrument)
        if self.venue:
            fits = fits and alert.instrument.endswith(f".{self.venue}")
        if self.below:
            fits = fits and alert.severity in LADDER[: LADDER.index(self.below)]
        return fits and self.approved and alert.decided in range(self.starts, self.last_moment())
