"""All cases, and the one that a new alert belongs to: by neighbourhood and time, by cooldown, by suppression."""

from streams.cases.risk import CONFIRMED, DISMISSED, Record, highest
from tapewatch.clock import NANOS
from tapewatch.messages import Case, CaseAlert
from tapewatch.reach_settings import CaseSettings
from tapewatch.rfc3339 import from_rfc3339

QUIET = "suppressed"
"""Disposition of a case in which no alert ever raised anybody."""


class CaseIndex:
    """Cases by id, with what finds them again."""

    def __init__(self, settings: CaseSettings) -> None:
        self._settings = settings
        self.cases: dict[str, Case] = {}
        self._of_alert: dict[str, str] = {}
        self._open: dict[str, dict[str, None]] = {}
        self._closed: dict[str, dict[str, str]] = {}
        self._cooling: dict[tuple[str, str], str] = {}
        self._quiet: dict[str, str] = {}
        self._at_close: dict[str, int] = {}

    def put(self, case: Case) -> None:
        """Take up a case's newest revision."""
        self.cases[case.id] = case
        for alert in case.alerts:
            self._of_alert[alert.id] = case.id
        works = self._open.setdefault(case.neighbourhood, {})
        outcomes = self._closed.setdefault(case.neighbourhood, {})
        if case.state != "closed":
            works[case.id] = None
            outcomes.pop(case.id, None)
            self._at_close.pop(case.id, None)
            return
        self._at_close.setdefault(case.id, highest(case.alerts))
        works.pop(case.id, None)
        outcomes[case.id] = case.disposition
        if case.disposition == QUIET:
            self._quiet[case.neighbourhood] = case.id
            return
        for alert in case.alerts:
            key = (alert.scenario, alert.instrument)
            held = self.cases.get(self._cooling.get(key, ""))
            if held is None or held.closed <= case.closed:
                self._cooling[key] = case.id

    def ceiling(self, case: Case) -> int:
        """Rank of the highest severity that raised somebody: at the close of a closed case, else now; -1 for none."""
        return self._at_close.get(case.id, highest(case.alerts))

    def of_alert(self, alert: str) -> Case | None:
        """The case that holds an alert; None before it is in one."""
        return self.cases.get(self._of_alert.get(alert, ""))

    def record(self, name: str, beside: str = "") -> Record:
        """How the neighbourhood's closed cases came out, one of them left aside."""
        outcomes = [outcome for case, outcome in self._closed.get(name, {}).items() if case != beside]
        return Record(sum(each in CONFIRMED for each in outcomes), sum(each in DISMISSED for each in outcomes))

    def open_case(self, name: str, alert: CaseAlert) -> Case | None:
        """The case in work whose alerts lie nearest, within the window; the lowest id decides between equals."""
        found = []
        for each in self._open.get(name, {}):
            case = self.cases[each]
            gap = _gap(case, alert)
            if len(case.alerts) < self._settings.most_alerts and gap <= self._settings.window_s * NANOS:
                found.append((gap, each))
        return self.cases[min(found)[1]] if found else None

    def cooling(self, alert: CaseAlert) -> Case | None:
        """The closed case whose cooldown the alert falls into: of its scenario and instrument, decided within
        `cooldown_s` after the close, or after the newest revision of the case's alerts where the log's time is behind.
        """
        case = self.cases.get(self._cooling.get((alert.scenario, alert.instrument), ""))
        if case is None or case.state != "closed" or len(case.alerts) >= self._settings.most_alerts:
            return None
        decided, lasts = from_rfc3339(alert.decided), self._settings.cooldown_s * NANOS
        newest = max(each.updated for each in case.alerts)
        ends = (from_rfc3339(newest), from_rfc3339(case.closed))
        return case if any(0 <= decided - end <= lasts for end in ends) or _gap(case, alert) == 0 else None

    def quiet_case(self, name: str, alert: CaseAlert) -> Case | None:
        """The case of alerts that never raised anybody, within the window."""
        case = self.cases.get(self._quiet.get(name, ""))
        if case is None or case.state != "closed" or len(case.alerts) >= self._settings.most_alerts:
            return None
        return case if _gap(case, alert) <= self._settings.window_s * NANOS else None


def _gap(case: Case, alert: CaseAlert) -> int:
    """Nanoseconds between an alert's decision and the nearest of the case's alerts, from decided to updated; 0 within
    one.
    """
    at = from_rfc3339(alert.decided)
    return min(max(from_rfc3339(each.decided) - at, at - from_rfc3339(each.updated), 0) for each in case.alerts)
