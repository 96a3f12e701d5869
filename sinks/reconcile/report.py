"""What a comparison found: as JSON, in words, as metrics."""

from collections.abc import Mapping

import msgspec

from sinks.reconcile.ledger import KINDS
from tapewatch.rfc3339 import to_rfc3339
from tapewatch.runtime.exposition import Sample, family
from tapewatch.runtime.monitoring import Metric, counter, gauge

EXAMPLES = 20


class StoreReport(msgspec.Struct, frozen=True):
    """One store. alerts : kept in the stretch of time; differences : by kind; examples : ids by kind, a few"""

    alerts: int
    differences: dict[str, int]
    examples: dict[str, list[str]] = {}

    @property
    def total(self) -> int:
        """All differences."""
        return sum(self.differences.values())


class Report(msgspec.Struct, frozen=True):
    """A comparison. since, until : of the alerts' decision, RFC 3339; alerts : in the topic, in that stretch

    unreadable : records of the topic that are no alerts; repaired : alerts written or taken away, by store
    repaired_ids : the first of them
    left_alone : extra alerts that were not taken away, since the topic has lost its beginning or holds nothing
    """

    at: str
    since: str
    until: str
    alerts: int
    unreadable: int
    stores: dict[str, StoreReport]
    differences: int
    repaired: dict[str, int] = {}
    repaired_ids: dict[str, list[str]] = {}
    left_alone: int = 0
    seconds: float = 0.0

    def lines(self) -> list[str]:
        """In words, a line a store."""
        said = [f"{self.alerts:,} alerts in the topic, decided {self.since} to {self.until}"]
        for name, store in self.stores.items():
            found = ", ".join(f"{count} {kind}" for kind, count in store.differences.items() if count)
            mended = f"; {self.repaired[name]} repaired" if self.repaired.get(name) else ""
            said.append(f"{name:<14}{store.alerts:,} alerts, {found or 'no difference'}{mended}")
        return said


ROUNDS = counter("tapewatch_reconcile_rounds_total", "Comparisons made.")
FAILURES = counter("tapewatch_reconcile_failures_total", "Comparisons that failed.")
IN_TOPIC = gauge("tapewatch_reconcile_topic_alerts", "Alerts in the topic.")
IN_STORE = gauge("tapewatch_reconcile_alerts", "Alerts kept, by store.", "store")
DIFFERENCES = gauge("tapewatch_reconcile_differences", "Differences left, by store and kind.", "store", "kind")
REPAIRED = gauge("tapewatch_reconcile_repaired", "Repaired in the last comparison.", "store")


def metrics(report: Report | None, rounds: int, failures: int) -> str:
    """Prometheus' text format."""
    lines = _family(ROUNDS, [({}, rounds)]) + _family(FAILURES, [({}, failures)])
    if report is not None:
        stores: Mapping[str, StoreReport] = report.stores
        differences: list[Sample] = [
            ({"store": name, "kind": kind}, store.differences.get(kind, 0))
            for name, store in stores.items()
            for kind in KINDS
        ]
        kept: list[Sample] = [({"store": name}, store.alerts) for name, store in stores.items()]
        repaired: list[Sample] = [({"store": name}, count) for name, count in report.repaired.items()]
        lines += _family(IN_TOPIC, [({}, report.alerts)]) + _family(IN_STORE, kept)
        lines += _family(DIFFERENCES, differences) + _family(REPAIRED, repaired)
    return "\n".join(lines) + "\n"


def _family(metric: Metric, samples: list[Sample]) -> list[str]:
    return family(metric.name, metric.kind, metric.text, samples)


def made(at_ns: int, since_ns: int, until_ns: int, **more: object) -> Report:
    """A report with its times as text."""
    times = {"at": to_rfc3339(at_ns), "since": to_rfc3339(since_ns), "until": to_rfc3339(until_ns)}
    return msgspec.convert({**times, **more}, Report)
