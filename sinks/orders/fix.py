"""A broker over FIX 4.4: limit orders for the day, cancels, status requests; executions come by themselves.

Execution reports of a FIX session, on disk before the session counts them as received.

The session's sequence numbers bring every report once; a report that is lost between its receipt and the journal would
never be sent again. Kept here first, it is found by client order id at any time.
"""

import asyncio
import sqlite3
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from sinks.orders.fix_session import Fields, Session
from sinks.orders.secrets import Keys
from sinks.orders.venue import (
    Execution,
    NotSentError,
    OrderStatusReport,
    RefusedError,
    Ticket,
    UnansweredError,
    VenueState,
    plain,
)
from tapewatch import logs
from tapewatch.clock import NANOS, WALL, Clock

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


NEW_ORDER_SINGLE, CANCEL, STATUS = "D", "F", "H"
_REPORT, _CANCEL_REJECT, _BUSINESS_REJECT = "8", "9", "j"
_SIDES = {"buy": "1", "sell": "2"}
_UNKNOWN_ORDER, _DUPLICATE_ORDER = "5", "6"
_AS_ASKED, _CORRECTED, _BUSTED, _ABSOLUTE = "I", "G", "H", "3"

_log = logs.get("sink.orders.fix")


class Fix:
    """One session with a broker. Sequence numbers and reports are kept in `folder`."""

    name = "fix"

    def __init__(
        self,
        address: str,
        sender: str,
        target: str,
        keys: Keys,
        folder: Path,
        timeout_s: float = 5.0,
        clock: Clock = WALL,
    ) -> None:
        self._timeout_s, self._clock = timeout_s, clock
        # A status request follows the order on the same ordered session: the margin is for a broker's own queues.
        self.in_flight_s = timeout_s
        self._folder = folder
        self._session = Session(address, sender, target, keys, folder, self._receive)
        self._reports = Reports(folder / "reports.sqlite")
        self._waiting: dict[str, asyncio.Future[Fields]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def symbol(self, instrument: str) -> str:
        """The instrument id itself: SYMBOL goes out as Symbol (55), VENUE as SecurityExchange (207)."""
        if "." not in instrument:
            raise ValueError(f"{instrument} is no instrument id")
        return instrument

    async def open(self) -> None:
        """Log on. NotSentError where that takes longer than the time-out."""
        self._loop = asyncio.get_running_loop()
        self._session.start()
        if not await asyncio.to_thread(self._session.is_up, self._timeout_s):
            raise NotSentError("the FIX session does not log on")

    async def close(self) -> None:
        """Log out."""
        await asyncio.to_thread(self._session.stop)

    async def place(self, ticket: Ticket) -> OrderStatusReport:
        """NewOrderSingle, and its first ExecutionReport."""
        fields = {
            **_named(ticket),
            11: ticket.client_id,
            21: "1",
            38: plain(ticket.qty),
            40: "2",
            44: plain(ticket.price),
            59: "0",
            60: self._now(),
        }
        answer = await self._ask(ticket.client_id, NEW_ORDER_SINGLE, fields)
        if answer.get(35) == _BUSINESS_REJECT or answer.get(39) == "8":
            raise RefusedError(
                f"FIX: {answer.get(58) or 'rejected'}", perhaps_known=answer.get(103) == _DUPLICATE_ORDER
            )
        return self._known(ticket)

    async def cancel(self, ticket: Ticket) -> None:
        """OrderCancelRequest, under a client order id of its own."""
        request = f"{ticket.client_id[:16]}-{self._clock.now() // 1_000_000:x}"
        fields = {**_named(ticket), 11: request, 41: ticket.client_id, 38: plain(ticket.qty), 60: self._now()}
        answer = await self._ask(request, CANCEL, fields)
        if answer.get(35) == _CANCEL_REJECT:
            raise RefusedError(f"FIX: {answer.get(58) or 'cancel rejected'}")

    async def find(self, ticket: Ticket) -> OrderStatusReport | None:
        """The order as its reports tell; with none, what the broker answers to an OrderStatusRequest."""
        known = self._reports.of(ticket.client_id)
        if known is not None:
            return known
        answer = await self._ask(ticket.client_id, STATUS, {**_named(ticket), 11: ticket.client_id})
        if answer.get(35) == _BUSINESS_REJECT:
            raise UnansweredError(f"FIX: {answer.get(58) or 'status request rejected'}")
        return None if _is_unknown(answer) else self._known(ticket)

    async def open_orders(self, symbol: str) -> list[OrderStatusReport]:
        """From the reports: the session brings every one, so that there is nothing to ask."""
        if not self._session.is_up():
            raise NotSentError("the FIX session is not logged on")
        return self._reports.open(symbol)

    async def balances(self) -> dict[str, Decimal]:
        """FIX 4.4 order sessions tell no balances."""
        return {}

    async def _ask(self, key: str, kind: str, fields: dict[int, str]) -> Fields:
        """Send a message and wait for the first one that answers it."""
        loop = asyncio.get_running_loop()
        answer = self._waiting[key] = loop.create_future()
        try:
            self._session.send(kind, fields)
            return await asyncio.wait_for(answer, self._timeout_s)
        except TimeoutError:
            raise UnansweredError("no answer on the FIX session") from None
        finally:
            self._waiting.pop(key, None)

    def _receive(self, fields: Fields) -> None:
        """Keep a report, then wake who waits for it. Called from the session's thread."""
        if fields.get(35) == _REPORT and not _says_nothing(fields):
            self._keep(fields)
        keys = [fields.get(tag, "") for tag in (11, 41, 379)]
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake, keys, fields)

    def _wake(self, keys: list[str], fields: Fields) -> None:
        for key in keys:
            waiting = self._waiting.get(key)
            if waiting is not None and not waiting.done():
                waiting.set_result(fields)

    def _keep(self, fields: Fields) -> None:
        """A report as it is kept. Corrections and busts of trades are not booked: they are for a person to look at."""
        kind = fields.get(150, "")
        if kind in (_CORRECTED, _BUSTED):
            _log.error("a trade was corrected or cancelled: look at it", order=fields.get(41) or fields.get(11, ""))
            return
        # An answer to a status request repeats what is known, under an ExecID that brokers leave at 0.
        exec_id = f"status-{self._clock.now()}" if kind == _AS_ASKED else fields.get(17, "")
        absolute = fields.get(13) == _ABSOLUTE
        self._reports.keep(
            Report(
                exec_id=exec_id,
                client_id=fields.get(41) or fields.get(11, ""),
                order_id=fields.get(37, ""),
                instrument=_instrument(fields),
                exec_type=kind,
                status=fields.get(39, ""),
                filled=Decimal(fields.get(14, "0")),
                last_qty=Decimal(fields.get(32, "0")),
                last_price=Decimal(fields.get(31, "0")),
                fee=Decimal(fields.get(12, "0")) if absolute else Decimal(0),
                currency=fields.get(15, ""),
                at=_nanos(fields.get(60, "")) or self._clock.now(),
                text=fields.get(58, ""),
            )
        )

    def _known(self, ticket: Ticket) -> OrderStatusReport:
        """The order of a report that has just come."""
        standing = self._reports.of(ticket.client_id)
        if standing is None:
            raise UnansweredError("FIX: an answer without a report")
        return standing

    def _now(self) -> str:
        """UTCTimestamp, milliseconds."""
        at = datetime.fromtimestamp(self._clock.now() / NANOS, UTC)
        return f"{at:%Y%m%d-%H:%M:%S}.{at.microsecond // 1000:03d}"


def _named(ticket: Ticket) -> dict[int, str]:
    """The fields that every message on an order carries."""
    symbol, _, venue = ticket.symbol.rpartition(".")
    return {55: symbol, 54: _SIDES[ticket.side], 207: venue}


def _instrument(fields: Fields) -> str:
    """The instrument of a report; brokers repeat the exchange or leave it out."""
    return f"{fields.get(55, '')}.{fields[207]}" if 207 in fields else fields.get(55, "")


def _is_unknown(fields: Fields) -> bool:
    """Whether a report says that the broker does not know the order that was asked for."""
    return fields.get(150) in (_AS_ASKED, "8") and fields.get(39) == "8" and fields.get(103) == _UNKNOWN_ORDER


def _says_nothing(fields: Fields) -> bool:
    """Whether a report is no account of the order itself: it is not known, or was sent a second time."""
    return _is_unknown(fields) or (fields.get(39) == "8" and fields.get(103) == _DUPLICATE_ORDER)


def _nanos(text: str) -> int:
    """UTC nanoseconds of a UTCTimestamp, with seconds or milliseconds; 0 where it is none."""
    for form in ("%Y%m%d-%H:%M:%S.%f", "%Y%m%d-%H:%M:%S"):
        try:
            return int(datetime.strptime(text, form).replace(tzinfo=UTC).timestamp() * 1_000_000) * 1000
        except ValueError:
            continue
    return 0
