"""Dead letters of the sinks into their topics."""

from collections.abc import Sequence

from tapewatch.contract.topics import dead_letter_topic
from tapewatch.market_log.dead_letters import DeadLetter
from tapewatch.runtime import kafka
from tapewatch.settings import Settings


class DeadLetterTopics:
    """Sends dead letters and waits until they are acknowledged; makes their topics when the first one comes."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer = kafka.producer(settings, linger_ms=5)
        self._known: set[str] = set()

    def send(self, letters: Sequence[DeadLetter]) -> None:
        """Send; DeliveryError where the broker does not take one, or not in 30 s."""
        if not letters:
            return
        missing = {letter.topic for letter in letters} - self._known
        kafka.create_topics(self._settings, [dead_letter_topic(name) for name in sorted(missing)])
        self._known |= missing
        sent = kafka.Deliveries(self._producer)
        for letter in letters:
            sent.send(letter.topic, letter.value, headers=letter.headers)
        sent.settle()
