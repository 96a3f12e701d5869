"""What a source that pulls has sent and how far it has come, in one transaction: neither loss nor repeat over any end.

The protocol of a transaction, and what happens if the process dies there:
1. the records are sent: the broker aborts them after 4 s, or at once when the next instance starts; nobody saw them
2. the position is sent with them: the same
3. the transaction is committed: records and position are visible together, and the next start goes on from there
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message, Producer, TopicPartition

from producers.base.collector import Collector, RefusedMessage
from producers.feed import FeedWriter, LiveWriter, open_feed, read_tail
from tapewatch import dead_letters, kafka, messages, topics
from tapewatch.clock import NANOS, WALL, Clock
from tapewatch.dead_letters import DeadLetter
from tapewatch.errors import TapewatchError
from tapewatch.instruments import Instrument
from tapewatch.registry import register
from tapewatch.rfc3339 import to_rfc3339
from tapewatch.rows import Rows
from tapewatch.settings import Settings

TRANSACTION_TIMEOUT_MS = 4_000
"""A dead instance keeps readers waiting no longer."""
STATE_VERSION = 1
NOWHERE = -1
"""Origin partition and offset of a message that was no record."""

_WAIT_S = 30.0
_FENCED = frozenset({KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.PRODUCER_FENCED})


class Aborted(TapewatchError):
    """The transaction did not happen: read the position again and go on from there."""


class Fenced(TapewatchError):
    """Another instance of the source has taken over: end."""


class StateRecord(msgspec.Struct, frozen=True):
    """A record of `producers.state`; its key is the source's name.

    version : of this structure; at : when it was written; position : JSON of the source's own
    """

    version: int
    at: str
    position: msgspec.Raw


@dataclass(slots=True)
class _Opened:
    producer: Producer
    live: LiveWriter | None
    position: bytes | None


class Transaction:
    """What goes out together. Get one from `Ledger.transaction`."""

    def __init__(self, producer: Producer, live: LiveWriter | None, source: str, clock: Clock) -> None:
        self._producer, self._live, self._source, self._clock = producer, live, source, clock
        self._offsets: tuple[list[TopicPartition], object] | None = None
        self.kept: bytes | None = None

    def rows(self, rows: Rows) -> None:
        """Rows of one type for the feed, in receipt order; they leave at the commit or when many wait."""
        if self._live is None:
            raise ValueError("this ledger has no feed")
        self._live.add(rows)
        if self._live.full:
            self._flush(self._live)

    def message(self, message: messages.Message, key: bytes = b"") -> None:
        """A message for its topic."""
        self._send(message.TOPIC, messages.encode(message), key)

    def refuse(self, letter: DeadLetter) -> None:
        """A dead letter."""
        self._send(letter.topic, letter.value, b"", letter.headers)

    def take(self, collector: Collector, topic: str) -> None:
        """Everything that waits in a collector. topic : whose dead letters take what was refused"""
        for rows in collector.take():
            self.rows(rows)
        for refused in collector.take_refused():
            self.refuse(refused_letter(topic, self._source, refused))

    def position(self, position: bytes) -> None:
        """How far the source has come once this is committed: JSON."""
        record = StateRecord(STATE_VERSION, to_rfc3339(self._clock.now()), msgspec.Raw(position))
        msgspec.json.decode(position)
        self._send(topics.PRODUCER_STATE, msgspec.json.encode(record), self._source.encode())
        self.kept = position

    def offsets(self, places: list[TopicPartition], member: object) -> None:
        """Consumed offsets of the same cluster. member : the consumer's group metadata"""
        self._offsets = (places, member)

    def finish(self) -> None:
        """Send what waits, with the heartbeat that is due, and the offsets."""
        if self._live is not None:
            self._flush(self._live)
        if self._offsets is not None:
            self._producer.send_offsets_to_transaction(*self._offsets, 10)

    def _flush(self, live: LiveWriter) -> None:
        try:
            live.flush(self._clock.now())
        except TapewatchError as error:
            raise Aborted(error.message, error.hint) from error

    def _send(self, topic: str, value: bytes, key: bytes, headers: list[tuple[str, bytes]] | None = None) -> None:
        while True:
            try:
                return self._producer.produce(topic, value, key or None, headers=headers or [])
            except BufferError:
                self._producer.poll(0.05)


class Ledger:
    """The output and the position of one source. One thread at a time; commits take some milliseconds.

    source : name of the source, also its key in `producers.state`; a second instance of the name fences the first
    feed : market feed that takes its rows, empty for a source of messages alone; partitions : of a new topic, 0 takes
    the setting; instruments : reference data to register at the start
    """

    def __init__(
        self,
        settings: Settings,
        source: str,
        *,
        feed: str = "",
        partitions: int = 0,
        instruments: Iterable[Instrument] = (),
        clock: Clock = WALL,
    ) -> None:
        self.source, self.feed = source, feed
        self._settings, self._partitions, self._clock = settings, partitions, clock
        self._instruments = {instrument.id: instrument for instrument in instruments}
        self._opened: _Opened | None = None
        self._epoch = -1

    def position(self) -> bytes | None:
        """The committed position (JSON), None at the very first start; begins the source's work where it has not begun
        or a transaction was aborted, after which no other instance can commit.

        Aborted where Kafka does not answer.
        """
        if self._opened is None:
            try:
                self._opened = self._open()
            except (KafkaException, TapewatchError) as error:
                hint = error.hint if isinstance(error, TapewatchError) else "Run `tapewatch status`."
                raise Aborted(f"{self.source} cannot begin: {error}", hint) from error
        return self._opened.position

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """All or nothing of what is done with the transaction; committed where the block ends.

        Aborted where that fails: `position` says where to go on. Fenced where another instance has taken over. The
        block's own errors abort too, and are raised as they are. Do nothing slow inside: after 4 s the broker aborts.
        """
        opened = self._opened
        if opened is None:
            raise RuntimeError("read the position first")
        begun = self._clock.now()
        transaction = Transaction(opened.producer, opened.live, self.source, self._clock)
        try:
            opened.producer.begin_transaction()
            yield transaction
            transaction.finish()
            _commit(opened.producer, self._clock)
        except (KafkaException, Aborted) as error:
            raise self._failed(error, begun) from error
        except BaseException:
            self._drop()
            raise
        if transaction.kept is not None:
            opened.position = transaction.kept

    def register(self, instruments: Iterable[Instrument]) -> None:
        """Register reference data before its first row; between transactions."""
        fresh = {each.id: each for each in instruments if self._instruments.get(each.id) != each}
        if not fresh:
            return
        register(self._settings, fresh.values(), self._clock)
        self._instruments |= fresh
        if self._opened is not None and self._opened.live is not None:
            newest, writer = self._opened.live.newest_ns, self._opened.live.writer
            self._opened.live = self._writer(self._opened.producer, writer.partitions, newest)

    @property
    def live(self) -> LiveWriter | None:
        """The feed's writer while the source is at work: what was sent, newest receipt time."""
        return self._opened.live if self._opened else None

    def close(self) -> None:
        """Give the clients back; what was not committed is aborted."""
        self._opened = None

    def _open(self) -> _Opened:
        specs = [*topics.source_topics(self._settings.topics), *topics.shared_topics(self._settings.topics)]
        kafka.create_topics(self._settings, specs)
        producer = kafka.producer(
            self._settings,
            transactional_id=f"tapewatch-source-{self.source}",
            transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
            message_timeout_ms=TRANSACTION_TIMEOUT_MS,
            # A transaction that begins while the broker completes the one before is answered "try again".
            retry_backoff_ms=2,
            retry_backoff_max_ms=200,
            linger_ms=1,
            compression_type="lz4",
        )
        # Before anything is read: from here on no other instance of the name can commit.
        producer.init_transactions(_WAIT_S)
        live = None
        if self.feed:
            partitions = open_feed(
                self._settings, self.feed, self._instruments.values(), self._partitions, self._clock
            )
            tail = read_tail(self._settings, self.feed)
            self._epoch = max(self._epoch, tail.epochs.get(self.source, -1))
            live = self._writer(producer, partitions, tail.newest_ns)
        elif self._instruments:
            register(self._settings, self._instruments.values(), self._clock)
        return _Opened(producer, live, committed_position(self._settings, self.source))

    def _writer(self, producer: Producer, partitions: int, newest_ns: int) -> LiveWriter:
        """A writer of a new epoch: sequences that were aborted are never looked for."""
        self._epoch = max(self._clock.now(), self._epoch + 1)
        writer = FeedWriter(
            producer, self.feed, self.source, self._epoch, partitions, self._instruments, self._clock
        )
        return LiveWriter(writer, newest_ns)

    def _failed(self, error: BaseException, begun: int) -> TapewatchError:
        """What a transaction's failure means."""
        errors = [error, self._drop()]
        fenced = any(_code(each) in _FENCED for each in errors if each is not None)
        # The broker raises the producer's epoch too when it aborts a transaction that took too long.
        if fenced and self._clock.now() - begun < TRANSACTION_TIMEOUT_MS * NANOS // 1000 * 3 // 4:
            return Fenced(f"another instance of {self.source} has taken over", "Run one instance of a source.")
        return Aborted(f"a transaction of {self.source} was aborted: {error}", "Go on from the committed position.")

    def _drop(self) -> BaseException | None:
        """Abort what is open and give the producer up; the error of that, if any."""
        opened, self._opened = self._opened, None
        try:
            if opened is not None:
                opened.producer.abort_transaction(10)
        except KafkaException as error:
            return error
        return None


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


def refused_letter(topic: str, source: str, refused: RefusedMessage) -> DeadLetter:
    """A refused message as a dead letter of `topic`. It was no record: its origin has no offset, but says `where`."""
    letter = dead_letters.of_record((topic, NOWHERE, NOWHERE), refused.reason, refused.where, refused.raw)
    named = {"source": source, "where": refused.where[:500], "received": to_rfc3339(refused.received)}
    return DeadLetter(
        letter.topic, letter.value, letter.headers + [(name, text.encode()) for name, text in named.items()]
    )


def _unreadable(source: str, why: str) -> TapewatchError:
    return TapewatchError(
        f"the position of {source} in {topics.PRODUCER_STATE} cannot be read: {why}",
        "Use the build that wrote it, or delete the record to begin anew.",
    )


def _commit(producer: Producer, clock: Clock) -> None:
    """Commit; an answer that is missing is asked for again."""
    deadline = clock.now() + int(_WAIT_S * NANOS)
    while True:
        try:
            return producer.commit_transaction(10)
        except KafkaException as error:
            if not error.args[0].retriable() or clock.now() > deadline:
                raise


def _code(error: BaseException) -> int | None:
    return error.args[0].code() if isinstance(error, KafkaException) else None
