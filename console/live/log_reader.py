"""Kafka's side of what is pushed: topics followed from their ends by one thread, and stretches of them read again."""

import heapq
import threading
from collections.abc import Callable, Iterator, Mapping

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from console.live.position import Log, Position
from tapewatch import logs
from tapewatch.clock import NANOS, WALL
from tapewatch.errors import TapewatchError
from tapewatch.runtime import kafka
from tapewatch.settings import Settings

MAX_REPLAY = 5_000
"""Offsets that are read again for one subscriber at most; what lies before them is told as a gap."""

_LOOK_S = 5
_AGAIN_S = 2.0
_POLL_S = 0.2
_BATCH = 500
_log = logs.get("console.events")

Record = tuple[str, int, int, bytes | None]
"""Topic, partition, offset and value."""


def record(message: Message) -> Record:
    """A Kafka message as a record."""
    return message.topic(), message.partition(), message.offset(), message.value()


class Follower:
    """Follows topics from their ends on in a thread of its own, and begins again where Kafka went away.

    wanted : says of a topic's name whether it is followed
    begin : called with the position at which it follows (of new partitions too); take : with each batch of messages
    linger_s : how long a batch is gathered from its first message on
    """

    def __init__(
        self,
        settings: Settings,
        wanted: Callable[[str], bool],
        begin: Callable[[Position], None],
        take: Callable[[list[Message]], None],
        linger_s: float = 0.0,
    ) -> None:
        self._settings, self._wanted, self._begin, self._take = settings, wanted, begin, take
        self._linger_s = linger_s
        self._stop = threading.Event()
        self._position: Position = {}
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread and wait for it."""
        self._stop.set()
        self._thread.join(10)

    def _run(self) -> None:
        told = ""
        while not self._stop.is_set():
            try:
                self._follow()
            except (KafkaException, TapewatchError) as error:
                if str(error) != told:
                    _log.warning("cannot follow the topics", problem=str(error)[:200])
                told = str(error)
                self._stop.wait(_AGAIN_S)

    def _follow(self) -> None:
        reader = kafka.consumer(self._settings, "tapewatch-console", queued_max_messages_kbytes=16_384)
        try:
            # Records of topics that appeared in the meantime are read from their begin: nothing is passed over.
            self._assign(reader, at_end=not self._position)
            looked = WALL.elapsed()
            while not self._stop.is_set():
                messages = reader.consume(1, timeout=_POLL_S)
                self._hand_on(messages + reader.consume(_BATCH, timeout=self._linger_s) if messages else [])
                if WALL.elapsed() - looked > _LOOK_S * NANOS:
                    self._assign(reader, at_end=False)
                    looked = WALL.elapsed()
        finally:
            reader.close()

    def _assign(self, reader: Consumer, *, at_end: bool) -> None:
        """Take up partitions that have appeared; all of them after a new start."""
        known = {(place.topic, place.partition) for place in reader.assignment()}
        there = reader.list_topics(timeout=kafka.TIMEOUT_S).topics
        fresh = {(name, number) for name in there if self._wanted(name) for number in there[name].partitions} - known
        if not fresh and self._position:
            return
        if at_end:
            self._position = {log: kafka.watermarks(reader, *log)[1] for log in fresh}
        starts = {log: self._position.get(log, 0) for log in sorted(fresh)}
        if starts:
            reader.incremental_assign([TopicPartition(*log, start) for log, start in starts.items()])
        self._position |= starts
        self._begin(dict(starts))

    def _hand_on(self, messages: list[Message]) -> None:
        sound: list[Message] = []
        for message in messages:
            error = message.error()
            if error is None:
                self._position[message.topic(), message.partition()] = message.offset() + 1
                sound.append(message)
            elif not error.retriable():
                raise KafkaException(error)
        if sound:
            self._take(sound)


def starts_for(last: Mapping[Log, int], now: Mapping[Log, int], first: Mapping[Log, int]) -> tuple[Position, Position]:
    """Where reading again begins, and how many offsets it leaves out, by partition.

    last : the client's position; now : where the live stream takes over; first : the logs' first offsets. A partition
    that the client's id does not know has appeared since. One that ends before the client's place was made anew.
    """
    wanted = {log: min(last.get(log, 0), end) for log, end in now.items()}
    behind = [log for log, start in wanted.items() if start < now[log]]
    share = max(MAX_REPLAY // max(len(behind), 1), 1)
    starts = {
        log: max(start, first.get(log, 0), now[log] - share) if log in behind else start
        for log, start in wanted.items()
    }
    missed = {log: starts[log] - wanted[log] for log in starts if starts[log] > wanted[log] and log in last}
    missed |= {log: last[log] - now[log] for log in now if last.get(log, 0) > now[log]}
    return starts, missed


def read_again(
    settings: Settings, last: Mapping[Log, int], now: Position, wanted: frozenset[str]
) -> tuple[Position, Position, list[Record]]:
    """The committed records of the wanted topics between two positions: where they begin, what is left out, and they.

    In the order of each partition; partitions are merged by the records' times. Blocks: call it in a thread.
    """
    reader = kafka.consumer(settings, "tapewatch-console-replay")
    try:
        ours = {log: end for log, end in now.items() if log[0] in wanted}
        behind = [log for log, end in ours.items() if last.get(log, 0) < end]
        first = {log: kafka.watermarks(reader, *log)[0] for log in behind}
        starts, missed = starts_for(last, ours, first)
        parts = [list(kafka.read_range(reader, *log, starts[log], ours[log])) for log in behind]
    finally:
        reader.close()
    return starts, missed, list(_merged(parts))


def _merged(parts: list[list[Message]]) -> Iterator[Record]:
    """Records of several partitions by time, each partition in its own order."""
    for message in heapq.merge(*parts, key=lambda each: each.timestamp()[1]):
        yield record(message)
