"""What a source that pulls has sent and how far it has come, in one transaction: neither loss nor repeat over any end.

The protocol of a transaction, and what happens if the process dies there:
1. the records are sent: the broker aborts them after 4 s, or at once when the next instance starts; nobody saw them
2. the position is sent with them: the same
3. the transaction is committed: records and position are visible together, and the next start goes on from there
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException, Producer

from producers.base.transaction import AbortedError, FencedError, Transaction, committed_position, refused_letter
from producers.feed import FeedWriter, LiveWriter, open_feed, read_tail
from tapewatch import logs
from tapewatch.clock import NANOS, WALL, Clock
from tapewatch.contract import topics
from tapewatch.contract.instruments import Instrument
from tapewatch.errors import TapewatchError
from tapewatch.market_log.registry import register
from tapewatch.runtime import kafka, transactions
from tapewatch.settings import Settings

__all__ = ["AbortedError", "FencedError", "Ledger", "Transaction", "committed_position", "refused_letter"]

TRANSACTION_TIMEOUT_MS = 4_000
"""A dead instance keeps readers waiting no longer."""

log = logs.get("producers.ledger")

_WAIT_S = 30.0
_FENCED = frozenset({KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.PRODUCER_FENCED})


@dataclass(slots=True)
class _ProducerSession:
    producer: Producer
    live: LiveWriter | None
    position: bytes | None


class Ledger:
    """The output and the position of one source. One thread at a time; commits take some milliseconds.

    source : name of the source, also its key in `producers.state`; a second instance of the name fences the first
    feed : market feed that takes its rows, empty for a source of messages alone; partitions : of a new topic, 0 takes
    the setting; instruments : reference data to register at the start
    recorded : the rows' own receipt times are the feed's clock, and no heartbeat moves it to the present
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
        recorded: bool = False,
    ) -> None:
        self.source, self.feed = source, feed
        self._recorded = recorded
        self._settings, self._partitions, self._clock = settings, partitions, clock
        self._instruments = {instrument.id: instrument for instrument in instruments}
        self._opened: _ProducerSession | None = None
        self._epoch = -1

    def position(self) -> bytes | None:
        """The committed position (JSON), None at the very first start; begins the source's work where it has not begun
        or a transaction was aborted, after which no other instance can commit.

        AbortedError where Kafka does not answer.
        """
        if self._opened is None:
            try:
                self._opened = self._open()
            except (KafkaException, TapewatchError) as error:
                hint = error.hint if isinstance(error, TapewatchError) else "Run `tapewatch status`."
                raise AbortedError(f"{self.source} cannot begin: {error}", hint) from error
        return self._opened.position

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """All or nothing of what is done with the transaction; committed where the block ends.

        AbortedError where that fails: `position` says where to go on. FencedError where another instance has taken
        over. The block's own errors abort too, and are raised as they are. Do nothing slow inside: after 4 s the
        broker aborts.
        """
        opened = self._opened
        if opened is None:
            raise RuntimeError("read the position first")
        begun = self._clock.elapsed()
        transaction = Transaction(opened.producer, opened.live, self.source, self._clock, recorded=self._recorded)
        try:
            transactions.begin(opened.producer)
            yield transaction
            transaction.finish()
            # An answer that is missing is asked for again.
            transactions.commit(opened.producer, *transaction.consumed, patience_s=_WAIT_S)
        except (KafkaException, AbortedError) as error:
            raise self._failed(error, begun) from error
        except BaseException:
            self._drop()
            raise
        if transaction.kept is not None:
            opened.position = transaction.kept

    def write(self, work: Callable[[Transaction], None], attempts: int = 8) -> None:
        """Commit what `work` does with a transaction; it is called again where a transaction was aborted.

        `work` must do the same each time, and set a new position: that tells whether a commit without an answer was
        one. AbortedError after so many attempts. FencedError as in `transaction`.
        """
        before = self.position()
        for attempt in range(attempts):
            try:
                if self.position() != before:
                    return
                with self.transaction() as transaction:
                    work(transaction)
                return
            except AbortedError as error:
                log.warning("transaction aborted", source=self.source, attempt=attempt, error=error.message)
                if attempt + 1 == attempts:
                    raise
                self._clock.sleep(min(0.1 * 2**attempt, 10.0))

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

    def _open(self) -> _ProducerSession:
        specs = [*topics.source_topics(self._settings.topics), *topics.shared_topics(self._settings.topics)]
        kafka.create_topics(self._settings, specs)
        name = f"tapewatch-source-{self.source}"
        producer = transactions.make_producer(self._settings, name, TRANSACTION_TIMEOUT_MS, compression_type="lz4")
        # Before anything is read: from here on no other instance of the name can commit.
        transactions.fenced(producer, _WAIT_S)
        live = None
        if self.feed:
            partitions = open_feed(self._settings, self.feed, self._instruments.values(), self._partitions, self._clock)
            tail = read_tail(self._settings, self.feed)
            self._epoch = max(self._epoch, tail.epochs.get(self.source, -1))
            live = self._writer(producer, partitions, tail.newest_ns)
        elif self._instruments:
            register(self._settings, self._instruments.values(), self._clock)
        return _ProducerSession(producer, live, committed_position(self._settings, self.source))

    def _writer(self, producer: Producer, partitions: int, newest_ns: int) -> LiveWriter:
        """A writer of a new epoch: sequences that were aborted are never looked for."""
        self._epoch = max(self._clock.now(), self._epoch + 1)
        writer = FeedWriter(producer, self.feed, self.source, self._epoch, partitions, self._instruments, self._clock)
        return LiveWriter(writer, newest_ns)

    def _failed(self, error: BaseException, begun: int) -> TapewatchError:
        """What a transaction's failure means."""
        errors = [error, self._drop()]
        fenced = any(_code(each) in _FENCED for each in errors if each is not None)
        # The broker raises the producer's epoch too when it aborts a transaction that took too long.
        if fenced and self._clock.elapsed() - begun < TRANSACTION_TIMEOUT_MS * NANOS // 1000 * 3 // 4:
            return FencedError(f"another instance of {self.source} has taken over", "Run one instance of a source.")
        return AbortedError(
            f"a transaction of {self.source} was aborted: {error}", "Go on from the committed position."
        )

    def _drop(self) -> BaseException | None:
        """Abort what is open and give the producer up; the error of that, if any."""
        opened, self._opened = self._opened, None
        failure: BaseException | None = None
        if opened is not None:
            try:
                transactions.abort(opened.producer)
            except KafkaException as error:
                failure = error
        return failure


def _code(error: BaseException) -> int | None:
    return error.args[0].code() if isinstance(error, KafkaException) else None
