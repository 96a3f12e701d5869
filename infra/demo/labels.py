"""Alerts against what was injected: which episodes were found, which alerts were false, which look-alikes alerted."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from tapewatch.contract.messages import Alert
from tapewatch.rfc3339 import from_rfc3339

PRICE_PUSHED = ("pump_and_dump", "ramping")
"""Injected scenarios that move the price: an alert on price or volume meanwhile is no false one, whatever its name."""

OF_ORDERS = ("spoofing", "layering", "quote_stuffing")
"""Injected scenarios of the order book: an alert of one on another is no false alert."""

ANY_MANIPULATION = ("kmeans_anomaly", "fused_anomaly")
"""Alerts of these scenarios mean no manipulation in particular: any injected one is their finding."""

AFTER_NS = 60_000_000_000
"""An alert counts for an episode up to so long after its end."""


class Episode(msgspec.Struct, frozen=True):
    """An injected event: first and last effect in UTC nanoseconds."""

    scenario: str
    instrument: str
    start_ns: int
    end_ns: int

    def overlaps(self, alert: Alert) -> bool:
        """Whether the alert is about this instrument and lies between the beginning and a minute after the end."""
        return (
            alert.instrument == self.instrument
            and from_rfc3339(alert.decided) >= self.start_ns
            and from_rfc3339(alert.onset) <= self.end_ns + AFTER_NS
        )


class DetectionCounts(msgspec.Struct):
    """How one injected scenario fared.

    injected : begun so far; running : of these, not yet over when last looked
    detected : found by the scenario of that name
    anomalies : on which a scenario of ANY_MANIPULATION alerted
    """

    injected: int = 0
    running: int = 0
    detected: int = 0
    anomalies: int = 0


class LookAlike(msgspec.Struct):
    """How a kind of look-alike fared. alerted : by a scenario that is injected too; anomalies : by ANY_MANIPULATION."""

    injected: int = 0
    alerted: int = 0
    anomalies: int = 0


class Verdict(msgspec.Struct, frozen=True):
    """Alerts and labels compared. false_alerts : alerts that no injected manipulation explains, by their scenario."""

    episodes: dict[str, DetectionCounts]
    look_alikes: dict[str, LookAlike]
    false_alerts: dict[str, int]


def read(path: Path) -> list[Episode]:
    """A label file (`scenario,instrument,start,end`); none yet is an empty one."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [
            Episode(row["scenario"], row["instrument"], from_rfc3339(row["start"]), from_rfc3339(row["end"]))
            for row in csv.DictReader(file)
        ]


def judge(alerts: Sequence[Alert], injected: Sequence[Episode], look_alikes: Sequence[Episode], now_ns: int) -> Verdict:
    """Compare. now_ns : UTC nanoseconds up to which the market has come."""
    episodes: dict[str, DetectionCounts] = {}
    for episode in injected:
        found = episodes.setdefault(episode.scenario, DetectionCounts())
        found.injected += 1
        found.running += episode.end_ns > now_ns
        found.anomalies += _alerted(episode, alerts, ANY_MANIPULATION)
        found.detected += _alerted(episode, alerts, [episode.scenario])
    likes: dict[str, LookAlike] = {}
    for episode in look_alikes:
        like = likes.setdefault(episode.scenario, LookAlike())
        like.injected += 1
        like.alerted += _alerted(episode, alerts, (*PRICE_PUSHED, *OF_ORDERS))
        like.anomalies += _alerted(episode, alerts, ANY_MANIPULATION)
    return Verdict(dict(sorted(episodes.items())), dict(sorted(likes.items())), _false(alerts, injected))


def _alerted(episode: Episode, alerts: Sequence[Alert], scenarios: Iterable[str]) -> bool:
    wanted = set(scenarios)
    return any(alert.scenario in wanted and episode.overlaps(alert) for alert in alerts)


def _false(alerts: Sequence[Alert], injected: Sequence[Episode]) -> dict[str, int]:
    """False alerts by scenario; a scenario that alerted at all is listed."""
    counts: dict[str, int] = {}
    for alert in alerts:
        explained = any(_explains(episode, alert) for episode in injected)
        counts[alert.scenario] = counts.get(alert.scenario, 0) + (not explained)
    return dict(sorted(counts.items()))


def _explains(episode: Episode, alert: Alert) -> bool:
    """Whether an alert on an injected episode's instrument and time is of its kind."""
    kind = (alert.scenario in OF_ORDERS) == (episode.scenario in OF_ORDERS)
    return (kind or alert.scenario in ANY_MANIPULATION) and episode.overlaps(alert)
