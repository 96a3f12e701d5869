"""What every process of a consumer group shares: its consumer and its static membership."""

import os
import socket
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from tapewatch.clock import NANOS, WALL
from tapewatch.contract import topics
from tapewatch.errors import TapewatchError
from tapewatch.logs import Log
from tapewatch.runtime import kafka
from tapewatch.security.login import explained
from tapewatch.settings import Settings

SESSION_TIMEOUT_MS = 6_000
FOUND_S = 30
"""How long a coordinator is looked for, s."""

NO_TOPIC = r"^market\.$"
"""A subscription that matches no topic's name."""

Key = tuple[str, int]
"""A partition: topic and number."""


def own_name(chosen: str) -> str:
    """The static member id: what was chosen, else host name and process id."""
    return chosen or f"{socket.gethostname()}-{os.getpid()}"


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


def make_way(settings: Settings, group: str, instance: str, own: Callable[[], str]) -> Callable[[KafkaException], None]:
    """For `transactions.Writer`: what raises PlaceLostError where another process has this one's name in the group.

    own : member id that this process was given last
    """

    def succeed(failure: KafkaException) -> None:
        if has_twin(settings, group, instance, own()):
            raise replaced(failure.args[0]) from failure

    return succeed


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
