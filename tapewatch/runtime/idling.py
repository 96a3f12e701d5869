"""What a reader has read to its end, and when one that is to end once nothing comes any more may end."""

from collections.abc import Collection, Iterable

from confluent_kafka import KafkaError, Message

from tapewatch.clock import NANOS, WALL, Clock

Log = tuple[str, int]
"""Topic and partition."""


class Ends:
    """Which partitions were read to their ends (of what is committed), as told with `enable_partition_eof`."""

    def __init__(self) -> None:
        self._ended: set[Log] = set()

    def read(self, batch: Iterable[Message]) -> list[Message]:
        """What was polled, without what only tells of an end."""
        rest = []
        for message in batch:
            log, error = (message.topic() or "", message.partition() or 0), message.error()
            if error is not None and error.code() == KafkaError._PARTITION_EOF:
                self._ended.add(log)
                continue
            if error is None:
                self._ended.discard(log)
            rest.append(message)
        return rest

    def cover(self, held: Collection[Log]) -> bool:
        """Whether all of these were read to their ends, and nothing of them came since."""
        return self._ended.issuperset(held)

    def anew(self) -> None:
        """Partitions are read from other places than before."""
        self._ended.clear()


class IdleDetector:
    """Knows which partitions were read to their ends (of what is committed), and since when nothing has come.

    Silence alone tells nothing: a broker with much to do may take seconds to answer the first fetch.

    seconds : of silence after which the reader ends; None: never
    """

    def __init__(self, seconds: float | None, clock: Clock = WALL) -> None:
        self._ns, self._clock = int((seconds or 0.0) * NANOS), clock
        self._ends = Ends()
        self._last = clock.elapsed()
        self.asked = seconds is not None

    @property
    def properties(self) -> dict[str, bool]:
        """What the consumer is to be made with."""
        return {"enable_partition_eof": self.asked}

    def read(self, batch: Iterable[Message]) -> list[Message]:
        """What was polled, without what only tells of an end."""
        rest = self._ends.read(batch)
        if rest:
            self.busy()
        return rest

    def busy(self) -> None:
        """There was something to do: silence counts from now."""
        self._last = self._clock.elapsed()

    def anew(self) -> None:
        """Partitions are read from other places than before."""
        self._ends.anew()
        self.busy()

    def is_over(self, held: Collection[Log]) -> bool:
        """Whether the reader may end. held : its partitions; one that has none waits for some"""
        if not self.asked or not held or not self._ends.cover(held):
            return False
        return self._clock.elapsed() - self._last > self._ns
