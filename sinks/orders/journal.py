"""The gateway's journal: every intent is on disk before the venue hears of it, and every record to publish beside the
change it tells of.

SQLite in the data folder, synchronised at every commit: a gateway must be able to find out what it has sent, and to
cancel it, while Kafka and PostgreSQL are away.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Literal

from tapewatch.contract.messages import Side
from tapewatch.errors import TapewatchError

Phase = Literal["intended", "sent", "open", "done"]
OrderState = Literal["pending", "open", "filled", "cancelled", "rejected", "unknown"]
Log = tuple[str, int]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS orders (
    id TEXT PRIMARY KEY, instrument TEXT NOT NULL, side TEXT NOT NULL, price TEXT NOT NULL, qty TEXT NOT NULL,
    signal TEXT NOT NULL, created TEXT NOT NULL, taken_ns INTEGER NOT NULL, phase TEXT NOT NULL, state TEXT NOT NULL,
    filled TEXT NOT NULL, reason TEXT NOT NULL, venue_order_id TEXT NOT NULL, revision INTEGER NOT NULL,
    sends INTEGER NOT NULL, sent_ns INTEGER NOT NULL, cancel INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS orders_active ON orders (phase) WHERE phase <> 'done';
CREATE INDEX IF NOT EXISTS orders_taken ON orders (taken_ns);
CREATE TABLE IF NOT EXISTS fills (
    order_id TEXT NOT NULL, trade_id TEXT NOT NULL, price TEXT NOT NULL, qty TEXT NOT NULL, fee TEXT NOT NULL,
    currency TEXT NOT NULL, PRIMARY KEY (order_id, trade_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS positions (instrument TEXT PRIMARY KEY, qty TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outbox (seq INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, key TEXT NOT NULL,
    value BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS offsets (topic TEXT NOT NULL, partition INTEGER NOT NULL, next INTEGER NOT NULL,
    PRIMARY KEY (topic, partition)) WITHOUT ROWID;
"""


@dataclass(slots=True)
class Entry:
    """One order of the journal.

    phase : intended (nothing is on its way), sent (the answer is not known), open (the venue has it) or done
    taken_ns : when it was taken in; sent_ns : when it was last sent; sends : how often; cancel : whether a cancel was
    asked for; due_ns, flew_ns : not to be worked on earlier, and when it was last sent, by the clock's `elapsed` (not
    kept: after a restart everything is due)
    """

    id: str
    instrument: str
    side: Side
    price: Decimal
    qty: Decimal
    signal: str
    created: str
    taken_ns: int
    phase: Phase = "intended"
    state: OrderState = "pending"
    filled: Decimal = Decimal(0)
    reason: str = ""
    venue_order_id: str = ""
    revision: int = 0
    sends: int = 0
    sent_ns: int = 0
    cancel: bool = False
    due_ns: int = field(default=0, compare=False)
    flew_ns: int = field(default=0, compare=False)
    failures: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class OutboxRecord:
    """A record to publish."""

    seq: int
    topic: str
    key: str
    value: bytes


_COLUMNS = (
    "id", "instrument", "side", "price", "qty", "signal", "created", "taken_ns", "phase", "state", "filled", "reason",
    "venue_order_id", "revision", "sends", "sent_ns", "cancel",
)  # fmt: skip
_PUT = f"INSERT OR REPLACE INTO orders ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"  # noqa: S608
_GET = f"SELECT {', '.join(_COLUMNS)} FROM orders"  # noqa: S608


class Journal:
    """A venue's journal, held by one process at a time.

    fresh : whether no backlog was taken into it yet, so that nothing is known of what was sent before
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise TapewatchError(f"another gateway works with {path}", "Stop it first; one is enough.") from None
        self._db = sqlite3.connect(path, isolation_level=None)
        path.chmod(0o600)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.executescript(_SCHEMA)
        self.fresh = self._db.execute("PRAGMA user_version").fetchone()[0] == 0

    def begun(self) -> None:
        """From here on the journal knows all that its gateway has sent."""
        self._db.execute("PRAGMA user_version = 1")
        self.fresh = False

    def close(self) -> None:
        """Let go of the file and its lock."""
        self._db.close()
        os.close(self._lock)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing of what is written inside; on disk when it ends."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def put(self, entry: Entry) -> None:
        """Write an order as it is now."""
        values = (getattr(entry, name) for name in _COLUMNS)
        self._db.execute(_PUT, [str(value) if isinstance(value, Decimal) else value for value in values])

    def get(self, order_id: str) -> Entry | None:
        """The order of an id."""
        found = self._entries(" WHERE id = ?", (order_id,))
        return found[0] if found else None

    def active(self) -> list[Entry]:
        """Orders that are not done, in the order in which they were taken in."""
        return self._entries(" WHERE phase <> 'done' ORDER BY taken_ns, id", ())

    def _entries(self, clause: str, values: tuple[object, ...]) -> list[Entry]:
        rows = self._db.execute(_GET + clause, values).fetchall()
        return [_entry(dict(zip(_COLUMNS, row, strict=True))) for row in rows]

    def taken_since(self, ns: int) -> int:
        """How many orders were let through since then."""
        row = self._db.execute(
            "SELECT count(*) FROM orders WHERE taken_ns > ? AND (sends > 0 OR phase <> 'done')", (ns,)
        ).fetchone()
        return int(row[0])

    def add_fill(self, entry: Entry, trade_id: str, price: Decimal, qty: Decimal, fee: Decimal, currency: str) -> None:
        """Book an execution once: with the position it makes."""
        self._db.execute(
            "INSERT INTO fills VALUES (?, ?, ?, ?, ?, ?)",
            (entry.id, trade_id, str(price), str(qty), str(fee), currency),
        )
        signed = qty if entry.side == "buy" else -qty
        self._db.execute(
            "INSERT OR REPLACE INTO positions VALUES (?, ?)",
            (entry.instrument, str(self.position(entry.instrument) + signed)),
        )

    def fills(self, order_id: str) -> dict[str, tuple[Decimal, Decimal]]:
        """Trade id -> quantity and fee of what is booked of an order."""
        rows = self._db.execute("SELECT trade_id, qty, fee FROM fills WHERE order_id = ?", (order_id,))
        return {trade: (Decimal(qty), Decimal(fee)) for trade, qty, fee in rows}

    def position(self, instrument: str) -> Decimal:
        """Bought less sold, over the journal's life."""
        row = self._db.execute("SELECT qty FROM positions WHERE instrument = ?", (instrument,)).fetchone()
        return Decimal(row[0]) if row else Decimal(0)

    def send(self, topic: str, key: str, value: bytes) -> None:
        """Leave a record to be published."""
        self._db.execute("INSERT INTO outbox (topic, key, value) VALUES (?, ?, ?)", (topic, key, value))

    def outbox(self, limit: int = 1000) -> list[OutboxRecord]:
        """Records not yet known to be published, oldest first."""
        rows = self._db.execute("SELECT seq, topic, key, value FROM outbox ORDER BY seq LIMIT ?", (limit,))
        return [OutboxRecord(*row) for row in rows]

    def published(self, seq: int) -> None:
        """Forget the records up to `seq`."""
        with self.transaction():
            self._db.execute("DELETE FROM outbox WHERE seq <= ?", (seq,))

    def offsets(self) -> dict[Log, int]:
        """Next offset to read, by topic and partition."""
        return {(topic, partition): at for topic, partition, at in self._db.execute("SELECT * FROM offsets")}

    def read_to(self, log: Log, following: int) -> None:
        """Set the next offset to read."""
        self._db.execute("INSERT OR REPLACE INTO offsets VALUES (?, ?, ?)", (*log, following))


def _entry(row: dict[str, object]) -> Entry:
    """A row as an entry."""
    numbers = {name: Decimal(str(row[name])) for name in ("price", "qty", "filled")}
    return Entry(**{**row, **numbers, "cancel": bool(row["cancel"])})  # type: ignore[arg-type]
