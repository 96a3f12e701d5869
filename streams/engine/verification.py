"""Proving an alert: recompute it from the log, from the nearest snapshot on, and compare every byte.

Proving a signal: recompute what a policy did from the log, from the nearest snapshot on, and compare every byte.
"""

from dataclasses import dataclass, field

import msgspec
from confluent_kafka import Consumer, Message, TopicPartition

from streams.engine.build import build_hash
from streams.engine.model_store import KafkaModelStore
from streams.engine.recovery import Recovery, feed
from streams.engine.snapshots import Pointers
from streams.engine.task import Task
from tapewatch.contract import messages, topics
from tapewatch.contract.messages import Alert, Signal
from tapewatch.errors import ContractError, TapewatchError
from tapewatch.market_log.registry import Registry
from tapewatch.runtime import group_offsets, kafka
from tapewatch.settings import Settings


class UnknownAlertError(TapewatchError):
    """The topic has no such alert."""


class LogGoneError(TapewatchError):
    """The records that an alert was decided from are no longer in the log."""


@dataclass(slots=True)
class Finding:
    """What was found for one record of the alert or signal.

    identical : every byte equals the recomputed one; differences : field paths that differ, or one sentence
    same_build : this program is the one that decided; otherwise the comparison leaves the build's name out
    """

    revision: int
    partition: int
    offset: int
    identical: bool
    same_build: bool
    differences: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Proof:
    """The result of a verification.

    source : log or bundle: what it was recomputed from; bundles : names of those used
    damage : what is wrong with a bundle itself, one sentence a part
    """

    alert: str
    identical: bool
    input: str
    first_offset: int
    last_offset: int
    replayed: int
    build: str
    findings: list[Finding] = field(default_factory=list)
    source: str = "log"
    bundles: list[str] = field(default_factory=list)
    damage: list[str] = field(default_factory=list)


def find_records(settings: Settings, alert: str) -> list[Message]:
    """All records of an alert on the `alerts` topic, in order; UnknownAlertError where there is none."""
    found: list[Message] = []
    kafka.read_all(
        settings, topics.ALERTS, lambda message: found.append(message) if message.key() == alert.encode() else None
    )
    if not found:
        raise UnknownAlertError(f"there is no alert {alert} on the topic", "See `tapewatch tail alerts` for ids.")
    return found


def verify(settings: Settings, alert: str) -> Proof:
    """Recompute an alert and compare each of its records on the topic with what the log says it must be."""
    records = find_records(settings, alert)
    readable = [found for record in records if (found := decoded(record.value())) is not None]
    if not readable:
        raise TapewatchError(
            f"no record of alert {alert} can be read", "The topic's records are damaged; see `tapewatch tail alerts`."
        )
    inputs = sorted({(found.provenance.topic, found.provenance.partition) for found in readable})
    findings = [_compared(record, {}) for record in records if decoded(record.value()) is None]
    first, last, replayed = 2**62, 0, 0
    # The same market in two feeds gives the same id twice: each record is compared with its own input.
    for topic, partition in inputs:
        mine = [record for record in records if _input(record) == (topic, partition)]
        offsets = [
            each.provenance
            for each in readable
            if (each.provenance.topic, each.provenance.partition) == (topic, partition)
        ]
        start, end = min(each.decided_offset for each in offsets), max(each.updated_offset for each in offsets)
        task, count = replayed_task(settings, topic, partition, start, end)
        recomputed = alerts_of(task, alert)
        found_here = [_compared(record, recomputed) for record in mine]
        missing = sorted(set(recomputed) - {finding.revision for finding in found_here})
        findings += found_here
        findings += [
            Finding(revision, -1, -1, False, True, ["the log gives this revision; the topic has no record of it"])
            for revision in missing
        ]
        first, last, replayed = min(first, start), max(last, end), replayed + count
    return Proof(
        alert=alert,
        identical=all(finding.identical for finding in findings),
        input=", ".join(f"{topic}[{partition}]" for topic, partition in inputs),
        first_offset=first,
        last_offset=last,
        replayed=replayed,
        build=build_hash(),
        findings=findings,
    )


def _input(record: Message) -> tuple[str, int] | None:
    """The market partition that a record says it was computed from."""
    found = decoded(record.value())
    return (found.provenance.topic, found.provenance.partition) if found else None


def decoded(value: bytes | None) -> Alert | None:
    """The alert in a record; None where it is no readable one."""
    try:
        return messages.decode(Alert, value or b"")
    except (TapewatchError, msgspec.MsgspecError):
        return None


def replayed_task(settings: Settings, topic: str, partition: int, first: int, last: int) -> tuple[Task, int]:
    """A task over a partition that holds what the log between two offsets gives, and how many records were replayed."""
    registry = Registry(settings)
    recovery = Recovery(settings, registry, KafkaModelStore(settings), build_hash())
    group = kafka.consumer(settings, settings.engine.group)
    reader = kafka.consumer(settings)
    try:
        if partition >= kafka.existing_topics(kafka.admin(settings)).get(topic, 0):
            raise TapewatchError(
                f"the input {topic}[{partition}] is not on this broker",
                "Connect to the broker whose log it came from.",
            )
        place = group_offsets.committed(group, [TopicPartition(topic, partition)])[0]
        # Offsets that an alert only claims may lie behind the log's end: there is nothing to wait for.
        low, end = kafka.watermarks(reader, topic, partition)
        if low > first:
            raise LogGoneError(
                f"{topic}[{partition}] begins at offset {low}; the record that decided is {first}",
                "Its evidence bundle proves it: `tapewatch run evidence` archives one for each alert.",
            )
        registry.read_whole()
        task = recovery.nearest(topic, partition, min(first, end), Pointers.decoded(place.metadata))
        replayed = _feed_range(reader, task, min(last, end - 1))
        return task, replayed
    finally:
        for client in (group, reader):
            client.close()
        recovery.close()
        registry.close()


def _feed_range(reader: Consumer, task: Task, last: int) -> int:
    """Feed the log from the task's offset to `last`, inclusive."""
    count = 0
    for message in kafka.read_range(reader, task.topic, task.partition, task.next_offset, last + 1):
        feed(task, message)
        count += 1
    return count


def alerts_of(task: Task, alert: str) -> dict[int, bytes]:
    """The task's alert records with that id, by revision."""
    found = [record.value for record in task.take() if record.topic == topics.ALERTS and record.key == alert.encode()]
    return {messages.decode(Alert, value).revision: value for value in found}


def _compared(record: Message, recomputed: dict[int, bytes]) -> Finding:
    """One record of the topic against the recomputed one of the same revision."""
    return compare(record.value() or b"", record.partition(), record.offset(), recomputed)


def compare(value: bytes, partition: int, offset: int, recomputed: dict[int, bytes]) -> Finding:
    """A record's value against the recomputed one of the same revision. partition, offset : of the record"""
    found = decoded(value)
    finding = Finding(found.revision if found else -1, partition, offset, False, True)
    if found is None:
        finding.differences = ["the record is no readable alert"]
        return finding
    expected = recomputed.get(found.revision)
    if expected is None:
        finding.differences = ["the log does not give this alert"]
        return finding
    wanted = messages.decode(Alert, expected)
    finding.same_build = found.provenance.build == wanted.provenance.build
    if not finding.same_build:
        # Another build decided: its name differs by right, nothing else may.
        provenance = msgspec.structs.replace(wanted.provenance, build=found.provenance.build)
        expected = messages.encode(msgspec.structs.replace(wanted, provenance=provenance))
    return settled(finding, value, expected)


def settled(finding: Finding, value: bytes, expected: bytes) -> Finding:
    """The finding with what comes of comparing a record's value with the recomputed one."""
    finding.identical = value == expected
    if not finding.identical:
        told = _differences(msgspec.json.decode(value), msgspec.json.decode(expected), "")
        finding.differences = told or ["the bytes differ, the content does not"]
    return finding


def _differences(found: object, expected: object, path: str) -> list[str]:
    """Paths at which two JSON values differ, with both values."""
    if isinstance(found, dict) and isinstance(expected, dict):
        keys = sorted(set(found) | set(expected))
        return [
            line
            for key in keys
            for line in _differences(found.get(key), expected.get(key), f"{path}.{key}" if path else key)
        ]
    if isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected):
        pairs = enumerate(zip(found, expected, strict=True))
        return [line for index, (one, other) in pairs for line in _differences(one, other, f"{path}[{index}]")]
    return [] if found == expected else [f"{path}: the topic says {found!r}, the log gives {expected!r}"]


TOPICS = (topics.SIGNALS, topics.SHADOW_SIGNALS)


def verify_signal(settings: Settings, wanted: str) -> Proof | None:
    """Recompute a signal and compare each of its records with what the log says it must be; None where there is none.
    TapewatchError for one that the engine has not written.

    The same market in two feeds gives the same id twice: each record is compared with its own input.
    """
    found = _find(settings, wanted)
    if not found:
        return None
    causes = sorted({(signal.cause.topic, signal.cause.partition, signal.cause.offset) for _, signal in found})
    if any(topic == topics.BARS for topic, _, _ in causes):
        raise TapewatchError(
            f"signal {wanted} is the minute stage's, which `verify` does not recompute",
            "The same bars, model and build give the same signal: docs/lstm.md tells how that is checked.",
        )
    recomputed: dict[tuple[str, int], bytes] = {}
    replayed = 0
    for topic, partition, offset in causes:
        task, count = replayed_task(settings, topic, partition, offset, offset)
        replayed += count
        for record in task.take():
            if record.topic in TOPICS and wanted.encode() in record.value:
                recomputed[topic, partition] = record.value
    findings = [
        _compare(record, signal, recomputed.get((signal.cause.topic, signal.cause.partition)))
        for record, signal in found
    ]
    return Proof(
        alert=wanted,
        identical=all(finding.identical for finding in findings),
        input=", ".join(sorted({f"{topic}[{partition}]" for topic, partition, _ in causes})),
        first_offset=causes[0][2],
        last_offset=causes[-1][2],
        replayed=replayed,
        build=build_hash(),
        findings=findings,
    )


def _find(settings: Settings, wanted: str) -> list[tuple[Message, Signal]]:
    """Every record of a signal."""
    found: list[tuple[Message, Signal]] = []

    def take(message: Message) -> None:
        value = message.value() or b""
        if wanted.encode() not in value:
            return
        try:
            signal = messages.decode(Signal, value)
        except ContractError:
            return
        if signal.id == wanted:
            found.append((message, signal))

    for topic in TOPICS:
        kafka.read_all(settings, topic, take)
    return found


def _compare(record: Message, signal: Signal, expected: bytes | None) -> Finding:
    """One record against the recomputed one."""
    finding = Finding(0, record.partition() or 0, record.offset() or 0, False, True)
    if expected is None:
        finding.differences = ["the log does not give this signal"]
        return finding
    wanted = messages.decode(Signal, expected)
    finding.same_build = signal.build == wanted.build
    if not finding.same_build:
        # Another build decided: its name differs by right, nothing else may.
        expected = messages.encode(msgspec.structs.replace(wanted, build=signal.build))
    return settled(finding, record.value() or b"", expected)
