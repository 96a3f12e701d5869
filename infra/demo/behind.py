"""Reading on behind those who write: everything that is appended to some topics from now on, in a thread."""

import threading
from collections.abc import Callable, Sequence

from confluent_kafka import Consumer, Message, TopicPartition

from tapewatch.runtime import kafka
from tapewatch.settings import Settings


class TailReader:
    """Hands every committed record of the topics to `take`, in a thread of its own, until `close`.

    error : what ended it before that
    """

    def __init__(self, settings: Settings, wanted: Sequence[str], take: Callable[[Message], None]) -> None:
        self.error: BaseException | None = None
        self._take = take
        self._stop = threading.Event()
        self._consumer = _at_the_ends(settings, wanted)
        self._thread = threading.Thread(target=self._run, name="behind", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop reading."""
        self._stop.set()
        self._thread.join(5)

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                for message in self._consumer.consume(500, timeout=0.05):
                    if message.error() is None:
                        self._take(message)
        except BaseException as error:
            self.error = error
        finally:
            self._consumer.close()


def _at_the_ends(settings: Settings, wanted: Sequence[str]) -> Consumer:
    """A reader of everything that is appended to these topics from now on."""
    consumer = kafka.consumer(settings)
    places = []
    for topic, partitions in kafka.existing_topics(kafka.admin(settings)).items():
        if topic in wanted:
            ends = (kafka.watermarks(consumer, topic, partition)[1] for partition in range(partitions))
            places += [TopicPartition(topic, partition, end) for partition, end in enumerate(ends)]
    consumer.assign(places)
    return consumer
