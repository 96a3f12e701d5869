"""One market partition's task: records in log order go in, output records come out. No broker, no clock: a function of
the log.
"""

import weakref
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec
import numpy as np

from detectors.autoencoder.score import restart
from detectors.ensemble_members import AUTOENCODER, AUTOENCODER_CRYPTO, COINS
from streams.engine import output
from streams.engine import state as fields
from streams.engine.accounts import Accounts
from streams.engine.alerts import build_alert
from streams.engine.decisions import begin_anew
from streams.engine.ingest import ingest
from streams.engine.models import ActiveModels, Control, bad_control
from streams.engine.output import CONTEXT, KernelContext
from streams.engine.output_frames import BARS, FEATURES, MAX_ROWS, SCORES, SEALED, SEALED_MINUTES, FrameWriter
from streams.engine.policy import PLACES
from streams.engine.signals import build_signal
from streams.engine.state import create, grow
from streams.engine.string_columns import columns_of
from streams.engine.windows import begin_watching
from tapewatch.clock import NANOS
from tapewatch.contract import frames, messages, topics
from tapewatch.contract.checks import Reason
from tapewatch.contract.frames import Headers
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.messages import Alert, Cause, Coverage, from_rfc3339, to_rfc3339
from tapewatch.contract.partitioner import partition_for
from tapewatch.contract.rows import EVERY_INSTRUMENT, RowType
from tapewatch.errors import ContractError
from tapewatch.market_log import dead_letters
from tapewatch.market_log.admission import CONTROL_SOURCE, Admission, AdmittedFrame, InstrumentProvider
from tapewatch.runtime import batches
from tapewatch.runtime.batches import UnreadableBatch

_COVERAGE_REASONS = {output.SILENCE: "silent", output.HALT: "halt", output.GAP: "gap"}


@dataclass(frozen=True, slots=True)
class OutputRecord:
    """A record to write. instrument : decides the partition; empty means the partition of the input."""

    topic: str
    value: bytes
    key: bytes | None = None
    headers: list[tuple[str, bytes]] = field(default_factory=list)
    instrument: str = ""

    def target(self, partition: int, count: int) -> int:
        """The partition it goes to. partition : of the input; count : partitions of its topic"""
        return partition_for(self.instrument, count) if self.instrument else partition % count


@dataclass(slots=True)
class Tally:
    """What happened since the last commit. worked_ns : how long the records took, as whoever feeds the task measured"""

    first_offset: int = -1
    worked_ns: int = 0
    frames: int = 0
    duplicates: int = 0
    rows: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    written: Counter[str] = field(default_factory=Counter)


class ReferenceData(InstrumentProvider, Protocol):
    """What is registered, and as what."""

    @property
    def instruments(self) -> Mapping[str, Instrument]:
        """Reference data by id."""
        ...


class Task:
    """The engine over one market partition.

    silent : compute, but write nothing (replay up to the committed offset)
    """

    def __init__(self, topic: str, partition: int, registry: ReferenceData, force: ActiveModels, build: str) -> None:
        self.topic, self.partition, self.build = topic, partition, build
        self.admission = Admission(registry, topic, partition)
        self._registry = registry
        self.kinds: list[str] = []
        self.force = force
        self.state = create()
        # Held weakly: a task that is given up frees its arrays at once, not when garbage is looked for.
        this = weakref.proxy(self)
        self.accounts = Accounts(force.config, lambda *event: this._alert(*event))
        self.silent = False
        self.next_offset = 0
        self.tally = Tally()
        self._out = output.create(fields.capacity(self.state))
        self._bundle = CONTEXT.bundle(KernelContext(self.state, force.detectors, self._out))
        self._outgoing: list[OutputRecord] = []
        self._features, self._scores = FrameWriter(FEATURES), FrameWriter(SCORES)
        self._bars, self._sealed = FrameWriter(BARS), FrameWriter(SEALED)
        self._sealed_minutes = FrameWriter(SEALED_MINUTES)
        self._origin = [("feed", topics.feed_of(topic).encode()), ("partition", str(partition).encode())]

    def feed(self, offset: int, value: bytes | None, headers: Headers | None, appended_ns: int) -> None:
        """Process one record. appended_ns : when the broker appended it, UTC nanoseconds.

        UnansweredError where somebody had to be asked who did not answer: the task is of no more use then, and another
        one begins at what is committed.
        """
        tally = self.tally
        if tally.first_offset < 0:
            tally.first_offset = offset
        self.next_offset = offset + 1
        try:
            if value is not None and len(value) > frames.MAX_FRAME_BYTES:
                raise ContractError("oversized", f"{len(value)} bytes; a frame has at most {frames.MAX_FRAME_BYTES}")
            admitted = self.admission.admit(value, headers, appended_ns)
        except ContractError as error:
            tally.refused[error.reason] += 1
            self._bury(offset, error.reason, error.message, value)
            return
        if admitted is None:
            tally.duplicates += 1
            return
        self._take(offset, admitted, appended_ns)

    def pass_over(self, batch: UnreadableBatch) -> None:
        """Go on behind a batch that nobody can unpack: whatever its records say counts for nothing."""
        tally = self.tally
        if tally.first_offset < 0:
            tally.first_offset = batch.first
        self.next_offset = batch.last + 1
        tally.refused[batches.REASON] += 1
        self._dead(dead_letters.of_batch(batch, dead_letters.ENGINE))

    def _take(self, offset: int, admitted: AdmittedFrame, appended_ns: int) -> None:
        """Run the kernels over an accepted frame."""
        view, tally = admitted.view, self.tally
        tally.frames += 1
        tally.rows[view.type.label] += view.rows - admitted.refused
        if admitted.refused:
            self._refuse(offset, admitted)
        self._make_room(appended_ns)
        if view.type == RowType.TRADE:
            self.accounts.take(admitted, self.kinds, int(self.state.clock[fields.NEWEST]), offset)
        row, texts = 0, columns_of(view)
        while row < view.rows:
            row = ingest(
                int(view.type), view.buffer, view.offsets, view.rows, row, admitted.slots, admitted.reasons, offset,
                texts, self._hands(),
            )  # fmt: skip
            if self.accounts.live:
                self.accounts.advance(int(self.state.clock[fields.SECOND]), offset)
            if self._out.counts[output.FULL]:
                self.drain()
            elif self._out.counts[output.CONTROL]:
                self._out.counts[output.CONTROL] = 0
                self.drain()
                self._control(offset, admitted, row - 1, appended_ns)

    def _hands(self) -> np.ndarray:
        """State, judges and buffers as `ingest` takes them."""
        held = self._bundle.tree
        if held.state is not self.state or held.detectors is not self.force.detectors or held.out is not self._out:
            self._bundle = CONTEXT.bundle(KernelContext(self.state, self.force.detectors, self._out))
        return self._bundle.words

    def adopt(self, state: fields.State, kinds: Sequence[str]) -> None:
        """Take up a restored state. kinds : class of each instrument, as it was when the instrument was first met."""
        self.state = state
        self.kinds = list(kinds)
        self._classify()
        self._out = output.create(fields.capacity(state))

    def judge_by(self, force: ActiveModels) -> None:
        """Take up other models and thresholds, whatever the log said so far."""
        self.force = force
        self._classify()

    def _make_room(self, appended_ns: int) -> None:
        """Let state and buffers hold every instrument met so far. appended_ns : of the record that they are met in"""
        count = len(self.admission.names)
        if count == self.state.clock[fields.COUNT]:
            return
        fresh = len(self.kinds)
        self.state = grow(self.state, count)
        self.state.clock[fields.COUNT] = count
        self.kinds += [self._registry.kind(name, appended_ns) or "" for name in self.admission.names[fresh:]]
        self._classify(fresh)
        if count > self._out.feature_keys.shape[1]:
            self.drain()
            self._out = output.create(fields.capacity(self.state))

    def _classify(self, fresh: int = 0) -> None:
        """Say which rules apply to each instrument. fresh : the first that is new to the partition"""
        self.state.klass[: len(self.kinds)] = self.force.config.class_places(self.kinds)
        self.state.coin[: len(self.kinds)] = [kind in COINS for kind in self.kinds]
        self.accounts.switch(self.force.config, self.kinds)
        if self.force.detectors.decide:
            terms = self.force.config.policy.terms(self.admission.names[fresh:], self.kinds[fresh:])
            self.state.virtual[fresh : len(self.kinds), fields.TERMS, fields.BUY_COST : fields.SHORTING + 1] = terms

    def _control(self, offset: int, admitted: AdmittedFrame, row: int, appended_ns: int) -> None:
        """Switch models and thresholds where a control row of the control source says so."""
        watched, networks = self.force.config.watch, self._networks()
        deciding = self._deciding()
        try:
            detail = str(frames.to_rows(admitted.view.data).columns["detail"][row])
            if admitted.headers.source != CONTROL_SOURCE:
                raise bad_control(f"a control row of source {admitted.headers.source!r}")
            self.force = self.force.after(msgspec.json.decode(detail, type=Control), appended_ns)
        except (ContractError, msgspec.MsgspecError) as error:
            self.tally.refused["bad_control"] += 1
            self._bury(offset, "bad_control", str(error), admitted.view.data)
            return
        self._classify()
        if self.force.config.watch and not watched:
            begin_watching(self.state)
        if self._networks() != networks:
            # What lies in their rings another network made.
            restart(self.state.codes)
        for which, (before, now) in enumerate(zip(deciding, self._deciding(), strict=True)):
            # A policy takes over its forerunner's position; a shadow begins with its own.
            if before != now and (not before or PLACES[which] != PLACES[0]):
                begin_anew(self.state, which)

    def _deciding(self) -> list[str]:
        """Content hash of the policy and of its shadow, empty where none decides."""
        force = self.force
        return [force.models.get(name, "") if force.detectors.decide else "" for name in PLACES]

    def _networks(self) -> tuple[str | None, ...]:
        """Hashes of the autoencoders in force."""
        return tuple(self.force.models.get(name) for name in (AUTOENCODER, AUTOENCODER_CRYPTO))

    def _refuse(self, offset: int, admitted: AdmittedFrame) -> None:
        """Keep the refused rows of a frame in the dead letters."""
        counts = np.bincount(admitted.reasons)
        for reason in np.flatnonzero(counts[1:]) + 1:
            self.tally.refused[Reason(int(reason)).label] += int(counts[reason])
        # A replayed row of a sealed second is no dead letter a second time: it lies in the log for the stores.
        bad = np.where(admitted.reasons == Reason.SEALED, Reason.ACCEPTED, admitted.reasons).astype(np.uint8)
        if self.silent or not bad.any():
            return
        view = admitted.view
        try:
            rows = frames.rows_of(view)
        except ContractError as error:
            # Texts are only looked at here: a frame whose texts are no UTF-8 is kept as it came.
            self._bury(offset, Reason(int(bad[bad > 0][0])).label, error.message, view.data)
            return
        for letter in dead_letters.of_refused((self.topic, self.partition, offset), rows, bad, view.size):
            self._dead(letter)

    def _bury(self, offset: int, reason: str, detail: str, value: bytes | None) -> None:
        """Keep a whole record in the dead letters."""
        origin = (self.topic, self.partition, offset)
        self._dead(dead_letters.of_record(origin, reason, detail, value, dead_letters.ENGINE))

    def _dead(self, letter: dead_letters.DeadLetter) -> None:
        if not self.silent:
            self._outgoing.append(OutputRecord(letter.topic, letter.value, None, letter.headers))

    def take(self) -> list[OutputRecord]:
        """All records written since the last call, in order."""
        self.drain()
        taken, self._outgoing = self._outgoing, []
        return taken

    def drain(self) -> None:
        """Turn what the kernels wrote into records, and empty their buffers."""
        out, written = self._out, self.tally.written
        of_accounts = self.accounts.released(int(self.state.clock[fields.SECOND]))
        if not self.silent:
            counts = out.counts.tolist()
            self._frames(
                topics.FEATURES, "features", self._features, out.feature_keys, out.features, counts[output.FEATURES]
            )
            self._frames(topics.SCORES, "scores", self._scores, out.score_keys, out.scores, counts[output.SCORES])
            minutes = np.full(out.bar_keys.shape[1], 60, dtype=np.int32)
            self._frames(topics.BARS, "bars", self._bars, [*out.bar_keys, minutes], out.bars, counts[output.BARS])
            self._coverage()
            self._alerts(of_accounts)
            self._signals()
            self._markers()
        written["features"] += int(out.counts[output.FEATURES])
        written["scores"] += int(out.counts[output.SCORES])
        written["bars"] += int(out.counts[output.BARS])
        written["alerts"] += int(out.counts[output.EVENTS]) + len(of_accounts)
        if out.counts[output.DECISIONS]:
            written["decisions"] += int(out.counts[output.DECISIONS])
            written["signals"] += int((out.signals[: out.counts[output.SIGNALS], output.POLICY] == 0).sum())
        out.counts[:] = 0

    def _frames(
        self, topic: str, kind: str, writer: FrameWriter, keys: Iterable[np.ndarray], table: np.ndarray, count: int
    ) -> None:
        """Write rows `0..count` as frames of at most MAX_ROWS rows."""
        versions = self.force.versions if writer is self._scores else ()
        columns = list(keys)
        for start in range(0, count, MAX_ROWS):
            stop = min(start + MAX_ROWS, count)
            self._write(topic, kind, writer.write(self.admission.names, columns, table, start, stop, versions))

    def _markers(self) -> None:
        """Write the sealed-second markers, after the rows of their seconds."""
        count = int(self._out.counts[output.SEALED])
        if count:
            ends, _, offsets = self._out.sealed
            keys = [np.zeros(count, dtype=np.int32), ends, offsets]
            value = self._sealed.write([EVERY_INSTRUMENT], keys, self._out.sealed[1:2], 0, count)
            self._write(topics.FEATURES, "sealed", value)
            self._minutes(ends[:count], offsets[:count])

    def _minutes(self, ends: np.ndarray, offsets: np.ndarray) -> None:
        """Mark whole minutes among the bars too: who reads only those need not read every second."""
        whole = np.flatnonzero(ends % (60 * NANOS) == 0)
        if len(whole):
            keys = [np.zeros(len(whole), dtype=np.int32), ends[whole], offsets[whole]]
            table = np.ascontiguousarray(self._out.sealed[1:2, whole])
            value = self._sealed_minutes.write([EVERY_INSTRUMENT], keys, table, 0, len(whole))
            self._write(topics.BARS, "sealed-minutes", value)

    def _write(self, topic: str, kind: str, value: bytes) -> None:
        headers = [("type", kind.encode()), ("version", b"1"), *self._origin]
        self._outgoing.append(OutputRecord(topic, value, None, headers))

    def _coverage(self) -> None:
        """Write the stretches that were not watched."""
        for slot, start, end, reason, offset, instruments in self._out.coverage[
            :, : int(self._out.counts[output.COVERAGE])
        ].T:
            name = EVERY_INSTRUMENT if slot < 0 else self.admission.names[slot]
            record = Coverage(
                instrument=name,
                start=to_rfc3339(int(start) * NANOS),
                end=to_rfc3339(int(end) * NANOS),
                reason=_COVERAGE_REASONS[int(reason)],
                seconds=int((end - start) * instruments),
                cause=Cause(self.topic, self.partition, int(offset)),
            )
            self._outgoing.append(
                OutputRecord(topics.COVERAGE, messages.encode(record), name.encode(), list(self._origin))
            )

    def _alerts(self, of_accounts: Sequence[Alert]) -> None:
        """Write the scenario events as alerts, in the order of their seconds; the kernels' first in each."""
        out = self._out
        found = [
            self._alert(out.events[row], out.event_offsets[row], out.event_values[row])
            for row in range(int(out.counts[output.EVENTS]))
        ]
        if of_accounts:
            found = sorted([*found, *of_accounts], key=lambda alert: from_rfc3339(alert.updated))
        headers = [("type", b"alert"), ("version", b"1")]
        for alert in found:
            self._outgoing.append(
                OutputRecord(
                    topics.ALERTS, messages.encode(alert), alert.id.encode(), [*headers], instrument=alert.instrument
                )
            )

    def _signals(self) -> None:
        """Write what the policies did, the shadow's on a topic of its own."""
        out, where = self._out, (self.topic, self.partition)
        for row in range(int(out.counts[output.SIGNALS])):
            keys = out.signals[row]
            signal = build_signal(keys, out.signal_values[row], self.admission.names, where, self.force, self.build)
            topic = topics.SIGNALS if keys[output.POLICY] == 0 else topics.SHADOW_SIGNALS
            headers = [("type", b"signal"), ("version", b"1")]
            key = signal.instrument
            self._outgoing.append(OutputRecord(topic, messages.encode(signal), key.encode(), headers, instrument=key))

    def _alert(self, event: np.ndarray, offsets: np.ndarray, values: np.ndarray) -> Alert:
        """The message of one scenario event, under what is in force."""
        where = (self.topic, self.partition)
        slot = int(event[2])
        named = self.admission.names[slot], self.kinds[slot]
        return build_alert(event, offsets, values, named, where, self.force, self.build)

    def end_replay(self) -> None:
        """From now on what is computed counts: a silent replay has come to its end."""
        self.drain()
        self.silent = False
        self.restart_tally()

    def restart_tally(self) -> Tally:
        """What happened since the last call."""
        done, self.tally = self.tally, Tally()
        return done

    @property
    def clock_ns(self) -> int:
        """The newest ts_recv of the log; -1 before the first row."""
        return int(self.state.clock[fields.NEWEST])
