"""Which dead letters were replayed, as `dlq.replays` tells."""

from collections.abc import Callable
from dataclasses import dataclass, field

from confluent_kafka import Message

from tapewatch import logs
from tapewatch.contract import messages, topics
from tapewatch.contract.dead_letter_messages import DeadLetterReplay
from tapewatch.dlq.letter import Letter
from tapewatch.errors import ContractError
from tapewatch.runtime import kafka
from tapewatch.settings import Settings

_log = logs.get("dlq")


@dataclass(slots=True)
class Replays:
    """What was replayed so far. newest_epoch : of all runs, -1 before the first"""

    by_letter: dict[tuple[str, str], DeadLetterReplay] = field(default_factory=dict)
    newest_epoch: int = -1

    def of(self, letter: Letter) -> DeadLetterReplay | None:
        """How a letter was replayed; None where it was not."""
        if not self.by_letter:
            return None
        return self.by_letter.get((letter.id, letter.digest))

    def take(self, message: Message) -> None:
        """Read one record."""
        try:
            told = messages.decode(DeadLetterReplay, message.value() or b"")
        except ContractError as error:
            _log.warning("no replay", topic=message.topic(), offset=message.offset(), error=str(error))
            return
        self.by_letter[told.letter, told.digest] = told
        self.newest_epoch = max(self.newest_epoch, told.epoch)


def known(settings: Settings) -> Replays:
    """What was replayed, as far as it is committed now."""
    return _read(settings, lambda replays: kafka.read_all(settings, topics.REPLAYS, replays.take))


def settled(settings: Settings) -> Replays:
    """What was replayed, once every transaction that is open on the topic now has ended.

    Another replay's open transaction hides what was committed behind its first record: it is waited for.
    """
    return _read(settings, lambda replays: kafka.read_settled(settings, topics.REPLAYS, replays.take))


def _read(settings: Settings, reading: Callable[[Replays], None]) -> Replays:
    replays = Replays()
    if topics.REPLAYS in kafka.existing_topics(kafka.admin(settings)):
        reading(replays)
    return replays
