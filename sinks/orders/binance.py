"""Binance's spot API over REST: limit orders, their executions, the account.

Signed with HMAC-SHA256 over the query. `newClientOrderId` is the client order id, unique among open orders alone: that
an order is not doubled rests on `recvWindow`, after which the venue does not accept a request any more.
"""

import hashlib
import hmac
from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from sinks.orders.rest import Answer, RestClient
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
from tapewatch.clock import NANOS, WALL, Clock

MILLI = 1_000_000

_STATES: dict[str, VenueState] = {
    "NEW": "open",
    "PENDING_NEW": "open",
    "PARTIALLY_FILLED": "open",
    "PENDING_CANCEL": "open",
    "FILLED": "filled",
    "CANCELED": "cancelled",
    "EXPIRED": "cancelled",
    "EXPIRED_IN_MATCH": "cancelled",
    "REJECTED": "rejected",
}
_CLOCK, _NO_SUCH_ORDER = -1021, -2013
_NEVER_TAKEN = {-1003: 5.0, -1015: 10.0}
"""Too many requests, too many orders -> seconds to wait."""
_FATE_UNKNOWN = frozenset({-1000, -1001, -1006, -1007, -1008, -1016})
_PAGE = 1000


class Binance:
    """One spot account at Binance."""

    name = "binance"

    def __init__(
        self,
        address: str,
        keys: Keys,
        timeout_s: float = 5.0,
        recv_window_ms: int = 5000,
        weight_a_minute: int = 6000,
        clock: Clock = WALL,
    ) -> None:
        self._rest, self._keys, self._clock = RestClient(address, timeout_s), keys, clock
        self._window, self._weight = recv_window_ms, weight_a_minute
        self._ahead_ms = 0
        # The venue looks at its own clock, of which ours is known to about one round trip.
        self.in_flight_s = recv_window_ms / 1000 + min(timeout_s, 1.0) + 0.1

    def symbol(self, instrument: str) -> str:
        """BTCUSDT of BTCUSDT.BINANCE."""
        symbol, _, venue = instrument.rpartition(".")
        if venue != "BINANCE" or not symbol.isalnum():
            raise ValueError(f"{instrument} is no spot symbol of Binance")
        return symbol

    async def open(self) -> None:
        """Connect, and learn the venue's clock."""
        await self._rest.open()
        await self._set_clock()

    async def close(self) -> None:
        """Disconnect."""
        await self._rest.close()

    async def place(self, ticket: Ticket) -> OrderStatusReport:
        """POST /api/v3/order. An order that trades at once counts as open until it is asked for with its trades."""
        fields = [
            ("symbol", ticket.symbol),
            ("side", ticket.side.upper()),
            ("type", "LIMIT"),
            ("timeInForce", "GTC"),
            ("quantity", plain(ticket.qty)),
            ("price", plain(ticket.price)),
            ("newClientOrderId", ticket.client_id),
            ("newOrderRespType", "RESULT"),
        ]
        return _read(await self._signed("POST", "/api/v3/order", fields))

    async def cancel(self, ticket: Ticket) -> None:
        """DELETE /api/v3/order."""
        await self._signed("DELETE", "/api/v3/order", _named(ticket))

    async def find(self, ticket: Ticket) -> OrderStatusReport | None:
        """GET /api/v3/order, and GET /api/v3/myTrades where it has traded."""
        try:
            found = _read(await self._signed("GET", "/api/v3/order", _named(ticket)))
        except RefusedError as error:
            if error.reason.startswith(f"Binance {_NO_SUCH_ORDER}:"):
                return None
            raise
        executions = await self._trades(ticket.symbol, found.venue_order_id) if found.filled else ()
        return OrderStatusReport(
            ticket.client_id, found.venue_order_id, found.state, found.filled, found.reason, tuple(executions)
        )

    async def _trades(self, symbol: str, order_id: str) -> list[Execution]:
        """All trades of an order, page by page."""
        found: list[Execution] = []
        start: list[tuple[str, str]] = []
        while True:
            fields = [("symbol", symbol), ("orderId", order_id), *start, ("limit", str(_PAGE))]
            rows = await self._signed("GET", "/api/v3/myTrades", fields)
            found += [_execution(row) for row in rows]
            if len(rows) < _PAGE:
                return found
            start = [("fromId", str(int(found[-1].trade_id) + 1))]

    async def open_orders(self, symbol: str) -> list[OrderStatusReport]:
        """GET /api/v3/openOrders."""
        return [_read(row) for row in await self._signed("GET", "/api/v3/openOrders", [("symbol", symbol)])]

    async def balances(self) -> dict[str, Decimal]:
        """GET /api/v3/account."""
        body = await self._signed("GET", "/api/v3/account", [("omitZeroBalances", "true")])
        return {row["asset"]: Decimal(row["free"]) + Decimal(row["locked"]) for row in body["balances"]}

    async def _signed(self, method: str, path: str, fields: Sequence[tuple[str, str]]) -> Any:
        """A signed request's answer, or what its error means."""
        now_ms = self._clock.now() // MILLI + self._ahead_ms
        timed = [*fields, ("recvWindow", str(self._window)), ("timestamp", str(now_ms))]
        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in timed)
        target = f"{path}?{query}&signature={signature(self._keys, query)}"
        answer = await self._rest.request(method, target, {"X-MBX-APIKEY": self._keys.access})
        self._spare(answer)
        if answer.ok:
            return answer.body
        code, text = _error(answer)
        if code == _CLOCK:
            await self._set_clock()
            raise NotSentError(f"Binance {code}: {text}")
        if code in _NEVER_TAKEN:
            self._rest.hold(_NEVER_TAKEN[code])
            raise NotSentError(f"Binance {code}: {text}", _NEVER_TAKEN[code])
        if code in _FATE_UNKNOWN:
            raise UnansweredError(f"Binance {code}: {text}")
        raise RefusedError(f"Binance {code}: {text}", "duplicate" in text.lower())

    async def _set_clock(self) -> None:
        """Learn how far the venue's clock is ahead of ours; at the middle of the round trip."""
        before = self._clock.now()
        answer = await self._rest.request("GET", "/api/v3/time")
        after = self._clock.now()
        try:
            self._ahead_ms = int(answer.body["serverTime"]) - (before + after) // 2 // MILLI
        except (KeyError, TypeError, ValueError):
            raise UnansweredError("the venue does not tell its time") from None

    def _spare(self, answer: Answer) -> None:
        """Wait for the next minute when nine tenths of the allowed request weight are used."""
        used = answer.headers.get("X-MBX-USED-WEIGHT-1M", "0")
        if used.isdigit() and int(used) > 0.9 * self._weight:
            self._rest.hold(60.0 - self._clock.now() / NANOS % 60.0)


def signature(keys: Keys, query: str) -> str:
    """HMAC-SHA256 of a query, hex."""
    return hmac.new(keys.secret.encode(), query.encode(), hashlib.sha256).hexdigest()


def _named(ticket: Ticket) -> list[tuple[str, str]]:
    """The fields that name an order."""
    return [("symbol", ticket.symbol), ("origClientOrderId", ticket.client_id)]


def _error(answer: Answer) -> tuple[int, str]:
    """Code and text of an error; code 0 where the body tells none."""
    body = answer.body if isinstance(answer.body, dict) else {}
    return int(body.get("code", 0)), str(body.get("msg", f"HTTP {answer.status}"))


def _read(row: dict[str, Any]) -> OrderStatusReport:
    """An order without its trades. A cancel gives an order's answer another clientOrderId; lists show the first."""
    try:
        state, filled = _STATES[row["status"]], Decimal(row["executedQty"])
        reason = "" if row["status"] in ("CANCELED", "FILLED") or state == "open" else row["status"].lower()
        return OrderStatusReport(str(row["clientOrderId"]), str(row["orderId"]), state, filled, reason)
    except (KeyError, ArithmeticError) as error:
        raise UnansweredError(f"an answer that cannot be read: {type(error).__name__} {error}") from None


def _execution(row: dict[str, Any]) -> Execution:
    """A trade of myTrades."""
    return Execution(
        trade_id=str(row["id"]),
        price=Decimal(row["price"]),
        qty=Decimal(row["qty"]),
        fee=Decimal(row["commission"]),
        currency=row["commissionAsset"],
        liquidity="maker" if row["isMaker"] else "taker",
        at=int(row["time"]) * MILLI,
    )
