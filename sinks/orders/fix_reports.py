"""Execution reports of a FIX session, on disk before the session counts them as received.

The session's sequence numbers bring every report once; a report that is lost between its receipt and the journal would
never be sent again. Kept here first, it is found by client order id at any time.
"""

import sqlite3
import threading
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from sinks.orders.venue import Execution, OrderStatusReport, VenueState

_SCHEMA = """
CREATE TABLE IF NOT EXISTS reports (
    number INTEGER PRIMARY KEY AUTOINCREMENT, exec_id TEXT NOT NULL, client_id TEXT NOT NULL,
    order_id TEXT NOT NULL, instrument TEXT NOT NULL, exec_type TEXT NOT NULL, status TEXT NOT NULL,
    filled TEXT NOT NULL, last_qty TEXT NOT NULL, last_price TEXT NOT NULL, fee TEXT NOT NULL, currency TEXT NOT NULL,
    at INTEGER NOT NULL, text TEXT NOT NULL, UNIQUE (client_id, exec_id)
);
CREATE INDEX IF NOT EXISTS reports_client ON reports (client_id, number);
"""
_ENDS: dict[str, VenueState] = {"2": "filled", "3": "cancelled", "4": "cancelled", "8": "rejected", "C": "cancelled"}
TRADE = "F"


@dataclass(frozen=True, slots=True)
class Report:
    """One ExecutionReport. client_id : of the order itself, also in answers to a cancel; status : OrdStatus"""

    exec_id: str
    client_id: str
    order_id: str
    instrument: str
    exec_type: str
    status: str
    filled: Decimal
    last_qty: Decimal
    last_price: Decimal
    fee: Decimal
    currency: str
    at: int
    text: str


class Reports:
    """The reports of one session; written by the session's thread, read by the gateway's."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        path.chmod(0o600)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._db.close()

    def keep(self, report: Report) -> None:
        """Keep a report, on disk when this returns; one that is kept already changes nothing."""
        values = [getattr(report, name) for name in report.__dataclass_fields__]
        texts = [str(value) if isinstance(value, Decimal) else value for value in values]
        with self._lock:
            self._db.execute(
                f"INSERT OR IGNORE INTO reports ({', '.join(report.__dataclass_fields__)})"  # noqa: S608 - our own names
                f" VALUES ({', '.join('?' * len(texts))})",
                texts,
            )

    def of(self, client_id: str) -> OrderStatusReport | None:
        """An order as its reports tell; None where there is none."""
        with self._lock:
            rows = self._db.execute(
                "SELECT order_id, status, filled, text FROM reports WHERE client_id = ? ORDER BY number", (client_id,)
            ).fetchall()
            trades = self._db.execute(
                "SELECT exec_id, last_price, last_qty, fee, currency, at FROM reports"
                " WHERE client_id = ? AND exec_type = ? ORDER BY number",
                (client_id, TRADE),
            ).fetchall()
        if not rows:
            return None
        order_id, status, _, text = rows[-1]
        state = _ENDS.get(status, "open")
        executions = tuple(
            Execution(exec_id, Decimal(price), Decimal(qty), Decimal(fee), currency, "", at)
            for exec_id, price, qty, fee, currency, at in trades
        )
        filled = max(Decimal(row[2]) for row in rows)
        reason = text if state in ("rejected", "cancelled") else ""
        return OrderStatusReport(client_id, order_id, state, filled, reason, executions)

    def open(self, instrument: str) -> list[OrderStatusReport]:
        """Orders of an instrument that have not come to an end."""
        with self._lock:
            rows = self._db.execute(
                "SELECT client_id, status FROM reports WHERE number IN"
                " (SELECT max(number) FROM reports WHERE instrument = ? GROUP BY client_id)",
                (instrument,),
            ).fetchall()
        found = (self.of(client_id) for client_id, status in rows if status not in _ENDS)
        return [standing for standing in found if standing is not None]
