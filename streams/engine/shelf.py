"""Models of the compacted topic `models`: whoever is promoted lies there under its content hash, for every engine and
for `verify`.
"""

from confluent_kafka import Message

from streams.engine.models import ModelShelf
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

    def _keep(self, message: Message) -> None:
        if message.value():
            self.put(message.value())
