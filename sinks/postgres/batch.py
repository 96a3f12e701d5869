"""What one database transaction will hold: packed rows, JSON messages, and how far the topics were read for it."""

from collections import Counter
from dataclasses import dataclass, field

from sinks.log_reader import Log
from sinks.postgres.binary import PackedRows
from sinks.postgres.tables import Table
from tapewatch.market_log.dead_letters import DeadLetter

MAX_BYTES = 64 * 1024 * 1024
MAX_RECORDS = 50_000
MAX_PARTITIONS = 500
"""Day partitions that one transaction may touch, since each takes locks."""


@dataclass(frozen=True, slots=True)
class JsonRecord:
    """A JSON record as it came, with its place in the log."""

    topic: str
    partition: int
    offset: int
    value: bytes


@dataclass(frozen=True, slots=True)
class RefusedRecord:
    """A record that could not be taken. detail : for the table; letter : for the dead-letter topic."""

    record: JsonRecord
    reason: str
    detail: str
    letter: DeadLetter


@dataclass(slots=True)
class Batch:
    """A transaction in the making.

    next_offsets : offset after the last record, by log; clocks, sources : admission state that moved
    refused : market rows and frames that do not count, by reason; duplicates : frames and retries seen before
    retried : origins of records that stood refused and are taken once more
    """

    packed: dict[Table, list[PackedRows]] = field(default_factory=dict)
    messages: list[JsonRecord] = field(default_factory=list)
    dead: list[RefusedRecord] = field(default_factory=list)
    next_offsets: dict[Log, int] = field(default_factory=dict)
    clocks: dict[Log, int] = field(default_factory=dict)
    sources: dict[tuple[str, int, str], tuple[int, int, int]] = field(default_factory=dict)
    days: set[tuple[str, int]] = field(default_factory=set)
    rows: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    retried: set[tuple[str, int, int]] = field(default_factory=set)
    duplicates: int = 0
    records: int = 0
    bytes: int = 0

    def add(self, packed: PackedRows) -> None:
        """Take up rows."""
        self.packed.setdefault(packed.table, []).append(packed)
        self.rows[packed.table.name] += packed.rows
        self.bytes += len(packed.data)
        self.days.update((packed.table.name, day) for day in packed.days)

    def is_full(self, batch_rows: int) -> bool:
        """Whether it should be written before more is taken up."""
        return (
            self.rows.total() >= batch_rows
            or self.bytes >= MAX_BYTES
            or self.records >= MAX_RECORDS
            or len(self.days) >= MAX_PARTITIONS
        )
