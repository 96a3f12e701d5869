"""Models of the compacted topic `models`: whoever is promoted lies there under its content hash, for every engine and
for `verify`.
"""

from confluent_kafka import Message

from detectors.model_file import content_hash
from streams.engine.models import ModelShelf, shipped
from tapewatch import kafka, topics
from tapewatch.settings import Settings


class KafkaShelf(ModelShelf):
    """The shipped models, and those of the topic; read when a hash is asked for that is not known yet."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._settings = settings

    def find(self, wanted: str) -> bytes:
        """The file with that hash."""
        if wanted not in self.files:
            kafka.read_all(self._settings, topics.MODELS, self._keep)
        return super().find(wanted)

    def publish_shipped(self) -> None:
        """Put the shipped models on the topic, so that a later build, which may ship others, still finds what a
        snapshot names.
        """
        known: set[bytes] = set()
        kafka.read_all(self._settings, topics.MODELS, lambda message: known.add(message.key() or b""))
        producer = kafka.producer(self._settings)
        for data in shipped().values():
            if content_hash(data).encode() not in known:
                producer.produce(topics.MODELS, data, content_hash(data).encode())
        producer.flush(kafka.TIMEOUT_S)

    def _keep(self, message: Message) -> None:
        if message.value():
            self.put(message.value())
