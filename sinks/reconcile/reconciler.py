"""Compare, wait for what is on its way, repair, compare again.

The stores are read before the topic, so that nothing they hold can be newer than what the topic is known to hold. What
they lack may be on its way: it counts as a difference only if it is one still after `settle_s`. A repair leaves to a
sink what it has not read yet: what was repaired was really lost or spoilt.

The alerts of the topic, and single records of it again.

What a comparison found: as JSON, in words, as metrics.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Protocol

import msgspec
from confluent_kafka import Message

from sinks.log_reader import place
from sinks.reconcile import hashes
from sinks.reconcile.elasticsearch import ElasticsearchAlerts
from sinks.reconcile.ledger import (
    ELASTICSEARCH,
    KINDS,
    POSTGRES,
    AlertVersion,
    Difference,
    ExpectedAlert,
    Ledger,
    refused_records,
)
from sinks.reconcile.postgres import PostgresAlerts
from tapewatch.clock import NANOS, WALL
from tapewatch.contract import messages, topics
from tapewatch.contract.instruments import is_instrument_id
from tapewatch.contract.messages import Alert
from tapewatch.errors import ContractError
from tapewatch.rfc3339 import stamp, to_rfc3339
from tapewatch.runtime import kafka
from tapewatch.runtime.exposition import Sample, family
from tapewatch.runtime.monitoring import Metric, counter, gauge
from tapewatch.settings import Settings

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


def _decided(alert: Alert) -> int:
    """The time of the decision, UTC nanoseconds; ValueError for an alert that the sinks refuse to keep."""
    times = [stamp(time) for time in (alert.onset, alert.decided, alert.updated)]
    if not is_instrument_id(alert.instrument) or alert.revision >= 2**31:
        raise ValueError("no sink can keep it")
    return times[1]


class AlertTopic:
    """Reads on from where it stood; `expired` tells whether the topic has lost its beginning, unreadable counts."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._reader = kafka.consumer(settings, "tapewatch-reconcile")
        self._next: dict[int, int] = {}
        self._letters_read: dict[int, int] = {}
        self.unreadable = 0
        self.expired = False

    def fresh(self) -> Iterator[ExpectedAlert]:
        """Alerts that were written since the last look, at each revision."""
        partitions = kafka.existing_topics(kafka.admin(self._settings)).get(topics.ALERTS, 0)
        for partition in range(partitions):
            low, high = kafka.watermarks(self._reader, topics.ALERTS, partition)
            self.expired = self.expired or low > 0
            start = self._next.get(partition, low)
            for message in kafka.read_range(self._reader, topics.ALERTS, partition, start, high):
                noted = self._noted(message)
                if noted is not None:
                    yield noted
            self._next[partition] = high

    def refused(self) -> Iterator[tuple[str, int, int]]:
        """Who refused a record since the last look: store, partition and offset."""
        there = kafka.existing_topics(kafka.admin(self._settings))
        letters = topics.dead_letters(topics.ALERTS)
        ends = {each: kafka.watermarks(self._reader, letters, each)[1] for each in range(there.get(letters, 0))}
        for by, (topic, partition, offset) in refused_records(self._reader, there, topics.ALERTS, self._letters_read):
            if topic == topics.ALERTS:
                yield by, partition, offset
        self._letters_read = ends

    def _noted(self, message: Message) -> ExpectedAlert | None:
        """An alert with its hashes; None for what the sinks bury too."""
        try:
            alert = messages.decode(Alert, message.value() or b"")
            decided = _decided(alert)
            as_row, as_document = hashes.of_message(alert), hashes.as_document(alert)
        except (ContractError, ValueError):
            self.unreadable += 1
            return None
        (_, partition), offset = place(message)
        return ExpectedAlert(alert.id, alert.revision, decided, partition, offset, as_row, as_document)

    def again(self, places: Iterable[tuple[int, int]]) -> Iterator[tuple[tuple[str, int, int], bytes]]:
        """Records by partition and offset, in order: origin and value."""
        for partition, offset in sorted(places):
            for message in kafka.read_range(self._reader, topics.ALERTS, partition, offset, offset + 1):
                if message.offset() == offset:
                    yield (topics.ALERTS, partition, offset), message.value() or b""

    def close(self) -> None:
        """Give the consumer back."""
        self._reader.close()


_AT_ONCE = 500
Record = tuple[tuple[str, int, int], bytes]


class Store(Protocol):
    """Where alerts are kept."""

    name: str

    def reached(self) -> dict[int, int] | None:
        """How far the sink has come: next offset by partition of the topic; None where it never ran."""
        ...

    def read(self, since_ns: int, until_ns: int) -> Iterator[AlertVersion]:
        """Alerts decided in a stretch of time."""
        ...

    def write(self, records: Sequence[Record]) -> None:
        """Bring alerts to what records of the topic say; what the store cannot hold is left as it is."""
        ...

    def delete(self, ids: Sequence[str]) -> None:
        """Take alerts away."""
        ...


class Reconciler:
    """Compares as often as it is asked; the topic is read on, not anew. stores : names of those to compare"""

    def __init__(self, settings: Settings, stores: Sequence[str], settle_s: float = 3.0) -> None:
        self._stores: list[Store] = []
        if POSTGRES in stores:
            self._stores.append(PostgresAlerts(settings.postgres_url()))
        if ELASTICSEARCH in stores:
            self._stores.append(ElasticsearchAlerts(settings))
        self._topic, self._ledger, self._settle = AlertTopic(settings), Ledger(), settle_s
        self._reached: dict[str, dict[int, int] | None] = {}

    def run(self, since_ns: int, until_ns: int, repair: bool) -> Report:
        """One comparison over alerts decided in [since, until); with `repair`, what is left after it."""
        began = WALL.elapsed()
        kept = self._look(since_ns, until_ns)
        if any(self._some(store, since_ns, until_ns) for store in self._stores):
            WALL.sleep(self._settle)
            kept = self._look(since_ns, until_ns)
        repaired, left_alone = dict[str, list[str]](), 0
        if repair:
            for store in self._stores:
                touched, left = self._repair(store, since_ns, until_ns)
                left_alone += left
                if touched:
                    repaired[store.name] = touched
            if repaired:
                kept = self._look(since_ns, until_ns)
                for name, touched in repaired.items():
                    # What a store cannot hold is not repaired: it is told as the difference that it stays.
                    still = {found.id for found in self._ledger.differences(name, since_ns, until_ns)}
                    repaired[name] = [id_ for id_ in touched if id_ not in still]
        repaired = {name: ids for name, ids in repaired.items() if ids}
        stores = {store.name: self._told(store, kept[store.name], since_ns, until_ns) for store in self._stores}
        return made(
            began,
            since_ns,
            until_ns,
            alerts=self._ledger.count(since_ns, until_ns),
            unreadable=self._topic.unreadable,
            stores=stores,
            differences=sum(store.total for store in stores.values()),
            repaired={name: len(ids) for name, ids in repaired.items()},
            repaired_ids={name: ids[:EXAMPLES] for name, ids in repaired.items()},
            left_alone=left_alone,
            seconds=round((WALL.elapsed() - began) / NANOS, 3),
        )

    def close(self) -> None:
        """Give connections and scratch space back."""
        self._topic.close()
        self._ledger.close()
        for store in self._stores:
            with suppress(AttributeError):
                store.close()  # type: ignore[attr-defined]

    def _look(self, since_ns: int, until_ns: int) -> dict[str, int]:
        """Read stores, then the topic; how many alerts each store keeps."""
        # Asked before the store is read: what the sink had come to by then must be in what is read.
        self._reached = {store.name: store.reached() for store in self._stores}
        kept = {store.name: self._ledger.keep(store.name, store.read(since_ns, until_ns)) for store in self._stores}
        self._ledger.note(self._topic.fresh())
        self._ledger.refuse(self._topic.refused())
        return kept

    def _some(self, store: Store, since_ns: int, until_ns: int) -> bool:
        """Whether a store differs at all."""
        return next(self._ledger.differences(store.name, since_ns, until_ns), None) is not None

    def _told(self, store: Store, kept: int, since_ns: int, until_ns: int) -> StoreReport:
        """Differences of a store, counted, with examples."""
        counts, examples = Counter[str](), dict[str, list[str]]()
        for found in self._ledger.differences(store.name, since_ns, until_ns):
            counts[found.kind] += 1
            if counts[found.kind] <= EXAMPLES:
                examples.setdefault(found.kind, []).append(found.id)
        return StoreReport(kept, {kind: counts[kind] for kind in KINDS}, examples)

    def _repair(self, store: Store, since_ns: int, until_ns: int) -> tuple[list[str], int]:
        """Bring a store to what the topic says; ids of the alerts touched, and how many extra ones were left."""
        differences = (
            found
            for found in self._ledger.differences(store.name, since_ns, until_ns)
            if found.place is None or self._is_due(store, found.place)
        )
        touched, left = list[str](), 0
        known = self._ledger.count(since_ns, until_ns) > 0 and not self._topic.expired
        for part in _parts(differences):
            places = [found.place for found in part if found.place is not None]
            extra = [found.id for found in part if found.place is None]
            if places:
                store.write(list(self._topic.again(places)))
                touched += [found.id for found in part if found.place is not None]
            if extra and known:
                store.delete(extra)
                touched += extra
            elif extra:
                # A topic that has lost alerts cannot say that they never were.
                left += len(extra)
        return touched, left

    def _is_due(self, store: Store, place: tuple[int, int]) -> bool:
        """Whether the sink has read a record of the topic; where it never ran, nothing is left to it."""
        reached = self._reached[store.name]
        return reached is None or place[1] < reached.get(place[0], 0)


def _parts(differences: Iterator[Difference]) -> Iterator[list[Difference]]:
    """Some at a time."""
    while part := list(islice(differences, _AT_ONCE)):
        yield part
