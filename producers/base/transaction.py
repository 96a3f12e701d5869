"""What a source sends together: rows, messages, dead letters and its position.

How far a source has come: records of the compacted topic `producers.state`.
"""

import msgspec
from confluent_kafka import Message, Producer, TopicPartition

from producers.base.collector import Collector, RefusedMessage
from producers.feed import LiveWriter
from tapewatch.clock import Clock
from tapewatch.contract import messages, topics
from tapewatch.contract.rows import Rows
from tapewatch.errors import TapewatchError
from tapewatch.market_log import dead_letters
from tapewatch.market_log.dead_letters import DeadLetter
from tapewatch.rfc3339 import to_rfc3339
from tapewatch.runtime import kafka
from tapewatch.settings import Settings

STATE_VERSION = 1


class StateRecord(msgspec.Struct, frozen=True):
    """A record of `producers.state`; its key is the source's name.

    version : of this structure; at : when it was written; position : JSON of the source's own
    """

    version: int
    at: str
    position: msgspec.Raw


def state_record(position: bytes, now_ns: int) -> bytes:
    """The record of a position (JSON; ValueError for anything else). now_ns : UTC nanoseconds"""
    msgspec.json.decode(position)
    return msgspec.json.encode(StateRecord(STATE_VERSION, to_rfc3339(now_ns), msgspec.Raw(position)))


def committed_position(settings: Settings, source: str) -> bytes | None:
    """The position of a source as it is committed, JSON; None where there is none.

    TapewatchError for a record of a newer version.
    """
    found: list[bytes] = []
    key = source.encode()

    def take(message: Message) -> None:
        if message.key() == key and message.value() is not None:
            found[:] = [bytes(message.value())]

    kafka.read_all(settings, topics.PRODUCER_STATE, take)
    if not found:
        return None
    try:
        record = msgspec.json.decode(found[0], type=StateRecord)
    except msgspec.DecodeError as error:
        raise _unreadable(source, str(error)) from error
    if record.version != STATE_VERSION:
        raise _unreadable(source, f"version {record.version}, this build reads {STATE_VERSION}")
    return bytes(record.position)


def _unreadable(source: str, why: str) -> TapewatchError:
    return TapewatchError(
        f"the position of {source} in {topics.PRODUCER_STATE} cannot be read: {why}",
        "Use the build that wrote it, or delete the record to begin anew.",
    )


class AbortedError(TapewatchError):
    """The transaction did not happen: read the position again and go on from there."""


class FencedError(TapewatchError):
    """Another instance of the source has taken over: end."""


class Transaction:
    """What goes out together. Get one from `Ledger.transaction`.

    kept : the new position, None where none was set; consumed : offsets that are committed with it, and whose
    """

    def __init__(
        self, producer: Producer, live: LiveWriter | None, source: str, clock: Clock, *, recorded: bool = False
    ) -> None:
        self._producer, self._live, self._source, self._clock = producer, live, source, clock
        self._recorded = recorded
        self._until: int | None = None
        self.kept: bytes | None = None
        self.consumed: tuple[list[TopicPartition], object] = ([], None)

    def rows(self, rows: Rows) -> None:
        """Rows of one type for the feed, in receipt order; they leave at the commit or when many wait."""
        if self._live is None:
            raise ValueError("this ledger has no feed")
        self._live.add(rows)
        if self._live.full:
            self._flush(self._live)

    def message(self, message: messages.Message, key: bytes = b"") -> None:
        """A message for its topic."""
        kafka.enqueue(self._producer, message.TOPIC, messages.encode(message), key or None)

    def refuse(self, letter: DeadLetter) -> None:
        """A dead letter."""
        kafka.enqueue(self._producer, letter.topic, letter.value, headers=letter.headers)

    def take(self, collector: Collector, topic: str) -> None:
        """Everything that waits in a collector. topic : whose dead letters take what was refused"""
        for rows in collector.take():
            self.rows(rows)
        for refused in collector.take_refused():
            self.refuse(refused_letter(topic, self._source, refused))

    def position(self, position: bytes) -> None:
        """How far the source has come once this is committed: JSON."""
        state = state_record(position, self._clock.now())
        kafka.enqueue(self._producer, topics.PRODUCER_STATE, state, self._source.encode())
        self.kept = position

    def offsets(self, places: list[TopicPartition], member: object) -> None:
        """Consumed offsets of the same cluster. member : the consumer's group metadata"""
        self.consumed = (places, member)

    def until(self, ns: int) -> None:
        """How far the feed's clock may go with this transaction, UTC nanoseconds: as far as the input has been read.

        Without it the clock goes to the present: right for a source that has looked at everything there is.
        """
        self._until = ns

    def finish(self) -> None:
        """Send what waits, with the heartbeat that is due."""
        if self._live is not None:
            self._flush(self._live)

    def _flush(self, live: LiveWriter) -> None:
        try:
            usual = live.newest_ns if self._recorded else self._clock.now()
            live.flush(usual if self._until is None else self._until)
        except TapewatchError as error:
            raise AbortedError(error.message, error.hint) from error


def refused_letter(topic: str, source: str, refused: RefusedMessage) -> DeadLetter:
    """A refused message as a dead letter of `topic`. It was no record: its origin has no offset, but says `where`."""
    named = {"source": source, "where": refused.where[:500], "received": to_rfc3339(refused.received)}
    return dead_letters.of_input(topic, refused.reason, refused.where, refused.raw, named)
