"""What the engine tells of an alert's way, where somebody traces: when its frame was sent, when it was committed."""

from collections.abc import Callable, Iterable
from contextlib import suppress

import msgspec
from confluent_kafka import Message

from streams.engine.task import OutputRecord
from tapewatch.clock import WALL
from tapewatch.contract import topics
from tapewatch.contract.frames import FrameHeaders
from tapewatch.errors import ContractError
from tapewatch.runtime import tracing
from tapewatch.runtime.tracing import AlertIdentity, Step, Tracer

Place = tuple[str, int, int]


class _AlertProvenance(msgspec.Struct, frozen=True):
    """Of an alert's provenance."""

    topic: str
    partition: int
    updated_offset: int
    build: str


class _TracedAlert(AlertIdentity, frozen=True, kw_only=True):
    """Of an alert."""

    provenance: _AlertProvenance


class Traces:
    """Of one engine: `read` a batch, `wrote` its records, and what `begun` gives is called once all is committed."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._batch: dict[Place, Message] = {}
        self._alerts: list[_TracedAlert] = []
        self._fetched_ns = 0

    def read(self, batch: Iterable[Message]) -> None:
        """The records of a micro-batch, which alerts may come of."""
        self._fetched_ns = WALL.now()
        self._batch = {(message.topic(), message.partition(), message.offset()): message for message in batch}

    def wrote(self, record: OutputRecord) -> None:
        """A record of the transaction."""
        if record.topic == topics.ALERTS:
            self._alerts.append(msgspec.json.decode(record.value, type=_TracedAlert))

    def begun(self) -> Callable[[], None]:
        """To be called when the transaction is committed; dropped where it is not."""
        alerts, self._alerts = self._alerts, []
        batch, fetched_ns = self._batch, self._fetched_ns
        return lambda: self._committed(alerts, batch, fetched_ns)

    def _committed(self, alerts: list[_TracedAlert], batch: dict[Place, Message], fetched_ns: int) -> None:
        done = WALL.now()
        for alert in alerts:
            where = alert.provenance
            caused: dict[str, str | int] = {
                "messaging.system": "kafka",
                "messaging.destination.name": where.topic,
                "messaging.destination.partition.id": str(where.partition),
                "messaging.kafka.offset": where.updated_offset,
            }
            message = batch.get((where.topic, where.partition, where.updated_offset))
            if message is not None:
                self._tracer.send(_frame(alert, message, caused), "producer")
            told = alert.attributes | caused | {"tapewatch.build": where.build}
            self._tracer.send(Step(tracing.ENGINE, alert.id, alert.revision, fetched_ns, done, "CONSUMER", told))


def _frame(alert: _TracedAlert, message: Message, caused: dict[str, str | int]) -> Step:
    """The frame's way into the log: from the producer's flush to the broker's append time."""
    appended_ns = message.timestamp()[1] * 1_000_000
    told: dict[str, str | int] = {}
    begun = 0
    with suppress(ContractError):
        sent = FrameHeaders.from_kafka(message.headers())
        begun = sent.produced_at
        told = {"tapewatch.source": sent.source, "tapewatch.sequence": sent.sequence}
    attributes = alert.attributes | caused | told
    return Step(tracing.FRAME, alert.id, alert.revision, begun or appended_ns, appended_ns, "PRODUCER", attributes)
