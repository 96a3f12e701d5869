"""What every process of a consumer group shares: its clients, its static membership, its transactions' few acts."""

import os
import socket
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from tapewatch import kafka, topics
from tapewatch.access.login import explained
from tapewatch.clock import NANOS, WALL
from tapewatch.errors import TapewatchError
from tapewatch.logs import Log
from tapewatch.settings import Settings

TRANSACTION_TIMEOUT_MS = 8_000
"""Longer than a cluster takes to replace a dead leader and its clients to find the new one; a dead member's open
transaction keeps readers waiting as long, where no process of its name comes back.
"""
PATIENCE_S = TRANSACTION_TIMEOUT_MS / 1000
"""How long an act of a transaction is done again: the broker has ended it then."""
SESSION_TIMEOUT_MS = 6_000
_INIT_S = 30
"""How long the broker may take to give a producer its transactions, s."""
FOUND_S = 30
"""How long a coordinator is looked for, s."""

NO_TOPIC = r"^market\.$"
"""A subscription that matches no topic's name."""

Key = tuple[str, int]
"""A partition: topic and number."""


def own_name(chosen: str) -> str:
    """The static member id: what was chosen, else host name and process id."""
    return chosen or f"{socket.gethostname()}-{os.getpid()}"


def member_producer(settings: Settings, transactional_id: str, **properties: Any) -> Producer:
    """A transactional producer whose dead predecessor is fenced, and whose transactions end within 8 s."""
    return kafka.producer(
        settings,
        transactional_id=transactional_id,
        transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
        # A transaction that begins while the broker completes the one before is answered "try again": the default
        # wait is 100 ms.
        retry_backoff_ms=2,
        retry_backoff_max_ms=200,
        message_timeout_ms=TRANSACTION_TIMEOUT_MS,
        **properties,
    )


def member_consumer(settings: Settings, group: str, instance: str, **properties: Any) -> Consumer:
    """A consumer with static membership."""
    return kafka.consumer(
        settings,
        group,
        group_instance_id=instance,
        session_timeout_ms=SESSION_TIMEOUT_MS,
        # A rebalance is heard of with the answer to a heartbeat.
        heartbeat_interval_ms=500,
        partition_assignment_strategy="roundrobin",
        topic_metadata_refresh_interval_ms=1_000,
        **properties,
    )


def subscribed(feeds: tuple[str, ...]) -> list[str]:
    """What a group works on: the market topics of these feeds in all their generations, or every market topic."""
    return [topics.generations_pattern(feed) for feed in feeds] or [topics.MARKET_PATTERN]


def lost_place(error: KafkaError) -> bool:
    """Whether the consumer says that another process has its name, or that it can never go on."""
    return bool(error.fatal()) or error.code() in (KafkaError._FATAL, KafkaError.FENCED_INSTANCE_ID)


class PlaceLostError(TapewatchError):
    """The group has this process's place no longer for it."""


def has_twin(settings: Settings, group: str, instance: str, own: str) -> bool:
    """Whether another process holds the static name in the group. own : member id that this process was given last

    A consumer that heard nothing of its coordinator for a session (which moved, say) forgets its own id, and the
    coordinator takes its next heartbeat for a stranger's: then the place is still kept for the old id, or nobody's.
    KafkaException where no coordinator answers.
    """
    client, deadline = kafka.admin(settings), WALL.elapsed() + FOUND_S * NANOS
    while True:
        try:
            found = client.describe_consumer_groups([group], request_timeout=10)[group].result().members
            return any(each.group_instance_id == instance and each.member_id != own for each in found)
        except KafkaException as error:
            if not kafka.is_passing(error.args[0]) or WALL.elapsed() > deadline:
                raise
            WALL.sleep(0.2)


def replaced(why: object) -> PlaceLostError:
    """What a process ends with whose place another has taken."""
    return PlaceLostError(
        f"another process has this one's name and place in the group now, this one ends: {why}",
        "What it had not committed, the other computes. Give every process an instance name of its own.",
    )


def sound(batch: Iterable[Message], log: Log) -> Iterator[Message]:
    """The records of a batch; what the consumer says instead of one is logged. A place that the log no longer has
    raises TapewatchError, where the consumer was told not to pass over it; so does a place in the group that is lost.
    """
    for message in batch:
        if message.error() is None:
            yield message
        elif lost_place(message.error()):
            raise replaced(message.error())
        elif (refused := explained(KafkaException(message.error()))) is not None:
            raise refused
        elif message.error().code() == KafkaError._AUTO_OFFSET_RESET:
            raise TapewatchError(
                f"{message.topic()}[{message.partition()}] no longer has the records that come next",
                "They were deleted unread: raise topics.market_retention_hours above the longest time without reader.",
            )
        elif message.topic() != NO_TOPIC:
            log.warning("consumer", error=str(message.error()))


def abort(producer: Producer, error: KafkaException, log: Log) -> None:
    """Abort the open transaction; the producer is to be replaced by a new one then. A fatal error is raised: it ends
    the process.

    librdkafka gives the next records the sequence numbers of those that it took back. Where a broker has such a one
    already, and only its answer was lost, it takes the next one for its repeat: the next transaction is committed
    without it. A new producer has a new epoch, and its numbers begin anew.
    """
    cause = error.args[0]
    log.warning("transaction failed", error=str(cause), fatal=cause.fatal(), retriable=cause.retriable())
    if cause.fatal():
        raise error
    kafka.patiently(lambda: producer.abort_transaction(kafka.ACT_S), PATIENCE_S)


class Writer:
    """The transactional producer of a name, which is another one after each transaction that failed (see `abort`).

    producer : the one to write with, until the next `abort`
    """

    def __init__(self, make: Callable[[], Producer], has_twin: Callable[[], bool] | None = None) -> None:
        """Fences whoever had the name. make : a producer under it; has_twin : asked where a producer is of no more use,
        whether another process has the name now (None: whoever has it later is the right one, and this process ends)
        """
        self._make, self._has_twin = make, has_twin
        self.producer = self._new()

    def abort(self, error: KafkaException, log: Log) -> None:
        """Abort the open transaction. A producer that the broker has fenced, because its transaction took too long on a
        machine that stood still, has a successor; PlaceLostError where another process has the name.
        """
        try:
            abort(self.producer, error, log)
        except KafkaException as failure:
            if self._has_twin is None:
                raise
            if self._has_twin():
                raise replaced(failure.args[0]) from failure
            log.warning("the producer is of no more use, another takes its place", error=str(failure.args[0]))
        self.producer = self._new()

    def _new(self) -> Producer:
        producer = self._make()
        producer.init_transactions(_INIT_S)
        return producer


def commit(producer: Producer, offsets: list[TopicPartition], member: object) -> None:
    """Add the input offsets to the open transaction and commit it; flushes first. A coordinator that moves or is away
    for a moment is asked again, as long as the transaction may last.
    """
    kafka.patiently(lambda: producer.send_offsets_to_transaction(offsets, member, kafka.ACT_S), PATIENCE_S)
    kafka.patiently(lambda: producer.commit_transaction(kafka.ACT_S), PATIENCE_S)


def unacknowledged(what: str) -> KafkaException:
    """The error of records that the broker has not taken in time: the transaction has to be aborted."""
    return KafkaException(KafkaError(KafkaError._MSG_TIMED_OUT, f"{what} were not acknowledged", False, True, True))


class Membership:
    """A static member of a group over market topics.

    member_id : as the group knows it, empty before the first assignment
    take_up : called with the partitions that are given; put_down : before they are taken away
    """

    def __init__(
        self,
        consumer: Consumer,
        names: list[str],
        take_up: Callable[[Consumer, list[TopicPartition]], None],
        put_down: Callable[[], None],
    ) -> None:
        self._consumer, self._names, self._take_up, self._put_down = consumer, names, take_up, put_down
        self._joined = self._joined_again = False
        self._pending: list[TopicPartition] | None = None
        self.member_id = ""
        self._subscribe(names)

    def settle_in(self) -> None:
        """Call it before every poll: it takes up what the group gave in the last one.

        A static member that comes back is handed its last assignment, which lacks the feeds made since: it is not
        worked on, and a changed subscription makes the group assign anew.
        """
        if self._pending is not None:
            places, self._pending = self._pending, None
            self._take_up(self._consumer, places)
        if self._joined and not self._joined_again:
            self._joined_again = True
            self._subscribe([*self._names, NO_TOPIC])

    def _subscribe(self, names: list[str]) -> None:
        self._consumer.subscribe(names, on_assign=self._given, on_revoke=self._taken, on_lost=self._taken)

    def _given(self, consumer: Consumer, places: list[TopicPartition]) -> None:
        """Not taken up within the poll: a client that is asked in there ends the process (an assertion in its C code)
        if the same poll has one more thing to tell.
        """
        self.member_id = consumer.memberid() or self.member_id
        consumer.assign([])
        self._pending = places if self._joined else None
        self._joined = True

    def _taken(self, _: Consumer, __: list[TopicPartition]) -> None:
        self._pending = None
        self._put_down()
