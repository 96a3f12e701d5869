"""The alerts of the topic, and single records of it again."""

from collections.abc import Iterable, Iterator

from confluent_kafka import Message

from sinks.log_reader import place
from sinks.reconcile import hashes
from sinks.reconcile.buried import refused_records
from sinks.reconcile.ledger import ExpectedAlert
from tapewatch import kafka, messages, topics
from tapewatch.errors import ContractError
from tapewatch.instruments import is_instrument_id
from tapewatch.messages import Alert
from tapewatch.rfc3339 import stamp
from tapewatch.settings import Settings


def _decided(alert: Alert) -> int:
    """The time of the decision, UTC nanoseconds; ValueError for an alert that the sinks refuse to keep."""
    times = [stamp(time) for time in (alert.onset, alert.decided, alert.updated)]
    if not is_instrument_id(alert.instrument) or alert.revision >= 2**31:
        raise ValueError("no sink can keep it")
    return times[1]


class AlertTopic:
    """Reads on from where it stood; `expired` tells whether the topic has lost its beginning, unreadable counts."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._reader = kafka.consumer(settings, "tapewatch-reconcile")
        self._next: dict[int, int] = {}
        self._letters_read: dict[int, int] = {}
        self.unreadable = 0
        self.expired = False

    def fresh(self) -> Iterator[ExpectedAlert]:
        """Alerts that were written since the last look, at each revision."""
        partitions = kafka.existing_topics(kafka.admin(self._settings)).get(topics.ALERTS, 0)
        for partition in range(partitions):
            low, high = kafka.watermarks(self._reader, topics.ALERTS, partition)
            self.expired = self.expired or low > 0
            start = self._next.get(partition, low)
            for message in kafka.read_range(self._reader, topics.ALERTS, partition, start, high):
                noted = self._noted(message)
                if noted is not None:
                    yield noted
            self._next[partition] = high

    def refused(self) -> Iterator[tuple[str, int, int]]:
        """Who refused a record since the last look: store, partition and offset."""
        there = kafka.existing_topics(kafka.admin(self._settings))
        letters = topics.dead_letters(topics.ALERTS)
        ends = {each: kafka.watermarks(self._reader, letters, each)[1] for each in range(there.get(letters, 0))}
        for by, (topic, partition, offset) in refused_records(self._reader, there, topics.ALERTS, self._letters_read):
            if topic == topics.ALERTS:
                yield by, partition, offset
        self._letters_read = ends

    def _noted(self, message: Message) -> ExpectedAlert | None:
        """An alert with its hashes; None for what the sinks bury too."""
        try:
            alert = messages.decode(Alert, message.value() or b"")
            decided = _decided(alert)
            as_row, as_document = hashes.of_message(alert), hashes.as_document(alert)
        except (ContractError, ValueError):
            self.unreadable += 1
            return None
        (_, partition), offset = place(message)
        return ExpectedAlert(alert.id, alert.revision, decided, partition, offset, as_row, as_document)

    def again(self, places: Iterable[tuple[int, int]]) -> Iterator[tuple[tuple[str, int, int], bytes]]:
        """Records by partition and offset, in order: origin and value."""
        for partition, offset in sorted(places):
            for message in kafka.read_range(self._reader, topics.ALERTS, partition, offset, offset + 1):
                if message.offset() == offset:
                    yield (topics.ALERTS, partition, offset), message.value() or b""

    def close(self) -> None:
        """Give the consumer back."""
        self._reader.close()
