"""Models of the compacted topic `models`: whoever is promoted lies there under its content hash, for every engine and
for `verify`.
"""

from collections.abc import Iterable

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, Message

from detectors.model_file import content_hash
from streams.engine.models import EVER, ModelStore, shipped
from tapewatch.clock import WALL
from tapewatch.contract import topics
from tapewatch.market_log import registry
from tapewatch.runtime import kafka
from tapewatch.settings import Settings


class KafkaModelStore(ModelStore):
    """The shipped models, and those of the topic; read on when a hash is asked for that is not known yet.

    A model of the topic counts for what the broker appended after it: a control row that named it before is refused in
    every replay too.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._settings = settings
        self._next = 0

    def find(self, wanted: str, for_ns: int = EVER) -> bytes:
        """The file with that hash. UnansweredError where nobody could be asked."""
        if wanted not in self.files:
            self._read_on()
        return super().find(wanted, for_ns)

    def publish(self, files: Iterable[bytes]) -> None:
        """Put models on the topic, each once; what is sent afterwards may name them."""
        self._read_on()
        missing = [data for data in files if content_hash(data) not in self._appended]
        if not missing:
            return
        producer = kafka.producer(self._settings, linger_ms=0)
        sent = kafka.Deliveries(producer)
        for data in missing:
            sent.send(topics.MODELS, data, content_hash(data).encode())
        sent.settle()
        WALL.sleep(registry.apart_s(producer))

    def publish_shipped(self) -> None:
        """Put the shipped models on the topic, so that a later build, which may ship others, still finds what a
        snapshot names.
        """
        self.publish(shipped().values())

    def _read_on(self) -> None:
        """Read what was appended since the last time."""
        reader = kafka.consumer(self._settings)
        try:
            with kafka.asking("the models"):
                low, high = kafka.watermarks(reader, topics.MODELS, 0)
                for message in kafka.read_range(reader, topics.MODELS, 0, max(self._next, low), high):
                    self._keep(message)
                    self._next = message.offset() + 1
            self._next = high
        finally:
            reader.close()

    def _keep(self, message: Message) -> None:
        """Take up a record of the topic. One of a topic that an earlier build made is stamped by its writer: it counts
        at any time.
        """
        data = message.value()
        if data:
            kind, stamp_ms = message.timestamp()
            at = stamp_ms * 1_000_000 if kind == TIMESTAMP_LOG_APPEND_TIME else -1
            self._appended.setdefault(self.put(data), at)
