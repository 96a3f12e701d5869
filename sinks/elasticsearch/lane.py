"""One lane of the sink: reads some topics, has each batch settled while it makes the next, keeps how far it came.

At most two batches are in memory: one with the server, one in the making. While the server does not answer nothing more
is read; Kafka keeps it.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from confluent_kafka import KafkaException, Message

from sinks.backoff import Backoff
from sinks.dead_letters import DeadLetterTopics
from sinks.elasticsearch.bulk import Bulk, BulkResult, StoppedError, Tally
from sinks.elasticsearch.bulk_items import Intake
from sinks.elasticsearch.item import Item
from sinks.log_reader import Log, Reader, place
from sinks.store_spans import stored
from tapewatch import logs
from tapewatch.clock import NANOS, WALL
from tapewatch.errors import UnansweredError
from tapewatch.market_log import dead_letters
from tapewatch.market_log.dead_letters import DeadLetter
from tapewatch.runtime import group_offsets, tracing
from tapewatch.runtime.kafka import DeliveryError
from tapewatch.runtime.tracing import Tracer

REPORT_NS = 2 * NANOS
_log = logs.get("sink.elasticsearch")

Take = Callable[[Message], tuple[list[Item], DeadLetter | None]]
Fetched = Callable[[Sequence[Message]], None]


@dataclass(slots=True)
class Batch:
    """What was read and is to be settled."""

    items: list[Item] = field(default_factory=list)
    letters: list[DeadLetter] = field(default_factory=list)
    next_offsets: dict[Log, int] = field(default_factory=dict)
    bytes: int = 0
    began_ns: int = field(default_factory=WALL.elapsed)


class PartitionWriter:
    """Keeps what is made of records.

    name : for reports; fetched : told of records before they are taken; most_bytes : of a batch; tracer : None for none
    begin : gives what makes items of records, one that has seen none: whatever is read again counts again
    """

    def __init__(
        self,
        name: str,
        reader: Reader,
        fetched: Fetched,
        begin: Callable[[], Intake],
        bulk: Bulk,
        dead: DeadLetterTopics,
        tally: Tally,
        most_bytes: int,
        tracer: Tracer | None = None,
    ) -> None:
        self._name, self._reader, self._fetched, self._begin = name, reader, fetched, begin
        self._bulk, self._dead, self._tally, self._most = bulk, dead, tally, most_bytes
        self._tracer = tracer
        self._backoff = Backoff()
        self._positions: dict[Log, int] = {}
        self._settled: dict[Log, int] = {}
        self._with_server: tuple[Batch, Future[BulkResult]] | None = None
        self.rounds = 0
        """Turns of its loop so far: who watches it sees that it is not stuck."""

    def run(self, stop: threading.Event, until_idle: float | None) -> None:
        """Work until `stop` is set, or until all is read and nothing came for `until_idle` seconds.

        A broker or server that fails is waited for; what was not settled is read again.
        """
        with ThreadPoolExecutor(1, f"elasticsearch-{self._name}") as sender:
            while not stop.is_set():
                try:
                    self._session(sender, stop, until_idle)
                    return
                except (KafkaException, DeliveryError, UnansweredError) as error:
                    wait, hint = self._backoff.wait_s(), getattr(error, "hint", "")
                    _log.warning("waiting to try again", seconds=round(wait, 1), problem=str(error), next=hint)
                    stop.wait(wait)
                except StoppedError:
                    return

    def _session(self, sender: ThreadPoolExecutor, stop: threading.Event, until_idle: float | None) -> None:
        """Read from where the group stands."""
        self._drop_unsettled()
        take = self._begin().take
        self._positions, ids = self._reader.kept()
        self._settled = dict(self._positions)
        self._reader.restart(self._positions, ids)
        batch, looked, last_input = Batch(), WALL.elapsed(), WALL.elapsed()
        kept_again = looked - group_offsets.KEPT_AGAIN_NS
        while True:
            self.rounds += 1
            records, more = self._reader.poll()
            self._fetched(records)
            for record in records:
                self._add(take, record, batch)
                if batch.bytes >= self._most:
                    batch = self._hand_over(batch, sender, stop)
            if batch.next_offsets and (not more or stop.is_set()):
                batch = self._hand_over(batch, sender, stop)
            now = WALL.elapsed()
            if records or not self._reader.is_at_end():
                last_input = now
            else:
                self._collect(stop)
            if now - looked > REPORT_NS:
                looked = now
                self._reader.discover(self._positions)
                self._tally.lags[self._name] = self._reader.lag()
            if now - kept_again > group_offsets.KEPT_AGAIN_NS:
                # With its topics' ids, which an earlier build did not keep.
                kept_again = now
                self._reader.keep(self._settled)
            if stop.is_set() or (until_idle is not None and now - last_input > until_idle * NANOS):
                self._collect(stop)
                self._tally.lags[self._name] = self._reader.lag()
                return

    def _add(self, take: Take, record: Message, batch: Batch) -> None:
        """Take one record into the batch."""
        log, offset = place(record)
        if not batch.next_offsets:
            batch.began_ns = WALL.elapsed()
        items, letter = take(record)
        batch.items += items
        batch.bytes += sum(item.size for item in items)
        if letter is not None:
            batch.letters.append(letter)
        self._positions[log] = batch.next_offsets[log] = offset + 1

    def _hand_over(self, batch: Batch, sender: ThreadPoolExecutor, stop: threading.Event) -> Batch:
        """Give a batch to the server once the one before is settled, and begin another."""
        self._collect(stop)
        self._with_server = batch, sender.submit(self._bulk.send, batch.items, stop)
        return Batch()

    def _collect(self, stop: threading.Event) -> None:
        """Wait until the batch with the server is settled; bury what is refused, then keep the offsets."""
        if self._with_server is None:
            return
        (batch, future), self._with_server = self._with_server, None
        settled = future.result()
        letters = batch.letters + [_letter(item, reason) for item, reason in settled.refused]
        self._dead.send(letters)
        self._reader.keep(batch.next_offsets)
        self._settled |= batch.next_offsets
        if self._tracer is not None:
            kept = (item.letter for item in batch.items if item.kind == "alerts")
            stored(self._tracer, tracing.ELASTICSEARCH, kept, WALL.elapsed() - batch.began_ns)
        self._tally.add(settled, [letter.reason for letter in letters], batch.began_ns, WALL.elapsed())
        self._tally.troubles[self._name] = ""
        self._backoff.reset()

    def _drop_unsettled(self) -> None:
        """Forget what is with the server, once it is no longer there."""
        if self._with_server is not None:
            self._with_server[1].exception()
            self._with_server = None


def _letter(item: Item, problem: str) -> DeadLetter:
    """The dead letter of an item that the server refuses for good."""
    detail = logs.printable(problem)
    return dead_letters.of_record(item.origin, "not_storable", detail, item.letter, dead_letters.ELASTICSEARCH)
