"""Proving a signal: recompute what a policy did from the log, from the nearest snapshot on, and compare every byte."""

import msgspec
from confluent_kafka import Message

from streams.engine.build import build_hash
from streams.engine.verification import Finding, Proof, replayed_task, settled
from tapewatch.contract import messages, topics
from tapewatch.contract.messages import Signal
from tapewatch.errors import ContractError, TapewatchError
from tapewatch.runtime import kafka
from tapewatch.settings import Settings

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
