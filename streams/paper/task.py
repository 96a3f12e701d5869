"""One partition of the paper broker: records of the market, of signals and of commits go in, orders and fills come out.

No broker of messages, no clock: as the engine's task, it is a function of what it is fed.
"""

from typing import NamedTuple

import msgspec

from streams.engine.task import Outgoing, ReferenceData
from streams.paper.broker import Account, PaperBroker
from streams.paper.gate import Gate, Span
from streams.paper.settings import PaperSettings
from streams.paper.stored import Stored, restored, stored
from tapewatch import frames, messages
from tapewatch.admission import Admission
from tapewatch.errors import ContractError, TapewatchError
from tapewatch.frames import Headers
from tapewatch.messages import Commit, Signal


class Record(NamedTuple):
    """A record of the market topic as it was read."""

    value: bytes | None
    headers: Headers | None
    appended_ns: int


class StoredTask(msgspec.Struct, forbid_unknown_fields=True):
    """What a restart needs beside the market from `begin` on, and the other two topics from where they were read to.

    names, sources, clock : of the admission; signals, spans : read, and waiting for frames
    """

    begin: int
    names: list[str]
    sources: dict[str, tuple[int, int]]
    clock: int
    signals: list[Signal]
    spans: list[Span]
    broker: Stored


class PaperTask:
    """Feed it three topics, each in its order; take what is decided.

    Rows that the engine refuses are refused here by the same rules; who wants to know finds them in its dead letters.
    """

    def __init__(self, topic: str, partition: int, registry: ReferenceData, settings: PaperSettings):
        self.topic, self.partition = topic, partition
        self.broker = PaperBroker(settings, registry.instruments, topic, partition)
        self.admission = Admission(registry)
        self.gate: Gate[Record] = Gate()
        self._seen = 0

    @property
    def begin(self) -> int:
        """The market offset from which a restart reads again. Signals and commits are read on from where they were."""
        return self.gate.begin

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

    def _go(self) -> None:
        for offset, record, signals in self.gate.released(self._seen):
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
        if admitted is None or record.value is None:
            return
        rows = frames.to_rows(record.value)
        kept = rows.take(admitted.reasons == 0) if admitted.refused else rows
        if len(kept):
            self.broker.frame(offset, kept)

    def take(self) -> tuple[list[Outgoing], list[Account]]:
        """Records of the topics `orders` and `fills`, in their order, and accounts, since the last call."""
        said, accounts = self.broker.take()
        return [
            Outgoing(each.TOPIC, messages.encode(each), each.instrument.encode(), [], each.instrument) for each in said
        ], accounts

    def dump(self) -> bytes:
        """The state after all frames that were let through: `load` goes on at `begin`. Take what was said before."""
        names, sources, clock = self.admission.names, self.admission.sources, int(self.admission.clock[0])
        whole = StoredTask(self.gate.begin, names, sources, clock, *self.gate.held(), stored(self.broker))
        return msgspec.json.encode(whole, order="deterministic")

    @classmethod
    def load(cls, data: bytes, registry: ReferenceData) -> "PaperTask":
        """A task that goes on where `dump` was taken; TapewatchError where the bytes are no such state."""
        try:
            found = msgspec.json.decode(data, type=StoredTask)
        except msgspec.DecodeError as error:
            raise TapewatchError(f"no state of a paper task: {error}", "Start it from the log's beginning.") from None
        task = cls(found.broker.topic, found.broker.partition, registry, found.broker.settings)
        task.broker = restored(found.broker, registry.instruments)
        task.admission.load(found.names, found.sources, found.clock)
        task.gate = Gate(found.begin)
        task.gate.hold(found.signals, found.spans)
        task._seen = found.begin
        return task
