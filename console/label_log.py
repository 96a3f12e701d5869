"""The topic `labels` as the console reads and writes it: all of it in memory, read on before each answer."""

import threading
from contextlib import suppress

from confluent_kafka import Consumer, Producer

from tapewatch import kafka, messages, topics
from tapewatch.errors import ContractError
from tapewatch.messages import Label
from tapewatch.settings import Settings


class LabelLog:
    """Labels in the order in which they were given. Its methods wait for the broker: call them in a thread."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._turn = threading.Lock()
        self._reader: Consumer | None = None
        self._producer: Producer | None = None
        self._next = 0
        self._labels: list[Label] = []

    def labels(self) -> list[Label]:
        """All labels as the topic stands now."""
        with self._turn:
            self._read_on()
            return list(self._labels)

    def give(self, label: Label) -> None:
        """Write a label; it is on the topic when this returns."""
        with self._turn:
            if self._producer is None:
                kafka.create_topics(self._settings, topics.case_topics(self._settings.topics))
                self._producer = kafka.producer(self._settings, linger_ms=0)
            sent = kafka.Deliveries(self._producer)
            sent.send(topics.LABELS, messages.encode(label), label.subject.encode())
            sent.settle(kafka.TIMEOUT_S)

    def close(self) -> None:
        """Give the clients back."""
        with self._turn:
            if self._reader is not None:
                self._reader.close()
                self._reader = None

    def _read_on(self) -> None:
        if self._reader is None:
            self._reader = kafka.consumer(self._settings)
            if topics.LABELS not in kafka.existing_topics(kafka.admin(self._settings)):
                kafka.create_topics(self._settings, topics.case_topics(self._settings.topics))
        low, high = kafka.watermarks(self._reader, topics.LABELS, 0)
        for message in kafka.read_range(self._reader, topics.LABELS, 0, max(low, self._next), high):
            # What is no label (nothing of ours writes such a record) labels nothing.
            with suppress(ContractError):
                self._labels.append(messages.decode(Label, message.value() or b""))
        self._next = high


def newest(labels: list[Label]) -> list[Label]:
    """The newest label of each subject and account, in their order."""
    held = {(label.kind, label.subject, label.who): label for label in labels}
    return sorted(held.values(), key=lambda label: label.at)
