"""Kafka clients as every part of the project makes them, and the few administrative acts it needs."""

import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from tapewatch import logs, topics
from tapewatch.access import login, renewal
from tapewatch.clock import NANOS, WALL
from tapewatch.errors import TapewatchError
from tapewatch.frames import Headers
from tapewatch.settings import Settings

ANY_PARTITION = -1
"""The partition of a record that its key chooses, or chance."""
TIMEOUT_S = 15.0
REFUSED_S = 4.0
"""A refused login is tried again so long: a password may just be on its way into its file."""
STATISTICS_MS = 1_000
ASKED_AGAIN_S = 3.0
"""How often a broker that is away is asked for, where it is waited for."""
READ_AHEAD_KB = 32_768
"""What a consumer keeps ready at most where nothing else is said, KiB: it reads no further while nobody takes it."""

FULL_QUEUE_MS = 5
"""For who reads a long log as fast as it can: how long a reader whose queue is full asks for nothing; else a second."""

_log = logs.get("kafka")
A = TypeVar("A")


ACT_S = 5
"""How long an act of a transaction asks the broker before it says that it may be done again."""
STUCK_S = 8
"""librdkafka does not always come back from one: a group's coordinator that is gone while it is asked may keep it for
ever (its issues 5456 and 5511).
"""


class BrokerAwayError(TapewatchError):
    """No broker answers."""


class StuckError(TapewatchError):
    """A client does not come back from a call."""


_NOT_READY = (
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    # A client's own word on a topic that is being created while it asks.
    KafkaError._UNKNOWN_TOPIC,
    KafkaError._UNKNOWN_PARTITION,
    # The connection to a leader that dies is taken down under a request that waits on it.
    KafkaError._DESTROY_BROKER,
    KafkaError._TRANSPORT,
)


class _Producer(Producer):  # type: ignore[misc]  # the library is taken as Any
    """A producer that can be told of a new password."""


class _Consumer(Consumer):  # type: ignore[misc]  # the same
    """A consumer that can be told of a new password until it is closed."""

    def close(self) -> None:
        """Give it back."""
        renewal.forget(self)
        super().close()


def _client(kind: Any, settings: Settings, properties: dict[str, Any]) -> Any:
    """A client that logs in as the settings say, hears of new passwords and can say why it is refused."""
    access = settings.kafka_login()
    given = login.properties(access)
    common = {"bootstrap.servers": settings.bootstrap(), "log_level": 2, **given, **access.client}
    if not given:
        return kind({**common, **properties})
    refusals = login.Refusals(access, properties.pop("error_cb", None))
    client = kind({**common, **properties, "error_cb": refusals})
    client.refusals = refusals
    renewal.follow(client, access, given.get("sasl.password", ""))
    return client


def admin(settings: Settings, **properties: Any) -> AdminClient:
    """An administrative client; `properties` as a producer's."""
    return _client(AdminClient, settings, _dotted(properties))


def producer(settings: Settings, told: Callable[[str], None] | None = None, **properties: Any) -> Producer:
    """An idempotent producer; `properties` use underscores for dots (linger_ms=5).

    told : given librdkafka's statistics every second, while the producer is polled
    """
    return _client(
        _Producer,
        settings,
        {
            "enable.idempotence": True,
            "message.max.bytes": 16_000_000,
            "queue.buffering.max.kbytes": 262_144,
            # Each takes .8 KB besides its bytes: 400 MiB at most.
            "queue.buffering.max.messages": 500_000,
            **_statistics(told),
            **_dotted(properties),
        },
    )


def enqueue(
    producer: Producer, topic: str, value: bytes, key: bytes | None = None, headers: Headers = (),
    partition: int = ANY_PARTITION, on_delivery: Callable[[Any, Any], None] | None = None,
) -> None:  # fmt: skip
    """Hand a record to the producer; a full queue is waited for."""
    more: dict[str, Any] = {"on_delivery": on_delivery} if on_delivery else {}
    while True:
        try:
            producer.produce(topic, value, key, partition, headers=list(headers), **more)
            return
        except BufferError:
            producer.poll(0.05)


def consumer(
    settings: Settings,
    group: str = "tapewatch-reader",
    told: Callable[[str], None] | None = None,
    **properties: Any,
) -> Consumer:
    """A read-committed consumer that commits nothing by itself.

    told : given librdkafka's statistics every second, while the consumer is polled
    """
    return _client(
        _Consumer,
        settings,
        {
            "group.id": group,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "fetch.message.max.bytes": 16_777_216,
            # The broker answers as soon as it has a byte: a longer wait costs no latency, a shorter one half of an idle
            # broker's CPU time (ten readers that ask two hundred times a second).
            "fetch.wait.max.ms": 100,
            "queued.max.messages.kbytes": READ_AHEAD_KB,
            **_statistics(told),
            **_dotted(properties),
        },
    )


def _statistics(told: Callable[[str], None] | None) -> dict[str, Any]:
    return {} if told is None else {"stats_cb": told, "statistics.interval.ms": STATISTICS_MS}


def _dotted(properties: dict[str, Any]) -> dict[str, Any]:
    """Names as librdkafka has them; callbacks keep their own."""
    return {name if name.endswith("_cb") else name.replace("_", "."): value for name, value in properties.items()}


def create_topics(settings: Settings, specs: Iterable[topics.TopicSpec]) -> list[str]:
    """Create the topics that are missing; returns their names. A topic that exists is left as it is."""
    client = admin(settings)
    wanted, existing = {spec.name: spec for spec in specs}, existing_topics(client)
    missing = [spec for name, spec in wanted.items() if name not in existing]
    if not missing:
        return []
    least = settings.topics.min_insync
    insync = {"min.insync.replicas": str(least)} if least else {}
    requests = [
        NewTopic(
            spec.name,
            num_partitions=spec.partitions,
            replication_factor=settings.topics.replication,
            config=dict(spec.properties) | insync,
        )
        for spec in missing
    ]
    created = []
    for name, future in client.create_topics(requests, request_timeout=TIMEOUT_S).items():
        try:
            future.result()
            created.append(name)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                may = error.args[0].code() != KafkaError.TOPIC_AUTHORIZATION_FAILED
                hint = "Check the broker's log." if may else login.APPLY
                raise TapewatchError(f"cannot create topic {name}: {error}", hint) from error
    _await_leaders(client, list(wanted))
    return created


def _await_leaders(client: AdminClient, names: list[str]) -> None:
    """Wait until every topic's partitions have a leader, so that the first use does not fail."""
    deadline = WALL.now() + int(TIMEOUT_S * NANOS)
    while WALL.now() < deadline:
        found = client.list_topics(timeout=TIMEOUT_S).topics
        if all(name in found and found[name].partitions for name in names):
            return
        WALL.sleep(0.05)
    raise TapewatchError("the broker did not make the new topics ready", "Look at its log; then run the command again.")


def await_broker(settings: Settings, stop: threading.Event) -> bool:
    """Wait until a broker answers, saying so; False where `stop` was set first."""
    client = admin(settings)
    while not stop.is_set():
        try:
            existing_topics(client, ASKED_AGAIN_S)
            return True
        except BrokerAwayError as error:
            _log.warning("waiting for Kafka", bootstrap=settings.bootstrap(), problem=error.message, next=error.hint)
            stop.wait(ASKED_AGAIN_S)
    return False


def existing_topics(client: AdminClient, patience_s: float = TIMEOUT_S) -> dict[str, int]:
    """Topic name -> number of partitions. BrokerAwayError where no broker answers for `patience_s` seconds, LoginError
    where it refuses us.
    """
    try:
        found = _described(client, patience_s).topics
    except KafkaException as error:
        raise BrokerAwayError(
            f"Kafka does not answer: {error}", "Run `tapewatch status`; start it with `tapewatch up`."
        ) from error
    return {name: len(topic.partitions) for name, topic in found.items()}


def _described(client: AdminClient, patience_s: float) -> Any:
    """The cluster's metadata. A client whose login is refused says so after REFUSED_S, and not just that nobody
    answers.
    """
    refusals = getattr(client, "refusals", None)
    if refusals is None:
        return client.list_topics(timeout=patience_s)
    began, refusals.last = WALL.now(), None
    while True:
        try:
            return client.list_topics(timeout=min(patience_s, REFUSED_S / 2))
        except KafkaException:
            if isinstance(client, AdminClient):
                client.poll(0)
            waited_s = (WALL.now() - began) / NANOS
            if refusals.last is not None and waited_s >= min(patience_s, REFUSED_S):
                raise refusals.last from None
            if waited_s >= patience_s:
                raise
            renewal.look()


def write_each(
    settings: Settings, places: Mapping[str, Iterable[int]], value: bytes, headers: Headers
) -> dict[str, dict[int, int]]:
    """Write one record into each of these partitions; its offset by topic and partition, where it was acknowledged."""
    offsets: dict[str, dict[int, int]] = {topic: {} for topic in places}

    def delivered(error: Any, message: Message) -> None:
        if error is None:
            offsets[str(message.topic())][int(message.partition() or 0)] = int(message.offset() or 0)

    writer = producer(settings, linger_ms=0)
    for topic, partitions in places.items():
        for partition in partitions:
            enqueue(writer, topic, value, None, headers, partition, delivered)
    writer.flush(30)
    return offsets


def read_range(reader: Consumer, topic: str, partition: int, start: int, end: int) -> Generator[Message, None, None]:
    """The records of one partition from offset `start` to `end` (exclusive, log offsets), in order.

    The consumer is assigned to the partition. Raises TapewatchError when the log does not move for 30 s.
    """
    if start >= end:
        return
    reader.assign([TopicPartition(topic, partition, start)])
    try:
        yield from _until(reader, topic, partition, end)
    finally:
        reader.unassign()


def _until(reader: Consumer, topic: str, partition: int, end: int) -> Iterator[Message]:
    last_move = WALL.now()
    while True:
        for message in reader.consume(500, timeout=0.05):
            if message.error():
                raise KafkaException(message.error())
            last_move = WALL.now()
            if message.offset() >= end:
                return
            yield message
            if message.offset() >= end - 1:
                return
        # Transaction markers take offsets too: the position tells when only they are left.
        if reader.position([TopicPartition(topic, partition)])[0].offset >= end:
            return
        if WALL.now() - last_move > 30 * NANOS:
            raise TapewatchError(f"{topic}[{partition}] does not move before offset {end}", "Check the broker's log.")


def watermarks(reader: Consumer, topic: str, partition: int) -> tuple[int, int]:
    """First and next offset of a partition (next: last stable offset for read-committed readers).

    A new topic's leader may not know of its office yet, and a password may change: tried again for 15 s, and 5 s.
    """
    place = TopicPartition(topic, partition)
    low, high = answered(lambda: reader.get_watermark_offsets(place, timeout=TIMEOUT_S), _is_not_ready, TIMEOUT_S)
    return int(low), int(high)


def offsets_at(reader: Consumer, asked: Sequence[TopicPartition]) -> list[TopicPartition]:
    """The first record's offset of each partition that was appended at a time or later, -1 where there is none.

    asked : with UTC milliseconds in place of the offset; tried again as `watermarks` is
    """

    def ask() -> list[TopicPartition]:
        found: list[TopicPartition] = reader.offsets_for_times(list(asked), timeout=TIMEOUT_S)
        for each in found:
            if each.error:
                raise KafkaException(each.error)
        return found

    return answered(ask, _is_not_ready, TIMEOUT_S)


def _is_not_ready(error: KafkaError) -> bool:
    return error.code() in _NOT_READY


def answered(ask: Callable[[], A], passes: Callable[[KafkaError], bool], seconds: float) -> A:
    """The answer to a question, asked again while what is said against it passes by itself, and while a password that
    was changed is only on its way to the client. passes : whether an error does; seconds : how long it may
    """
    began = WALL.now()
    while True:
        try:
            return ask()
        except KafkaException as error:
            cause, waited_s = error.args[0], (WALL.now() - began) / NANOS
            if (waited_s > seconds or not passes(cause)) and not renewal.may_pass(cause, waited_s):
                raise
            WALL.sleep(0.05)


def in_time(act: Callable[[], None]) -> None:
    """Do an act of a transaction, given ACT_S. StuckError where the client has not come back from it after STUCK_S.

    The call cannot be taken back then, nor the client be closed under it: it is left alone, and whoever goes on needs a
    new one, whose first act has the broker abort what was open. Time in which this process stands still does not count.
    """
    ended: list[BaseException | None] = []
    done = threading.Event()

    def run() -> None:
        try:
            act()
            ended.append(None)
        except BaseException as error:
            ended.append(error)
        finally:
            done.set()

    threading.Thread(target=run, name="in time", daemon=True).start()
    for _ in range(STUCK_S):
        if done.wait(1.0):
            if ended[0] is not None:
                raise ended[0]
            return
    raise StuckError(
        f"the Kafka client has not come back from a transaction after {STUCK_S} s",
        "Start the process again, as a supervisor does: what was not committed is done again.",
    )


def patiently(act: Callable[[], None], for_s: float) -> None:
    """Do an act of a transaction, again while the client says that this is of use, for so long at most.

    KafkaException where it is of none, or no longer; StuckError as `in_time`.
    """
    deadline = WALL.now() + int(for_s * NANOS)
    while True:
        try:
            in_time(act)
            return
        except KafkaException as error:
            cause = error.args[0]
            if not cause.retriable() or cause.txn_requires_abort() or cause.fatal() or WALL.now() > deadline:
                raise
            WALL.sleep(0.02)


def read_settled(settings: Settings, topic: str, on_message: Callable[[Message], None]) -> None:
    """As `read_all`, up to the end of the log as it stands now: transactions that are open there are waited for."""
    reader, ends = consumer(settings), consumer(settings, isolation_level="read_uncommitted")
    try:
        for partition in range(existing_topics(admin(settings)).get(topic, 0)):
            low, end = watermarks(ends, topic, partition)
            for message in read_range(reader, topic, partition, low, end):
                on_message(message)
    finally:
        reader.close()
        ends.close()


def read_all(settings: Settings, topic: str, on_message: Callable[[Message], None]) -> None:
    """Call `on_message` for every committed record of a topic as it stands now, partition by partition."""
    reader = consumer(settings)
    try:
        for partition in range(existing_topics(admin(settings)).get(topic, 0)):
            low, high = watermarks(reader, topic, partition)
            for message in read_range(reader, topic, partition, low, high):
                on_message(message)
    finally:
        reader.close()
