"""Gathering what an alert was decided from, while the log still has it.

What the broker still has of an alert's past: the market log, and the engine's snapshots before it.
"""

import platform
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Literal, Protocol

import msgspec
import numba
import numpy
import pyarrow
from confluent_kafka import Consumer, Message, TopicPartition

from streams.engine.build import build_hash
from streams.engine.models import ModelSource
from streams.engine.snapshots import OPENING, DamagedError, Pointers, chunk_key, collect, dump
from streams.engine.task import ReferenceData, Task
from streams.engine.verification import Finding, alerts_of, decoded
from streams.evidence import proving
from streams.evidence.proving import Recorder, RegisteredInstrument, feed_kept, new_task, replayed
from tapewatch import logs
from tapewatch.contract import topics
from tapewatch.contract.messages import Alert
from tapewatch.errors import TapewatchError
from tapewatch.kernels import source_hashes
from tapewatch.proof.evidence import Archive, Entry, EvidenceRecord, Manifest, Subject, records
from tapewatch.proof.evidence.records import kept
from tapewatch.runtime import group_offsets, kafka
from tapewatch.settings import Settings

SLOTS = (0, 1, OPENING)
Where = tuple[str, int]
"""A partition of a market topic."""


class MarketLog(Protocol):
    """Where the records of market partitions are read."""

    def bounds(self, where: Where) -> tuple[int, int]:
        """First and next offset; 0, 0 where there is no such partition."""
        ...

    def read(self, where: Where, first: int, last: int) -> Iterator[EvidenceRecord]:
        """The records of a stretch, both ends included."""
        ...


class Snapshots(Protocol):
    """Where engine snapshots are found."""

    def before(self, task: Task, limit: int) -> tuple[int, bytes] | None:
        """The newest snapshot of the task's partition that is not ahead of `limit`: next offset and bytes."""
        ...


class BrokerLog:
    """The market log on the broker. reader : a consumer that nothing else uses meanwhile"""

    def __init__(self, reader: Consumer) -> None:
        self._reader = reader

    def bounds(self, where: Where) -> tuple[int, int]:
        """First and next offset; 0, 0 where there is no such partition."""
        if where[1] >= kafka.existing_topics(self._reader).get(where[0], 0):
            return 0, 0
        return kafka.watermarks(self._reader, *where)

    def read(self, where: Where, first: int, last: int) -> Iterator[EvidenceRecord]:
        """The records of a stretch, both ends included."""
        return map(kept, kafka.read_range(self._reader, *where, first, last + 1))


class BrokerSnapshots:
    """Finds engine snapshots of a partition. reader : a consumer that nothing else uses meanwhile"""

    def __init__(self, settings: Settings, reader: Consumer) -> None:
        self._reader = reader
        self._group = kafka.consumer(settings, settings.engine.group)
        self._partitions = 0
        self._settings = settings

    def before(self, task: Task, limit: int) -> tuple[int, bytes] | None:
        """The newest snapshot of the task's partition that is not ahead of `limit`: next offset and bytes.

        First those that the engine's committed offset names; then, where the archive lags, older ones that the topic's
        compaction has not taken yet. None where there is none.
        """
        place = group_offsets.committed(self._group, [TopicPartition(task.topic, task.partition)])[0]
        for pointer in Pointers.decoded(place.metadata).snapshots:
            if pointer.next_offset <= limit:
                try:
                    return pointer.next_offset, collect(pointer, task, self._read)
                except DamagedError:
                    continue
        return self._older(task, limit)

    def _read(self, partition: int, offset: int) -> list[Message]:
        low, high = kafka.watermarks(self._reader, topics.SNAPSHOTS, partition)
        return list(kafka.read_range(self._reader, topics.SNAPSHOTS, partition, max(low, offset), high))

    def _older(self, task: Task, limit: int) -> tuple[int, bytes] | None:
        """Look through the whole of the topic's partition for a snapshot with all its chunks."""
        if not self._partitions:
            self._partitions = kafka.existing_topics(kafka.admin(self._settings)).get(topics.SNAPSHOTS, 0)
        if not self._partitions:
            return None
        place = task.partition % self._partitions
        low, high = kafka.watermarks(self._reader, topics.SNAPSHOTS, place)
        best: tuple[int, bytes] | None = None
        chunks: dict[tuple[int, int], dict[int, bytes]] = {}
        for message in kafka.read_range(self._reader, topics.SNAPSHOTS, place, low, high):
            slot = _slot(task, message.key() or b"")
            told = dict(message.headers() or ())
            if slot is None or not message.value() or not told.keys() >= {"next_offset", "chunks", "chunk"}:
                continue
            offset = int(told["next_offset"])
            if offset > limit or (best is not None and offset <= best[0]):
                continue
            found = chunks.setdefault((slot, offset), {})
            found[int(told["chunk"])] = message.value()
            if len(found) == int(told["chunks"]):
                best = offset, b"".join(data for _, data in sorted(found.items()))
                chunks.clear()
        return best

    def close(self) -> None:
        """Give the consumer back."""
        self._group.close()


def _slot(task: Task, key: bytes) -> int | None:
    """The slot whose chunk has this key; None for another partition's."""
    for slot in SLOTS:
        if key.startswith(chunk_key(task, slot, 0).rpartition(b"|")[0] + b"|"):
            return slot
    return None


SEGMENT = 1024
"""Offsets of one part of the log: bundles whose stretches overlap share whole parts."""

log = logs.get("evidence")

Origin = Literal["engine", "replayed", ""]


@dataclass(frozen=True, slots=True)
class State:
    """A dumped task. next_offset : first record of the input that is not in it"""

    data: bytes
    next_offset: int
    origin: Origin


@dataclass(slots=True)
class BundleDraft:
    """A bundle before it has a place in the chain."""

    manifest: Manifest
    parts: dict[str, bytes]


class InstrumentRegistry(ReferenceData, Protocol):
    """What is registered, as what, and since when."""

    def since(self, instrument: str) -> int | None:
        """From which append time on rows of an id count, UTC ns; None where it is not registered."""
        ...


class Gatherer:
    """Makes bundles of alerts from the broker's log. reach : records of the log in a bundle at most, if possible"""

    def __init__(
        self,
        archive: Archive,
        registry: InstrumentRegistry,
        shelf: ModelSource,
        snapshots: Snapshots,
        market: MarketLog,
        reach: int,
    ) -> None:
        self._archive, self._registry, self._shelf = archive, registry, shelf
        self._snapshots, self._market, self._reach = snapshots, market, reach

    def gather(self, record: EvidenceRecord, alert: Alert) -> BundleDraft:
        """The bundle of an alert's newest revision, with its earlier ones where they lie near enough in the log."""
        source = alert.provenance
        where, last = (source.topic, source.partition), source.updated_offset
        told, state = self._before(record, alert)
        low, high = self._market.bounds(where)
        if last >= high or low > last:
            return self._without_log(told, alert, f"{where[0]}[{where[1]}] no longer has offset {last}")
        try:
            state = state or self._state(where, alert, low)
            stretch = list(self._market.read(where, max(state.next_offset, low), last))
            if low > state.next_offset:
                raise TapewatchError(
                    f"{where[0]}[{where[1]}] begins at {low}, the state before it at {state.next_offset}"
                )
            return self._bundle(told, alert, state, stretch)
        except (DamagedError, TapewatchError) as error:
            return self._without_log(told, alert, error.message)

    def _before(self, record: EvidenceRecord, alert: Alert) -> tuple[list[EvidenceRecord], State | None]:
        """Earlier records of the alert with the state that they were proved from, where this one is near enough."""
        source = alert.provenance
        earlier = self._archive.of_input(alert.id, source.topic, source.partition)
        if not earlier:
            return [record], None
        subject = earlier[-1].subject
        if not subject.origin or source.updated_offset - subject.state_offset > self._reach:
            return [record], None
        try:
            bundle = self._archive.bundle(earlier[-1].bundle)
            told = records.decode(bundle.part(proving.ALERTS))
            return [*told, record], State(bundle.part(proving.STATE), subject.state_offset, subject.origin)
        except TapewatchError as error:
            log.warning("earlier bundle damaged", bundle=earlier[-1].bundle, why=error.message)
            return [record], None

    def _state(self, where: tuple[str, int], alert: Alert, low: int) -> State:
        """The nearest state before the alert's newest revision, and before its onset where that is near."""
        source = alert.provenance
        task = new_task(where, self._registry, self._shelf)
        for limit in (source.onset_offset, source.updated_offset):
            found = self._nearest(task, min(limit, source.updated_offset))
            if found is not None and source.updated_offset - found.next_offset <= self._reach:
                return found
        return self._computed(where, found, source.updated_offset, low)

    def _nearest(self, task: Task, limit: int) -> State | None:
        """The newer of the engine's snapshot and of the states archived for the same partition."""
        engine = self._snapshots.before(task, limit)
        if engine is not None and limit - engine[0] <= self._reach:
            return State(engine[1], engine[0], "engine")
        archived = max(
            (entry for entry in self._archive.entries() if _holds_state(entry, task, limit)),
            key=lambda entry: entry.subject.state_offset,
            default=None,
        )
        if archived is not None and (engine is None or archived.subject.state_offset > engine[0]):
            data = self._archive.bundle(archived.bundle).part(proving.STATE)
            return State(data, archived.subject.state_offset, archived.subject.origin)
        return State(engine[1], engine[0], "engine") if engine is not None else None

    def _computed(self, where: tuple[str, int], begin: State | None, offset: int, low: int) -> State:
        """The state just before a record, computed from an earlier one, or from the log's beginning."""
        if begin is None:
            task = new_task(where, self._registry, self._shelf)
            task.next_offset = low
        else:
            task = replayed(where, begin.data, (), self._registry, self._shelf)
        task.silent = True
        for record in self._market.read(where, task.next_offset, offset - 1):
            feed_kept(task, record)
            task.drain()
        task.drain()
        task.next_offset = max(task.next_offset, offset)
        return State(dump(task), task.next_offset, "replayed")

    def _bundle(
        self, told: list[EvidenceRecord], alert: Alert, state: State, stretch: list[EvidenceRecord]
    ) -> BundleDraft:
        """Replay the stretch once: it tells which models and instruments it needs, and whether the alert comes out."""
        where, shelf = (alert.provenance.topic, alert.provenance.partition), Recorder(self._shelf)
        task = replayed(where, state.data, stretch, self._registry, shelf)
        findings = proving.compared(told, alerts_of(task, alert.id))
        parts = {proving.STATE: state.data}
        for segment, run in groupby(stretch, key=lambda record: record.offset // SEGMENT):
            chunk = list(run)
            parts[f"{proving.LOG}{segment * SEGMENT:012d}.arrow"] = records.encode(chunk)
        parts[proving.ALERTS] = records.encode(told)
        parts[proving.INSTRUMENTS] = self._instruments(task)
        parts["configuration.json"] = msgspec.json.encode(task.force.config, order="deterministic")
        parts |= _of_program()
        for name, data in sorted(shelf.asked.items()):
            parts[f"{proving.MODELS}{name}"] = data
        proved = bool(findings) and all(finding.identical for finding in findings)
        draft = _draft(told, alert, "" if proved else _told(findings))
        subject = msgspec.structs.replace(draft.subject, state_offset=state.next_offset, origin=state.origin)
        return BundleDraft(msgspec.structs.replace(draft, subject=subject, proved=proved), parts)

    def _instruments(self, task: Task) -> bytes:
        """Reference data of every instrument that the partition has met."""
        known = self._registry.instruments
        met = [
            RegisteredInstrument(
                self._registry.since(name) or 0, msgspec.structs.replace(known[name], kind=kind), exact=True
            )
            for name, kind in sorted(zip(task.admission.names, task.kinds, strict=True))
            if name in known
        ]
        return msgspec.json.encode(met, order="deterministic")

    def _without_log(self, told: list[EvidenceRecord], alert: Alert, problem: str) -> BundleDraft:
        """A bundle that says what it lacks: the chain has no silent hole."""
        parts = {proving.ALERTS: records.encode(told), **_of_program()}
        return BundleDraft(_draft(told, alert, problem), parts)


def _holds_state(entry: Entry, task: Task, limit: int) -> bool:
    subject = entry.subject
    same = (subject.topic, subject.partition) == (task.topic, task.partition)
    return same and bool(subject.origin) and subject.state_offset <= limit


def _told(findings: list[Finding]) -> str:
    """Why an alert did not come out, in a line."""
    lines = [line for finding in findings if not finding.identical for line in finding.differences]
    return f"the archived log does not give this alert: {'; '.join(lines)[:500]}"


def _draft(told: list[EvidenceRecord], alert: Alert, problem: str) -> Manifest:
    """A manifest without its place in the chain and without its parts."""
    source = alert.provenance
    revisions = {found.revision for record in told if (found := decoded(record.value)) is not None}
    subject = Subject(
        alert=alert.id,
        scenario=alert.scenario,
        instrument=alert.instrument,
        severity=alert.severity,
        onset=alert.onset,
        state=alert.state,
        revisions=tuple(sorted(revisions)),
        topic=source.topic,
        partition=source.partition,
        state_offset=source.updated_offset,
        last_offset=source.updated_offset,
    )
    return Manifest(
        sequence=0, previous="", created="", locked_until="", subject=subject, build=build_hash(),
        configuration=source.configuration, models=dict(sorted(source.models.items())), proved=False, problem=problem,
        parts=(),
    )  # fmt: skip


def _of_program() -> dict[str, bytes]:
    """The program that archives: every source file by hash, and what it runs on."""
    told = {
        "build": build_hash(),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "libraries": {module.__name__: module.__version__ for module in (numba, numpy, pyarrow)},
        "sources": source_hashes(("tapewatch", "detectors", "streams")),
    }
    return {"build.json": msgspec.json.encode(told, order="deterministic")}
