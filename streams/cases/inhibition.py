"""Which alert keeps which from raising anybody, as Alertmanager's inhibition rules have it: a source that tells the
whole story silences targets that tell part of it.

A source inhibits a target of the table when both are of one instrument and one episode (their spans from onset to
newest revision lie within `inhibit_s` of each other), the source is at least as severe, and nothing keeps the source
itself from raising: a suppressed alert silences nobody.
"""

from collections.abc import Sequence

import msgspec

from detectors.scenarios.catalogue import GENERAL, SILENCES
from streams.cases.risk import RANK
from tapewatch.clock import NANOS
from tapewatch.contract.messages import CaseAlert
from tapewatch.rfc3339 import from_rfc3339


def inhibits(source: str, target: str) -> bool:
    """Whether a scenario's alert may silence another scenario's."""
    return target in SILENCES.get(source, ()) or (target in GENERAL and source not in GENERAL)


def judged(alerts: Sequence[CaseAlert], within_s: float) -> tuple[CaseAlert, ...]:
    """The alerts with inhibition by stronger ones worked out anew; suppression and cooldown stay as they are."""
    free = [_freed(alert) for alert in alerts]
    settled: dict[str, CaseAlert] = {}
    # From the strongest on: by then it is known of every possible source whether it is silent itself.
    for alert in sorted(free, key=_weight):
        source = next((each for each in settled.values() if _silences(each, alert, within_s)), None)
        settled[alert.id] = (
            alert if source is None else msgspec.structs.replace(alert, inhibited=source.id, inhibition="stronger")
        )
    return tuple(settled[alert.id] for alert in alerts)


def _freed(alert: CaseAlert) -> CaseAlert:
    if alert.inhibition != "stronger":
        return alert
    return msgspec.structs.replace(alert, inhibited="", inhibition="")


def _depth(scenario: str) -> int:
    """How many tables' steps lie above a scenario: sources come before their targets."""
    if scenario in GENERAL:
        return len(SILENCES) + 1
    above = [source for source, targets in SILENCES.items() if scenario in targets]
    return 1 + max(map(_depth, above)) if above else 0


DEPTH = {scenario: _depth(scenario) for scenario in {*GENERAL, *SILENCES, *(t for ts in SILENCES.values() for t in ts)}}


def _weight(alert: CaseAlert) -> tuple[int, int, str, str]:
    """Sort key: by place in the table, then severity, then age; the id decides between equals."""
    return DEPTH.get(alert.scenario, 0), -RANK[alert.severity], alert.decided, alert.id


def _silences(source: CaseAlert, target: CaseAlert, within_s: float) -> bool:
    return (
        not source.inhibited
        and not target.inhibited
        and source.instrument == target.instrument
        and RANK[source.severity] >= RANK[target.severity]
        and inhibits(source.scenario, target.scenario)
        and _apart(source, target) <= within_s * NANOS
    )


def _apart(one: CaseAlert, other: CaseAlert) -> int:
    """Nanoseconds between two episodes; 0 where they overlap."""
    first, second = (from_rfc3339(each.onset) for each in (one, other))
    return max(second - from_rfc3339(one.updated), first - from_rfc3339(other.updated), 0)
