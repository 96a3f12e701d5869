"""`tapewatch run evidence`: follows `alerts` and archives what each revision was decided from.

The protocol, for each record of the topic:
1 a revision that the archive holds already is passed over;
2 state, log, models and reference data are gathered: if we die here, nothing is there yet;
3 the bundle is added to the archive (tapewatch/proof/evidence/archive.py), unless it holds the revision by now: if
  we die here, the next process completes the bundle, and then adds none, or makes it again;
4 the group's offset is committed: if we die before, the record comes again and step 1 passes over it.
"""

import threading
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from streams import members
from streams.engine.model_store import KafkaModelStore
from streams.engine.verification import decoded
from streams.engine.warm import warm_up
from streams.evidence.gathering import BrokerLog, BrokerSnapshots, Gatherer
from tapewatch import logs
from tapewatch.clock import WALL, Clock
from tapewatch.contract import topics
from tapewatch.market_log.registry import Registry
from tapewatch.proof.evidence import Archive, EvidenceRecord
from tapewatch.proof.evidence.records import kept
from tapewatch.runtime import kafka
from tapewatch.runtime.idling import IdleDetector
from tapewatch.runtime.monitoring import Monitor, counters
from tapewatch.runtime.monitoring.metric import PARTITIONS
from tapewatch.settings import Settings
from tapewatch.settings.canaries import is_canary

log = logs.get("evidence")


@dataclass(slots=True)
class Totals:
    """What this process has done so far.

    records : of the topic; bundles : archived; unproved : of those, whose alert did not come out or whose log was gone
    known : records that the archive held already; unreadable : records that are no alerts; bytes : of the parts
    canaries : alerts of our own canaries, which are no evidence of anything
    """

    records: int = 0
    bundles: int = 0
    unproved: int = 0
    known: int = 0
    unreadable: int = 0
    bytes: int = 0
    canaries: int = 0


COUNTS = counters(
    "evidence",
    records="Records of alerts taken.",
    bundles="Bundles archived.",
    unproved="Bundles whose alert did not come out anew, or whose log was gone.",
    known="Records whose bundle was there already.",
    unreadable="Records that are no alerts.",
    bytes="Bytes of bundles archived.",
)


class Follower:
    """One process that archives. Several may share the topic's partitions where they share the archive's folder."""

    def __init__(self, settings: Settings, instance: str = "", clock: Clock = WALL) -> None:
        self._settings, self._clock = settings, clock
        self._instance = members.own_name(instance)
        self.totals = Totals()
        self.monitor = Monitor("evidence", settings)
        self.monitor.show_counts(COUNTS, self.totals)
        self._archive = Archive(settings, clock)

    def run(self, stop: threading.Event, until_idle_s: float = 0.0) -> None:
        """Work until told to stop, or until nothing came for `until_idle_s` seconds (0: for ever)."""
        kafka.create_topics(self._settings, topics.shared_topics(self._settings.topics))
        warm_up()
        registry, reader = Registry(self._settings), kafka.consumer(self._settings)
        snapshots = BrokerSnapshots(self._settings, reader)
        reach = self._settings.evidence.slice_records
        gatherer = Gatherer(
            self._archive, registry, KafkaModelStore(self._settings), snapshots, BrokerLog(reader), reach
        )
        group, told = self._settings.evidence.group, self.monitor.client("reader")
        idling = IdleDetector(until_idle_s or None, self._clock)
        consumer = members.member_consumer(self._settings, group, self._instance, told=told, **idling.properties)
        consumer.subscribe([topics.ALERTS])
        self.monitor.ready()
        try:
            while not stop.is_set():
                self.monitor.beat()
                held = [(each.topic, each.partition) for each in consumer.assignment()]
                self._tell_partitions(len(held))
                batch = idling.read(consumer.consume(1, timeout=0.1))
                for message in members.sound(batch, log):
                    registry.refresh()
                    self._take(gatherer, kept(message))
                    _commit(consumer, message)
                    idling.busy()
                if idling.is_over(held):
                    return
        finally:
            for client in (consumer, reader, snapshots, registry):
                client.close()

    def _tell_partitions(self, held: int) -> None:
        """Show how many partitions this process has; without one it is not ready."""
        self.monitor.set(PARTITIONS, held)
        if held:
            self.monitor.has("partitions")
        else:
            self.monitor.waits_for("partitions", "none is assigned")

    def _take(self, gatherer: Gatherer, record: EvidenceRecord) -> None:
        """Archive one record's revision, unless it is there."""
        totals = self.totals
        totals.records += 1
        alert = decoded(record.value)
        if alert is None:
            totals.unreadable += 1
            log.warning("record is no readable alert", partition=record.partition, offset=record.offset)
            return
        if is_canary(self._settings.notify.canaries, alert.instrument):
            totals.canaries += 1
            return
        source = alert.provenance
        earlier = self._archive.of_input(alert.id, source.topic, source.partition)
        if any(alert.revision in entry.subject.revisions for entry in earlier):
            totals.known += 1
            return
        gathered = gatherer.gather(record, alert)
        entry = self._archive.add_once(gathered.manifest, gathered.parts)
        if entry is None:
            totals.known += 1
            return
        totals.bundles += 1
        totals.bytes += entry.size
        if not entry.proved:
            totals.unproved += 1
            log.error("alert archived without proof", alert=alert.id, bundle=entry.bundle, why=entry.problem)


def _commit(consumer: Consumer, message: Message) -> None:
    """Commit behind a record; where the partition went to somebody else meanwhile, they pass over what is archived."""
    try:
        behind = TopicPartition(message.topic(), message.partition(), message.offset() + 1)
        consumer.commit(offsets=[behind], asynchronous=False)
    except KafkaException as error:
        log.warning("offset not committed", error=str(error.args[0]))
