"""Each record of the log into the batch: admitted and packed, kept as a message, or refused with a reason.

Records that the database had refused, on their way to it once more: each is taken while its refusal stands in
`dead_letters`, and taking it removes the refusal, in one transaction.
"""

from collections.abc import Iterable

import numpy as np
from confluent_kafka import Message
from psycopg2.extensions import connection as Connection  # noqa: N812 - a class with a lower-case name
from psycopg2.extensions import cursor as Cursor  # noqa: N812 - a class with a lower-case name
from psycopg2.extras import execute_values

from sinks.engine_frame import KINDS
from sinks.log_reader import Log, headers_of, place
from sinks.postgres import desk_work, forecasts, merge, own_trading
from sinks.postgres.batch import Batch, JsonRecord, RefusedRecord
from sinks.postgres.engine_frames import EngineFrames
from sinks.postgres.keys import Keys
from sinks.postgres.market import MarketFrames
from sinks.postgres.partitions import FeatureColumns
from sinks.postgres.positions import Positions
from tapewatch.contract import checks, topics
from tapewatch.contract.frames import MAX_FRAME_BYTES
from tapewatch.dlq import retry
from tapewatch.dlq.retry import RetryRecord
from tapewatch.errors import ContractError
from tapewatch.logs import printable
from tapewatch.market_log import dead_letters
from tapewatch.market_log.registry import is_mark
from tapewatch.runtime import batches
from tapewatch.runtime.batches import Record, UnreadableBatch

Origin = tuple[str, int, int]

_HELD = "SELECT 1 FROM dead_letters WHERE topic = %s AND partition = %s AND log_offset = %s"
_FORGET = """
DELETE FROM dead_letters d USING (VALUES %s) AS taken (topic, partition, log_offset)
WHERE d.topic = taken.topic AND d.partition = taken.partition AND d.log_offset = taken.log_offset
"""


class Refusals:
    """What this database has refused so far."""

    def __init__(self, session: Connection) -> None:
        self._session = session

    def hold(self, origin: Origin) -> bool:
        """Whether the record stands refused. One that does not was taken, or belongs to another database."""
        with self._session, self._session.cursor() as cursor:
            cursor.execute(_HELD, origin)
            return cursor.fetchone() is not None


def forget(cursor: Cursor, taken: Iterable[Origin]) -> None:
    """Remove the refusals of records that are taken in this transaction."""
    rows = sorted(taken)
    if rows:
        execute_values(cursor, _FORGET, rows, template="(%s, %s::integer, %s::bigint)")


RETRIES = topics.retry(dead_letters.POSTGRES)
TOPICS = (
    *(topics.INSTRUMENTS, *KINDS, topics.ALERTS, topics.SIGNALS, topics.COVERAGE),
    *own_trading.TABLES,
    *forecasts.WRITERS,
    *desk_work.TABLES,
    RETRIES,
)
"""What the sink reads besides the market topics."""


def is_wanted(topic: str) -> bool:
    """Whether the sink keeps this topic."""
    return topic in TOPICS or topics.is_market(topic)


def refused(record: JsonRecord, reason: str, detail: str) -> RefusedRecord:
    """A record with its dead letter."""
    origin = (record.topic, record.partition, record.offset)
    detail = printable(detail)[:500]
    letter = dead_letters.of_record(origin, reason, detail, record.value, dead_letters.POSTGRES)
    return RefusedRecord(record, reason, detail, letter)


class Intake:
    """Takes records in the order of each partition's log."""

    def __init__(self, keys: Keys, positions: Positions, columns: FeatureColumns, refusals: Refusals) -> None:
        self._keys, self._positions, self._refusals = keys, positions, refusals
        self._market = MarketFrames(keys)
        self._engine = EngineFrames(keys, columns)

    def take(self, message: Record, batch: Batch) -> None:
        """Put one record into the batch; a record from before the partition's position is passed over."""
        log, offset = place(message)
        if offset < self._positions.next_offsets.get(log, 0):
            return
        self._positions.next_offsets[log] = batch.next_offsets[log] = offset + 1
        batch.records += 1
        if isinstance(message, UnreadableBatch):
            self._pass_over(message, batch)
        elif topics.is_market(log[0]):
            self._take_market(log, message, batch)
        elif log[0] == RETRIES:
            self._take_retry(message, batch)
        else:
            self._take_other(log, message, batch)

    def _pass_over(self, unreadable: UnreadableBatch, batch: Batch) -> None:
        """Count what cannot be unpacked; of a topic that nobody else answers for, it is a dead letter of the sink."""
        topic, partition = unreadable.log
        if topics.is_market(topic) or topic == RETRIES:
            batch.refused[batches.REASON] += 1
            return
        record = JsonRecord(topic, partition, unreadable.first, unreadable.head)
        letter = dead_letters.of_batch(unreadable, dead_letters.POSTGRES)
        batch.dead.append(RefusedRecord(record, batches.REASON, unreadable.detail, letter))

    def _take_market(self, log: Log, message: Message, batch: Batch) -> None:
        """Admit a market frame as the engine does; what it refuses is the engine's to keep as a dead letter."""
        admission, value = self._positions.admission(log), message.value()
        try:
            if value is not None and len(value) > MAX_FRAME_BYTES:
                raise ContractError("oversized", f"{len(value)} bytes; a frame has at most {MAX_FRAME_BYTES}")
            admitted = admission.admit(value, headers_of(message), message.timestamp()[1] * 1_000_000)
        except ContractError as error:
            batch.refused[error.reason] += 1
            batch.clocks[log] = int(admission.clock[0])
            return
        batch.clocks[log] = int(admission.clock[0])
        if admitted is None:
            batch.duplicates += 1
            return
        headers = admitted.headers
        newest = admission.sources[headers.source]
        batch.sources[(*log, headers.source)] = (*newest, admission.missing.get(headers.source, 0))
        if admitted.refused:
            counts = np.bincount(np.delete(admitted.reasons, admitted.stored()))
            for reason in np.flatnonzero(counts):
                batch.refused[checks.Reason(int(reason)).label] += int(counts[reason])
        try:
            packed = self._market.pack(admitted, self._keys.log(*log), place(message)[1])
        except ContractError as error:
            self._bury(log, message, error, batch)
            return
        if packed is not None:
            batch.add(packed)

    def _take_retry(self, message: Message, batch: Batch) -> None:
        """A record that stands refused, once more; one that does not was taken already."""
        try:
            retried = retry.opened(headers_of(message), message.value())
        except ContractError as error:
            batch.refused[error.reason] += 1
            return
        topic, partition, offset = retried.origin
        is_ours = topic in TOPICS and topic not in (RETRIES, topics.INSTRUMENTS)
        if not is_ours or retried.origin in batch.retried or not self._refusals.hold((topic, partition, offset)):
            batch.duplicates += 1
            return
        batch.retried.add(retried.origin)
        self._take_other((topic, partition), retried, batch)

    def _take_other(self, log: Log, message: Message | RetryRecord, batch: Batch) -> None:
        """An engine frame or a JSON message; what cannot be read is a dead letter of the sink."""
        value = message.value()
        try:
            if log[0] in KINDS:
                packed = self._engine.pack(log[0], value, headers_of(message))
                if packed is not None:
                    batch.add(packed)
            elif log[0] != topics.INSTRUMENTS or (value is not None and not is_mark(headers_of(message))):
                record = JsonRecord(*log, place(message)[1], value or b"")
                partition = merge.prepare(record, self._keys)
                batch.messages.append(record)
                batch.bytes += len(record.value)
                if partition is not None:
                    batch.days.add(partition)
        except ContractError as error:
            self._bury(log, message, error, batch)

    def _bury(self, log: Log, message: Message | RetryRecord, error: ContractError, batch: Batch) -> None:
        """Make a dead letter of a whole record."""
        record = JsonRecord(*log, place(message)[1], message.value() or b"")
        batch.dead.append(refused(record, error.reason, error.message))
