"""Says on the topic `canaries` what was injected, once its first rows are on their way."""

from collections.abc import Iterable

from confluent_kafka import Producer

from producers.synthetic import Label
from tapewatch import kafka, topics
from tapewatch.canaries import Canary, canary_id
from tapewatch.clock import NANOS, Clock
from tapewatch.message import encode
from tapewatch.partitioner import partition_for
from tapewatch.reach_settings import CanarySettings
from tapewatch.rfc3339 import to_rfc3339

REMEMBERED_NS = 3600 * NANOS
STALE_NS = 5 * NANOS
"""Events whose rows were sent later than this, such as back-dated ones, are no canaries: they would seem to be late."""


class Announcer:
    """Says each event once. partitions : of the feed; count : said; stale : left out, since their rows came too late"""

    def __init__(self, producer: Producer, feed: str, partitions: int, settings: CanarySettings, clock: Clock) -> None:
        self._producer, self._feed, self._partitions = producer, feed, partitions
        self._deliveries = kafka.Deliveries(producer)
        self._settings, self._clock = settings, clock
        self._said: dict[tuple[str, int], None] = {}
        self.count = self.stale = 0

    def say(self, labels: Iterable[Label]) -> None:
        """Announce what is new among these; DeliveryError where an earlier one was not taken."""
        self._producer.poll(0)
        self._deliveries.check()
        for label in labels:
            place = (label.instrument, label.start_ns)
            if place in self._said:
                continue
            self._said[place] = None
            if self._clock.now() - label.start_ns > STALE_NS:
                self.stale += 1
                continue
            message = self._message(label)
            self._deliveries.send(topics.CANARIES, encode(message), message.id.encode(), partition=0)
            self.count += 1
        newest = max((start for _, start in self._said), default=0)
        self._said = {place: None for place in self._said if place[1] > newest - REMEMBERED_NS}

    def close(self) -> None:
        """Wait until all was taken; DeliveryError where one was not."""
        self._deliveries.settle()

    def _message(self, label: Label) -> Canary:
        settings = self._settings
        return Canary(
            id=canary_id(self._feed, label.scenario, label.instrument, label.start_ns),
            state="injected",
            feed=self._feed,
            partition=partition_for(label.instrument, self._partitions),
            scenario=label.scenario,
            instrument=label.instrument,
            start=to_rfc3339(label.start_ns),
            strength=label.strength,
            due=to_rfc3339(label.start_ns + int(settings.due_s * NANOS)),
            every_s=settings.every_s,
            at=to_rfc3339(self._clock.now()),
        )
