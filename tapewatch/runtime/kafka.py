"""Kafka clients as every part of the project makes them, and the few administrative acts it needs."""

import threading
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from tapewatch import logs
from tapewatch.clock import NANOS, WALL
from tapewatch.contract import topics
from tapewatch.contract.frames import Headers
from tapewatch.errors import TapewatchError, UnansweredError
from tapewatch.runtime.batches import PassingOver, Record
from tapewatch.security import login, renewal
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
UNPACKED_BYTES = 100_000_000
"""What a zstd batch may unpack to, and an answer of the broker may take. All readers have to pass over the same
batches, so it is not left to the library. What another codec unpacks to, librdkafka does not ask.
"""

FULL_QUEUE_MS = 5
"""For who reads a long log as fast as it can: how long a reader whose queue is full asks for nothing; else a second."""

_log = logs.get("kafka")
A = TypeVar("A")
K = TypeVar("K")

NEWEST_LOOK = 2_000
"""Records that are looked through at first for the newest of a key; then eight times as many."""


ACT_S = 5
"""How long an act of a transaction asks the broker before it says that it may be done again."""
STUCK_S = 11
"""librdkafka does not always come back from one: a group's coordinator that is gone while it is asked may keep it for
ever (its issues 5456 and 5511).
"""


class BrokerAwayError(UnansweredError):
    """No broker answers."""


@contextmanager
def asking(what: str) -> Iterator[None]:
    """A question that hangs on the broker: UnansweredError where it gives no answer for now. what : is asked for"""
    try:
        yield
    except KafkaException as error:
        if not is_passing(error.args[0]) and not _is_not_ready(error.args[0]):
            raise
        raise UnansweredError(
            f"{what} could not be asked for: {error.args[0]}", "Run `tapewatch status`; look at the broker's log."
        ) from error


class StuckError(TapewatchError):
    """A client does not come back from a call."""


_PASSING = frozenset(
    {
        KafkaError._TIMED_OUT,
        KafkaError._TRANSPORT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._RESOLVE,
        KafkaError._WAIT_COORD,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.UNSTABLE_OFFSET_COMMIT,
    }
)
"""What a broker or coordinator that moves, starts or is away for a while gives for an answer; librdkafka does not call
all of it retriable.
"""


class DeliveryError(TapewatchError):
    """The broker did not take a record."""

    def __init__(self, topic: str, cause: KafkaError) -> None:
        remedy = _REMEDIES.get(cause.code(), "Run `tapewatch status`")
        super().__init__(f"Kafka did not take a record for {topic}: {cause.str()}", f"{remedy}; then do it again.")


_REMEDIES = {
    KafkaError.MSG_SIZE_TOO_LARGE: "Raise the topic's max.message.bytes",
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "Let an administrator run `tapewatch acl apply`",
    KafkaError.UNKNOWN_TOPIC_OR_PART: "Look whether somebody has deleted the topic",
    KafkaError._UNKNOWN_TOPIC: "Look whether somebody has deleted the topic",
}

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
    """A consumer that can be told of a new password until it is closed, and passes over what it cannot unpack."""

    passing_over: PassingOver

    def consume(self, num_messages: int = 1, timeout: float = -1) -> list[Record]:
        """Records and errors; a batch that cannot be unpacked is one record, an UnreadableBatch."""
        polled: list[Message] = super().consume(num_messages, timeout)
        if all(message.error() is None for message in polled):
            return polled
        return self.passing_over.read(self, polled)

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


class Deliveries:
    """Records that have to arrive. What is said of each one decides, never how many still wait: a record that was given
    up waits no more either.

    offsets : of the newest record that the broker took, by topic and partition
    """

    def __init__(self, producer: Producer) -> None:
        self._producer = producer
        self._waiting: Counter[str] = Counter()
        self._refused: DeliveryError | None = None
        self.offsets: dict[tuple[str, int], int] = {}

    def send(
        self, topic: str, value: bytes, key: bytes | None = None, headers: Headers = (), partition: int = ANY_PARTITION
    ) -> None:
        """Hand a record over, as `enqueue` does. DeliveryError where the client itself refuses it."""
        try:
            enqueue(self._producer, topic, value, key, headers, partition, self._told)
        except KafkaException as error:
            raise DeliveryError(topic, error.args[0]) from error
        self._waiting[topic] += 1

    def check(self) -> None:
        """DeliveryError where it is known already that a record was not taken."""
        if self._refused is not None:
            raise self._refused

    def settle(self, seconds: float = 30.0) -> None:
        """Wait until every record is taken. DeliveryError where one is not, in so long; what is late is given up."""
        self._producer.flush(seconds)
        self.check()
        for topic in +self._waiting:
            self._producer.purge()
            raise DeliveryError(topic, KafkaError(KafkaError._MSG_TIMED_OUT))

    def _told(self, error: KafkaError | None, message: Message) -> None:
        topic = str(message.topic())
        self._waiting[topic] -= 1
        if error is None:
            self.offsets[topic, int(message.partition() or 0)] = int(message.offset() or 0)
        elif self._refused is None:
            self._refused = DeliveryError(topic, error)


def consumer(
    settings: Settings,
    group: str = "tapewatch-reader",
    told: Callable[[str], None] | None = None,
    **properties: Any,
) -> Consumer:
    """A read-committed consumer that commits nothing by itself.

    told : given librdkafka's statistics every second, while the consumer is polled
    """
    largest = int(settings.kafka.client.get("message.max.bytes", 0)) + 512
    unpacked = settings.kafka.client.get("receive.message.max.bytes", max(UNPACKED_BYTES, largest))
    made: Consumer = _client(
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
            "receive.message.max.bytes": unpacked,
            **_statistics(told),
            **_dotted(properties),
        },
    )
    made.passing_over = PassingOver(settings)
    return made


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
    deadline = WALL.elapsed() + int(TIMEOUT_S * NANOS)
    while WALL.elapsed() < deadline:
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
    began, refusals.last = WALL.elapsed(), None
    while True:
        try:
            return client.list_topics(timeout=min(patience_s, REFUSED_S / 2))
        except KafkaException:
            if isinstance(client, AdminClient):
                client.poll(0)
            waited_s = (WALL.elapsed() - began) / NANOS
            if refusals.last is not None and waited_s >= min(patience_s, REFUSED_S):
                raise refusals.last from None
            if waited_s >= patience_s:
                raise
            renewal.look()


def write_each(
    settings: Settings, places: Mapping[str, Sequence[int]], value: bytes, headers: Headers
) -> dict[str, dict[int, int]]:
    """Write one record into each of these partitions; its offset by topic and partition."""
    sent = Deliveries(producer(settings, linger_ms=0))
    for topic, partitions in places.items():
        for partition in partitions:
            sent.send(topic, value, None, headers, partition)
    sent.settle()
    return {topic: {each: sent.offsets[topic, each] for each in partitions} for topic, partitions in places.items()}


def newest(
    reader: Consumer,
    topic: str,
    partition: int,
    lows: Mapping[K, int],
    end: int,
    key_of: Callable[[Message], K | None],
) -> dict[K, Message]:
    """The newest record of each key in one partition before `end`, looked for from there backwards; without those that
    have none. lows : keys, and the first offset that is of interest for each
    """
    found: dict[K, Message] = {}
    first, look = end, NEWEST_LOOK
    while wanted := [low for key, low in lows.items() if key not in found and low < first]:
        stop, first, look = first, max(min(wanted), first - look), look * 8
        met: dict[K, Message] = {}
        for message in read_range(reader, topic, partition, first, stop):
            key = key_of(message)
            if key is not None and key in lows:
                met[key] = message
        found = met | found
    return found


def read_range(reader: Consumer, topic: str, partition: int, start: int, end: int) -> Generator[Message, None, None]:
    """The records of one partition from offset `start` to `end` (exclusive, log offsets), in order.

    The consumer is assigned to the partition. UnansweredError where the log does not move for 30 s; what the caller
    takes between two records does not count.
    """
    if start >= end:
        return
    reader.assign([TopicPartition(topic, partition, start)])
    try:
        yield from _until(reader, topic, partition, end)
    finally:
        reader.unassign()


def _until(reader: Consumer, topic: str, partition: int, end: int) -> Iterator[Message]:
    last_move = WALL.elapsed()
    while True:
        messages = reader.consume(500, timeout=0.05)
        for message in messages:
            if message.error():
                raise KafkaException(message.error())
            if message.offset() >= end:
                return
            yield message
            if message.offset() >= end - 1:
                return
        if messages:
            last_move = WALL.elapsed()
        # Transaction markers take offsets too: the position tells when only they are left.
        if reader.position([TopicPartition(topic, partition)])[0].offset >= end:
            return
        if WALL.elapsed() - last_move > 30 * NANOS:
            raise UnansweredError(f"{topic}[{partition}] does not move before offset {end}", "Check the broker's log.")


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


def is_passing(error: KafkaError) -> bool:
    """Whether the same request may be answered a little later."""
    return bool(error.retriable()) or error.code() in _PASSING


def _is_not_ready(error: KafkaError) -> bool:
    return error.code() in _NOT_READY


def answered(ask: Callable[[], A], passes: Callable[[KafkaError], bool], seconds: float) -> A:
    """The answer to a question, asked again while what is said against it passes by itself, and while a password that
    was changed is only on its way to the client. passes : whether an error does; seconds : how long it may
    """
    began = WALL.elapsed()
    while True:
        try:
            return ask()
        except KafkaException as error:
            cause, waited_s = error.args[0], (WALL.elapsed() - began) / NANOS
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
    deadline = WALL.elapsed() + int(for_s * NANOS)
    while True:
        try:
            in_time(act)
            return
        except KafkaException as error:
            cause = error.args[0]
            if not cause.retriable() or cause.txn_requires_abort() or cause.fatal() or WALL.elapsed() > deadline:
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
