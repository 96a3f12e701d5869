"""What the topics say must lie in the bulk tables: frames admitted and packed by the sink's own code."""

import re
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from confluent_kafka import Consumer, Message

from sinks.engine_frame import KINDS
from sinks.log_reader import headers_of
from sinks.postgres.binary import PackedRows
from sinks.postgres.engine_frames import EngineFrames
from sinks.postgres.keys import Keys
from sinks.postgres.market import MarketFrames
from tapewatch.contract import topics
from tapewatch.contract.frames import MAX_FRAME_BYTES
from tapewatch.errors import ContractError
from tapewatch.market_log.admission import Admission, InstrumentProvider
from tapewatch.runtime import kafka
from tapewatch.settings import Settings

Log = tuple[str, int]


def log_consumer(settings: Settings) -> Consumer:
    """A consumer for long logs."""
    return kafka.consumer(settings, "tapewatch-reconcile", fetch_queue_backoff_ms=kafka.FULL_QUEUE_MS)


class _KnownColumns:
    """The feature columns of the table, which are made by the sink alone."""

    def ensure(self, names: Sequence[str]) -> None:
        """Nothing to make."""


class TopicRows:
    """The rows of one feed's market log and of what the engine made of it.

    ends : next offset of each partition of each topic, as far as the store has read it
    begins : where to begin instead of at the beginning, by partition; the market log is always read whole
    """

    def __init__(
        self,
        settings: Settings,
        feed: str,
        ends: Mapping[Log, int],
        keys: Keys,
        registry: InstrumentProvider,
        begins: Mapping[Log, int] = MappingProxyType({}),
    ) -> None:
        self._begins = begins
        self._settings, self._feed, self._ends, self._registry = settings, feed, ends, registry
        self._keys = keys
        self._market = MarketFrames(keys)
        self._engine = EngineFrames(keys, _KnownColumns())

    def market(self) -> Iterator[PackedRows]:
        """Rows of the market log."""
        topic = topics.market(self._feed)
        for (name, partition), end in sorted(self._ends.items()):
            if name != topic:
                continue
            admission = Admission(self._registry, topic, partition)
            for message in self._records(topic, partition, end):
                packed = self._admitted(admission, message, self._keys.log(topic, partition))
                if packed is not None:
                    yield packed

    def engine(self) -> Iterator[PackedRows]:
        """Rows of the engine's frames."""
        wanted = self._feed.encode()
        for (name, partition), end in sorted(self._ends.items()):
            if name not in KINDS:
                continue
            for message in self._records(name, partition, end):
                headers = headers_of(message)
                if dict(headers).get("feed") != wanted:
                    continue
                try:
                    packed = self._engine.pack(name, message.value(), headers)
                except ContractError:
                    continue  # the sink buries it
                if packed is not None:
                    yield packed

    def messages(self, topic: str) -> Iterator[bytes]:
        """JSON messages of a topic that name the feed's log, as they came."""
        mark = re.compile(rb'"topic":\s*"' + re.escape(topics.market(self._feed).encode()) + rb'"')
        for (name, partition), end in sorted(self._ends.items()):
            if name == topic:
                for message in self._records(topic, partition, end):
                    value = message.value() or b""
                    if mark.search(value):
                        yield value

    def whole(self, topic: str) -> Iterator[Message]:
        """Every record of a topic, of whatever feed."""
        for (name, partition), end in sorted(self._ends.items()):
            if name == topic:
                yield from self._records(topic, partition, end)

    def _records(self, topic: str, partition: int, end: int) -> Iterator[Message]:
        reader = log_consumer(self._settings)
        try:
            low, _ = kafka.watermarks(reader, topic, partition)
            low = max(low, self._begins.get((topic, partition), 0))
            yield from kafka.read_range(reader, topic, partition, low, end)
        finally:
            reader.close()

    def _admitted(self, admission: Admission, message: Message, log: int) -> PackedRows | None:
        """The rows of a market record that the sink keeps."""
        value = message.value()
        if value is not None and len(value) > MAX_FRAME_BYTES:
            return None
        try:
            admitted = admission.admit(value, headers_of(message), message.timestamp()[1] * 1_000_000)
            return self._market.pack(admitted, log, message.offset() or 0) if admitted is not None else None
        except ContractError:
            return None
