"""One partition of the paper broker: records of the market, of signals and of commits go in, orders and fills come out.

No broker of messages, no clock: as the engine's task, it is a function of what it is fed.

The order in which the broker hears of things: each frame, then the signals that it caused, whatever came first.
"""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Generic, NamedTuple, TypeVar

import msgspec

from streams.engine.task import OutputRecord, ReferenceData
from streams.paper.broker import PaperBroker
from streams.paper.stored import BrokerSnapshot, restored, stored
from tapewatch.contract import frames, messages
from tapewatch.contract.frames import Headers, View
from tapewatch.contract.messages import AppliedChange, Commit, Fill, Message, Order, PaperCommand, Position, Signal
from tapewatch.contract.rows import RowType
from tapewatch.errors import ContractError, TapewatchError
from tapewatch.market_log.admission import CONTROL_SOURCE, Admission
from tapewatch.settings.paper import PaperSettings

Frame = TypeVar("Frame")


class Span(NamedTuple):
    """What the engine has said about a range of market offsets: all its signals are known once `signals` were read."""

    first: int
    end: int
    signals: int


def _place(signal: Signal) -> tuple[int, str, str]:
    """Where a signal stands among others."""
    return signal.cause.offset, signal.ts, signal.instrument


def _cause(signal: Signal) -> int:
    """The offset of the frame that caused a signal."""
    return signal.cause.offset


class Gate(Generic[Frame]):
    """One partition's frames, signals and commits, read from three topics in any interleaving, in one order.

    A frame waits until the engine has committed a transaction over it and all signals of that transaction are here;
    frames before offset `begin`, the end of a transaction, are the past. Frames and commits are read in their order;
    signals may lie in several partitions, and are put in the order of cause, time and instrument.
    """

    def __init__(self, begin: int = 0):
        self.begin = begin
        self._frames: deque[tuple[int, Frame]] = deque()
        self._spans: deque[Span] = deque()
        self._signals: deque[Signal] = deque()

    def frame(self, offset: int, frame: Frame) -> None:
        """A frame was read. ValueError where offsets go back."""
        if self._frames and offset <= self._frames[-1][0]:
            raise ValueError(f"frame {offset} after {self._frames[-1][0]}")
        if offset >= self.begin:
            self._frames.append((offset, frame))

    def signal(self, signal: Signal) -> None:
        """A signal was read."""
        if signal.cause.offset >= self.begin:
            insort(self._signals, signal, key=_place)

    def commit(self, commit: Commit) -> None:
        """A commit record was read."""
        if commit.next_offset > self.begin:
            self._spans.append(Span(commit.first_offset, commit.next_offset, commit.signals))

    def waiting(self) -> tuple[int, int, int]:
        """How many frames, signals and commits were read and wait for the others."""
        return len(self._frames), len(self._signals), len(self._spans)

    def held(self) -> tuple[list[Signal], list[Span]]:
        """Signals and spans that were read and still wait: a restart that reads on behind them needs them."""
        return list(self._signals), list(self._spans)

    def hold(self, signals: Iterable[Signal], spans: Iterable[Span]) -> None:
        """Take up what `held` gave."""
        self._signals.extend(signals)
        self._spans.extend(spans)

    def released(self, seen: int) -> Iterator[tuple[int, Frame, list[Signal]]]:
        """Offset, frame and its signals of every frame that may go, in order.

        seen : market offset up to which frames have been read, exclusive; a span is whole only from there on, since not
        every offset is a frame
        """
        while self._spans and self._spans[0].end <= seen and self._arrived(self._spans[0]):
            span = self._spans.popleft()
            while self._frames and self._frames[0][0] < span.end:
                offset, frame = self._frames.popleft()
                self.begin = offset + 1
                yield offset, frame, self._caused_by(offset)
            self.begin = max(self.begin, span.end)

    def _arrived(self, span: Span) -> bool:
        first, end = (bisect_left(self._signals, offset, key=_cause) for offset in (span.first, span.end))
        return end - first >= span.signals

    def _caused_by(self, offset: int) -> list[Signal]:
        found = []
        while self._signals and self._signals[0].cause.offset <= offset:
            found.append(self._signals.popleft())
        return found


class Record(NamedTuple):
    """A record of the market topic as it was read."""

    value: bytes | None
    headers: Headers | None
    appended_ns: int


class StoredTask(msgspec.Struct, forbid_unknown_fields=True):
    """What a restart needs beside the market from `begin` on, and the other two topics from where they were read to.

    names, sources, clock, missing : of the admission; signals, spans : read, and waiting for frames
    """

    begin: int
    names: list[str]
    sources: dict[str, tuple[int, int]]
    clock: int
    signals: list[Signal]
    spans: list[Span]
    broker: BrokerSnapshot
    missing: dict[str, int] = {}


class PaperTask:
    """Feed it three topics, each in its order; take what is decided.

    Commands take effect when they are given, between two frames; `taken` says where, and a task that is told to
    `repeat` that does the same.

    Rows that the engine refuses are refused here by the same rules; who wants to know finds them in its dead letters.
    """

    def __init__(self, topic: str, partition: int, registry: ReferenceData, settings: PaperSettings):
        self.topic, self.partition = topic, partition
        self.broker = PaperBroker(settings, registry.instruments, topic, partition)
        self.admission = Admission(registry, topic, partition)
        self.gate: Gate[Record] = Gate()
        self.taken = [self._configured()]
        self._later: deque[AppliedChange] = deque()
        self._dictionaries: dict[RowType, tuple[bytes, list[str]]] = {}
        self._seen = 0

    @property
    def begin(self) -> int:
        """The market offset from which a restart reads again. Signals and commits are read on from where they were."""
        return self.gate.begin

    def start_at(self, offset: int) -> None:
        """Begin a new task at the log's first offset: what came before it is gone."""
        self.gate.begin = self._seen = offset
        self.taken = [self._configured()]

    def market(self, offset: int, value: bytes | None, headers: Headers | None, appended_ns: int) -> None:
        """A record of the market topic."""
        self.gate.frame(offset, Record(value, headers, appended_ns))
        self.read_to(offset + 1)

    def read_to(self, offset: int) -> None:
        """The market topic has been read up to an offset, exclusive, at whose gaps no records lie."""
        self._seen = max(self._seen, offset)
        self._go()

    def signal(self, value: bytes) -> None:
        """A record of the topic `signals`; ContractError where it is none. Other partitions' are passed over."""
        found = messages.decode(Signal, value)
        if (found.cause.topic, found.cause.partition) == (self.topic, self.partition):
            self.gate.signal(found)
            self._go()

    def commit(self, value: bytes) -> None:
        """A record of the topic `engine.commits`; ContractError where it is none."""
        found = messages.decode(Commit, value)
        if (found.topic, found.partition) == (self.topic, self.partition):
            self.gate.commit(found)
            self._go()

    def command(self, command: PaperCommand) -> None:
        """Do at once what somebody says."""
        taken = AppliedChange(self.begin, command.action, command.instrument, command.id)
        self._apply(taken)
        self.taken.append(taken)

    def configure(self, settings: PaperSettings) -> None:
        """Trade by other settings from here on."""
        if settings != self.broker.settings:
            self.broker.settings = settings
            self.taken.append(self._configured())

    def repeat(self, taken: AppliedChange) -> None:
        """What took effect in another run takes effect at the same place in this one. Give them in their order, before
        the market records that come after them.
        """
        self._later.append(taken)
        self._repeat_before(self.begin)

    def _configured(self) -> AppliedChange:
        settings: dict[str, int | float | bool | str] = msgspec.to_builtins(self.broker.settings)
        return AppliedChange(self.begin, "settings", settings=settings)

    def _apply(self, taken: AppliedChange) -> None:
        if taken.action == "settings":
            self.broker.settings = msgspec.convert(taken.settings, PaperSettings)
        elif taken.action == "on" or taken.action == "off":
            self.broker.switch(taken.instrument, taken.action == "on")
        else:
            self.broker.command(taken.action)

    def _repeat_before(self, offset: int) -> None:
        """Do what took effect before a market record."""
        while self._later and self._later[0].before <= offset:
            self._apply(self._later.popleft())

    def _go(self) -> None:
        for offset, record, signals in self.gate.released(self._seen):
            self._repeat_before(offset)
            self._frame(offset, record)
            for signal in signals:
                self.broker.signal(signal)

    def _frame(self, offset: int, record: Record) -> None:
        """Hand an accepted frame's accepted rows to the broker."""
        self.broker.offset = offset
        try:
            admitted = self.admission.admit(record.value, record.headers, record.appended_ns)
        except ContractError:
            return
        if admitted is None or record.value is None or admitted.headers.source == CONTROL_SOURCE:
            return
        rows = frames.numbers(admitted.view, self._names_of(admitted.view))
        kept = rows.take(admitted.reasons == 0) if admitted.refused else rows
        if len(kept):
            self.broker.frame(offset, kept)

    def _names_of(self, view: View) -> list[str]:
        """The texts of a frame's dictionary: most frames have that of the one before of their type."""
        known, names = self._dictionaries.get(view.type, (b"", []))
        if known != view.dictionary:
            names = view.names()
            self._dictionaries[view.type] = (view.dictionary, names)
        return names

    def take(self) -> list[OutputRecord]:
        """Records of the topics `orders`, `fills` and `positions`, since the last call."""
        said, accounts = self.broker.take()
        return [_outgoing(each) for each in (*said, *accounts)]

    def dump(self) -> bytes:
        """The state after all frames that were let through: `load` goes on at `begin`. Take what was said before."""
        return msgspec.json.encode(self.stored(), order="deterministic")

    def stored(self) -> StoredTask:
        """The same as plain values."""
        names, sources, clock = self.admission.names, self.admission.sources, int(self.admission.clock[0])
        held, broker = self.gate.held(), stored(self.broker)
        return StoredTask(self.gate.begin, names, sources, clock, *held, broker, self.admission.missing)

    @classmethod
    def load(cls, data: bytes, registry: ReferenceData) -> "PaperTask":
        """A task that goes on where `dump` was taken; TapewatchError where the bytes are no such state."""
        try:
            return cls.restored(msgspec.json.decode(data, type=StoredTask), registry)
        except msgspec.DecodeError as error:
            raise TapewatchError(f"no state of a paper task: {error}", "Start it from the log's beginning.") from None

    @classmethod
    def restored(cls, found: StoredTask, registry: ReferenceData) -> "PaperTask":
        """A task of a state; TapewatchError where this build cannot read it."""
        task = cls(found.broker.topic, found.broker.partition, registry, found.broker.settings)
        task.taken = []
        task.broker = restored(found.broker, registry.instruments)
        task.admission.load(found.names, found.sources, found.clock, found.missing)
        task.gate = Gate(found.begin)
        task.gate.hold(found.signals, found.spans)
        task._seen = found.begin
        return task


def _outgoing(message: Order | Fill | Position) -> OutputRecord:
    """A message as a record: an order's changes and fills, and an instrument's accounts, lie in one partition."""
    key = message.instrument if isinstance(message, Position) else message.id
    if isinstance(message, Fill):
        key = message.order
    whole: Message = message
    return OutputRecord(whole.TOPIC, messages.encode(whole), key.encode(), [], message.instrument)
