"""One partition of the paper broker: records of the market, of signals and of commits go in, orders and fills come out.

No broker of messages, no clock: as the engine's task, it is a function of what it is fed.
"""

from collections import deque
from typing import NamedTuple

import msgspec

from streams.engine.task import OutputRecord, ReferenceData
from streams.paper.broker import PaperBroker
from streams.paper.gate import Gate, Span
from streams.paper.stored import BrokerSnapshot, restored, stored
from tapewatch import frames, messages
from tapewatch.admission import CONTROL_SOURCE, Admission
from tapewatch.errors import ContractError, TapewatchError
from tapewatch.frames import Headers, View
from tapewatch.messages import AppliedChange, Commit, Fill, Message, Order, PaperCommand, Position, Signal
from tapewatch.paper_settings import PaperSettings
from tapewatch.rows import RowType


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
