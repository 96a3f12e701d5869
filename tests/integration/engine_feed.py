"""A feed of the test's own on the real broker, an engine over it, and what the engine wrote."""

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
from confluent_kafka import Message, TopicPartition

from producers.feed import open_feed
from streams.driver import Driver
from streams.engine.models import ModelSource
from streams.engine.process import Engine
from streams.engine.recovery import feed
from streams.engine.snapshots import Pointers
from streams.engine.task import OutputRecord
from tapewatch.contract import topics
from tapewatch.contract.frames import FrameHeaders
from tapewatch.contract.instruments import Instrument
from tapewatch.market_log.registry import Registry
from tapewatch.runtime import group_offsets, kafka
from tapewatch.settings import Settings
from tests.eventually import eventually
from tests.integration.at_work import at_work
from tests.unit import engine_market as m

DEADLINE_S = 180.0


class Feed:
    """One partition of a new feed, written frame by frame; `settings` name an engine group of its own."""

    def __init__(self, settings: Settings, names: Sequence[str], snapshot_seconds: float = 30.0) -> None:
        self.name = f"t{uuid.uuid4().hex[:10]}"
        self.topic = topics.market(self.name)
        engine = msgspec.structs.replace(settings.engine, feeds=(self.name,), snapshot_seconds=snapshot_seconds)
        self.settings = msgspec.structs.replace(settings, engine=engine)
        self.join(self.name)
        open_feed(self.settings, self.name, [Instrument(name) for name in names], 1)
        self.producer = kafka.producer(self.settings, linger_ms=1)
        self.sequence = 0
        self.names = ["*", *names]

    def join(self, group: str) -> None:
        """Let the next engine be of this group."""
        engine = msgspec.structs.replace(self.settings.engine, group=group, instance=group)
        self.settings = msgspec.structs.replace(self.settings, engine=engine)

    def record(self, value: bytes, kind: str = "quote") -> int:
        """Append a record as it is; returns its sequence, which is its offset too as long as nothing is sent twice."""
        sequence, self.sequence = self.sequence, self.sequence + 1
        headers = FrameHeaders(kind, "test", 1, sequence, 0).to_kafka()
        self.producer.produce(self.topic, value, partition=0, headers=headers)
        self.producer.poll(0)
        return sequence

    def send(self, events: Sequence[m.Event], names: Sequence[str] = ()) -> int:
        """Append events of one type as a frame."""
        return self.record(m.frame(events, names or self.names), events[0].type.label)

    def flush(self) -> None:
        assert self.producer.flush(30) == 0

    def end(self) -> int:
        """The log's next offset."""
        reader = kafka.consumer(self.settings)
        try:
            return kafka.watermarks(reader, self.topic, 0)[1]
        finally:
            reader.close()

    def committed(self) -> TopicPartition:
        """Where the engine's group stands."""
        reader = kafka.consumer(self.settings, self.settings.engine.group)
        try:
            return group_offsets.committed(reader, [TopicPartition(self.topic, 0)])[0]
        finally:
            reader.close()

    def pointers(self) -> Pointers:
        """The snapshots that the committed offset names."""
        return Pointers.decoded(self.committed().metadata)

    def wait(self) -> None:
        """Until the engine has committed everything."""
        self.flush()
        target = self.end()

        def is_there() -> bool:
            offset = self.committed().offset
            assert offset >= target, f"the engine stands at {offset}"
            return True

        eventually(is_there, what=f"the engine has committed {target}", seconds=DEADLINE_S, pause=0.2)

    @contextmanager
    def engine(self) -> Iterator[Engine]:
        """An engine at work in a thread; on the way out it has committed what was sent."""
        engine = Engine(self.settings)
        with at_work(engine.run):
            yield engine
            self.wait()

    def written(self, topic: str) -> list[Message]:
        """Records of this feed on an output topic, read committed."""
        found: list[Message] = []

        def keep(message: Message) -> None:
            headers = dict(message.headers() or ())
            origin = headers.get("feed") == self.name.encode() or topic.startswith(self.topic)
            if origin or (headers.get("type") in (b"alert", b"signal") and self._is_mine(message)):
                found.append(message)

        kafka.read_all(self.settings, topic, keep)
        return found

    def _is_mine(self, message: Message) -> bool:
        """Whether an alert or signal is of this feed; tests of verification leave damaged ones in the topic."""
        try:
            said = alert_of(message)
            return bool((said.get("provenance") or said["cause"])["topic"] == self.topic)
        except (msgspec.DecodeError, KeyError):
            return False

    def rows(self, topic: str) -> list[OutputRecord]:
        """The same, as the brokerless driver gives them."""
        return [
            OutputRecord(topic, message.value() or b"", message.key(), message.headers() or [])
            for message in self.written(topic)
        ]

    def driven(self, shelf: ModelSource | None = None) -> list[OutputRecord]:
        """What the brokerless driver makes of the same log. shelf : where it finds promoted models"""
        registry, reader = Registry(self.settings), kafka.consumer(self.settings)
        driver = Driver(registry, self.topic, 0, shelf)
        for message in kafka.read_range(reader, self.topic, 0, 0, self.end()):
            feed(driver.task, message)
        reader.close()
        registry.close()
        return driver.outgoing()


def alert_of(message: Message) -> dict[str, Any]:
    return dict(msgspec.json.decode(message.value() or b"{}"))
