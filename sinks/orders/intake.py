"""Orders in: what is journalled of the topic `orders`, and what a journal that knows nothing makes of its past.

The topics `orders` and `fills` as a gateway reads and writes them.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from confluent_kafka import OFFSET_BEGINNING, Message, TopicPartition

from sinks.orders.journal import Entry, Journal, Log, OutboxRecord
from sinks.orders.limits import MINUTE_NS, Book, Limits, ReferenceSource
from sinks.orders.venue import exact, revise
from tapewatch import logs
from tapewatch.clock import WALL, Clock
from tapewatch.contract import topics
from tapewatch.contract.messages import Order, decode
from tapewatch.errors import ContractError
from tapewatch.rfc3339 import from_rfc3339
from tapewatch.runtime import kafka
from tapewatch.runtime.idling import Ends
from tapewatch.settings import Settings

_log = logs.get("sink.orders")


@dataclass(frozen=True, slots=True)
class OrderRecord:
    """A record of the topic `orders`. following : the offset after it"""

    log: Log
    following: int
    value: bytes


class OrderReceiver:
    """Takes records in, in one transaction with the offsets up to which the topic was read.

    active : orders that are not done, by id; the gateway's own, added to here
    """

    def __init__(
        self,
        journal: Journal,
        limits: Limits,
        reference: ReferenceSource,
        active: dict[str, Entry],
        clock: Clock = WALL,
    ) -> None:
        self._journal, self._limits, self._reference = journal, limits, reference
        self._active, self._clock = active, clock

    def take(self, arrived: list[OrderRecord]) -> None:
        """Journal new orders and requests to cancel, with the offsets up to which the topic was read."""
        if not arrived:
            return
        with self._journal.transaction():
            for record in arrived:
                order = _order(record)
                if order is not None and order.mode == "live" and self._limits.routes(order.instrument):
                    self._take(order)
                self._journal.read_to(record.log, record.following)

    def _take(self, order: Order) -> None:
        """Journal one record of a live order: a new one, or the wish to cancel one that is known."""
        entry = self._active.get(order.id) or self._journal.get(order.id)
        if entry is not None:
            if order.request == "cancel":
                self._wish(entry, order)
        elif order.request == "cancel" or order.revision > 0 or order.state != "pending":
            _log.warning("order of another journal left alone", order=order.id, state=order.state)
        else:
            self._admit(order)

    def _wish(self, entry: Entry, order: Order) -> None:
        """Note that a cancel is wished for. An order that is done says so again, above the wish's own revision."""
        entry.revision = max(entry.revision, order.revision)
        if entry.phase == "done":
            revise(self._journal, entry, self._clock.now())
        else:
            entry.cancel, entry.due_ns = True, 0
            self._journal.put(entry)

    def _admit(self, order: Order) -> Entry:
        """Let a new order through the limits, or refuse it."""
        now = self._clock.now()
        entry = _entry(order, now)
        minute = self._journal.taken_since(now - MINUTE_NS)
        standing = Book(self._journal.position(order.instrument), tuple(self._active.values()), minute)
        entry.reason = self._limits.objection(order, self._reference, standing, now)
        if entry.reason:
            entry.phase, entry.state = "done", "rejected"
            revise(self._journal, entry, now)
            _log.warning("order refused", order=entry.id, instrument=entry.instrument, reason=entry.reason)
        else:
            self._journal.put(entry)
            self._active[entry.id] = entry
        return entry

    def adopt(self, backlog: list[OrderRecord]) -> None:
        """Take in a topic as a journal finds it that knows nothing of the past.

        An order that is not done may have been sent by whoever held the last journal, so the venue is asked first.
        """
        past: dict[str, list[Order]] = {}
        with self._journal.transaction():
            for record in backlog:
                order = _order(record)
                if order is not None and order.mode == "live" and self._limits.routes(order.instrument):
                    past.setdefault(order.id, []).append(order)
                self._journal.read_to(record.log, record.following)
            for records in past.values():
                self._adopt(records)
            self._journal.begun()

    def _adopt(self, records: list[Order]) -> None:
        """Take in an order by all its records. The limits are for those that no gateway has answered yet."""
        asked = min(records, key=lambda order: order.revision)
        told = [order for order in records if order.revision > 0 and not order.request]
        newest = max(told, key=lambda order: order.revision, default=asked)
        if newest.state not in ("pending", "open", "unknown") or asked.request:
            return
        if told and asked.instrument not in self._limits.instruments:
            _log.warning("order of an instrument no longer allowed left alone", order=asked.id, state=newest.state)
            return
        entry = _entry(newest, self._clock.now()) if told else self._admit(asked)
        if entry.phase == "done" or not entry.price:
            return
        entry.phase, entry.sends, entry.sent_ns = "sent", 1, self._clock.now()
        entry.flew_ns = self._clock.elapsed()
        entry.cancel = any(order.request for order in records)
        entry.revision = max(entry.revision, *(order.revision for order in records))
        self._journal.put(entry)
        self._active[entry.id] = entry


def _order(record: OrderRecord) -> Order | None:
    """The order in a record; None where it holds none."""
    try:
        order = decode(Order, record.value)
        from_rfc3339(order.created)
    except (ContractError, ValueError) as error:
        _log.warning("record skipped", topic=record.log[0], offset=record.following - 1, reason=str(error))
        return None
    return order


def _entry(order: Order, now_ns: int) -> Entry:
    """An order as it enters the journal."""
    return Entry(
        id=order.id,
        instrument=order.instrument,
        side=order.side,
        price=exact(order.price) if order.price is not None else Decimal(0),
        qty=exact(order.qty),
        signal=order.signal,
        created=order.created,
        taken_ns=now_ns,
        revision=order.revision,
        venue_order_id=order.venue_order_id,
    )


class OrderLog(Protocol):
    """Where orders come from and where their revisions and fills go."""

    def backlog(self) -> list[OrderRecord]:
        """Everything there is, from the beginning."""
        ...

    def start(self, offsets: Mapping[Log, int]) -> None:
        """Read on from these offsets; from the beginning where there is none."""
        ...

    async def read(self, wait_s: float) -> list[OrderRecord]:
        """What has come; waits for it for so long at most."""
        ...

    @property
    def at_end(self) -> bool:
        """Whether every partition was read to its end, and nothing came since."""
        ...

    async def publish(self, records: list[OutboxRecord]) -> None:
        """Write records in their order; returns once they are acknowledged."""
        ...

    def close(self) -> None:
        """Disconnect."""
        ...


class KafkaOrderLog:
    """The topics on Kafka. One gateway reads every partition; its offsets are in its journal.

    told : given librdkafka's statistics of the reader every second
    """

    def __init__(self, settings: Settings, told: Callable[[str], None] | None = None) -> None:
        self._settings = settings
        kafka.create_topics(settings, topics.shared_topics(settings.topics))
        # As the Java client chooses partitions by default, so that all records of an order lie in one.
        self._writer = kafka.producer(settings, linger_ms=2, partitioner="murmur2_random")
        self._reader = kafka.consumer(settings, told=told, enable_partition_eof=True)
        self._ends = Ends()
        self._partitions = range(kafka.existing_topics(kafka.admin(settings))[topics.ORDERS])

    def backlog(self) -> list[OrderRecord]:
        """Everything there is, from the beginning."""
        found: list[OrderRecord] = []
        kafka.read_all(self._settings, topics.ORDERS, lambda message: found.append(_arrived(message)))
        return found

    def start(self, offsets: Mapping[Log, int]) -> None:
        """Read on from these offsets; from the beginning where there is none."""
        self._reader.assign(
            [
                TopicPartition(topics.ORDERS, each, offsets.get((topics.ORDERS, each), OFFSET_BEGINNING))
                for each in self._partitions
            ]
        )

    async def read(self, wait_s: float) -> list[OrderRecord]:
        """What has come; waits for it for so long at most. Errors of the broker pass by: the client reconnects."""
        messages = await asyncio.to_thread(self._reader.consume, 500, wait_s)
        return [_arrived(message) for message in self._ends.read(messages) if not message.error()]

    @property
    def at_end(self) -> bool:
        """Whether every partition was read to its end, and nothing came since."""
        return self._ends.cover([(topics.ORDERS, each) for each in self._partitions])

    async def publish(self, records: list[OutboxRecord]) -> None:
        """Write records in their order; DeliveryError where the broker does not take one within 30 s: they stay in the
        journal.
        """
        sent = kafka.Deliveries(self._writer)
        for record in records:
            sent.send(record.topic, record.value, record.key.encode())
        await asyncio.to_thread(sent.settle)

    def close(self) -> None:
        """Disconnect."""
        self._reader.close()


def _arrived(message: Message) -> OrderRecord:
    """A message as it is taken in; an empty one is no order."""
    return OrderRecord((topics.ORDERS, message.partition() or 0), (message.offset() or 0) + 1, message.value() or b"")
