"""Upbit's exchange API over REST: limit orders, their executions, accounts.

Signed with a JSON Web Token (HMAC-SHA512) that carries the SHA-512 of the query. `identifier` is the client order id:
one value is taken once for good, whatever became of the request.
"""

import base64
import hashlib
import hmac
import uuid
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import msgspec

from sinks.orders.rest import Answer, RestClient
from sinks.orders.secrets import Keys
from sinks.orders.venue import Execution, OrderStatusReport, RefusedError, Ticket, UnansweredError, VenueState, plain
from tapewatch.clock import NANOS

Pairs = Sequence[tuple[str, str]]

_STATES: dict[str, VenueState] = {"wait": "open", "watch": "open", "done": "filled", "cancel": "cancelled"}
_PAGE = 100


class Upbit:
    """One account at Upbit."""

    name = "upbit"

    def __init__(self, address: str, keys: Keys, timeout_s: float = 5.0) -> None:
        self._rest, self._keys = RestClient(address, timeout_s), keys
        # Sent again, an identifier that was accepted is refused: waiting only spares needless requests.
        self.in_flight_s = timeout_s

    def symbol(self, instrument: str) -> str:
        """KRW-BTC of KRW-BTC.UPBIT."""
        symbol, _, venue = instrument.rpartition(".")
        if venue != "UPBIT" or "-" not in symbol:
            raise ValueError(f"{instrument} is no market of Upbit")
        return symbol

    async def open(self) -> None:
        """Connect."""
        await self._rest.open()

    async def close(self) -> None:
        """Disconnect."""
        await self._rest.close()

    async def place(self, ticket: Ticket) -> OrderStatusReport:
        """POST /v1/orders."""
        side = "bid" if ticket.side == "buy" else "ask"
        fields = [
            ("market", ticket.symbol),
            ("side", side),
            ("volume", plain(ticket.qty)),
            ("price", plain(ticket.price)),
            ("ord_type", "limit"),
            ("identifier", ticket.client_id),
        ]
        return _standing(ticket, _accepted(await self._request("POST", "/v1/orders", fields)))

    async def cancel(self, ticket: Ticket) -> None:
        """DELETE /v1/order."""
        _accepted(await self._request("DELETE", "/v1/order", [("identifier", ticket.client_id)]))

    async def find(self, ticket: Ticket) -> OrderStatusReport | None:
        """GET /v1/order, which lists the order's trades."""
        answer = await self._request("GET", "/v1/order", [("identifier", ticket.client_id)])
        if answer.status == 404 or (not answer.ok and "not_found" in _error(answer)):
            return None
        return _standing(ticket, _accepted(answer))

    async def open_orders(self, symbol: str) -> list[OrderStatusReport]:
        """GET /v1/orders/open, page by page."""
        found: list[OrderStatusReport] = []
        page = 1
        while True:
            fields = [("market", symbol), ("page", str(page)), ("limit", str(_PAGE)), ("order_by", "asc")]
            rows = _accepted(await self._request("GET", "/v1/orders/open", fields))
            found += [_listed(row) for row in rows]
            if len(rows) < _PAGE:
                return found
            page += 1

    async def balances(self) -> dict[str, Decimal]:
        """GET /v1/accounts."""
        rows = _accepted(await self._request("GET", "/v1/accounts", []))
        return {row["currency"]: Decimal(row["balance"]) + Decimal(row["locked"]) for row in rows}

    async def _request(self, method: str, path: str, fields: Pairs) -> Answer:
        """A signed request: fields in the body of a POST, else in the query."""
        headers = {"Authorization": f"Bearer {token(self._keys, fields)}"}
        if method == "POST":
            headers["Content-Type"] = "application/json; charset=utf-8"
            answer = await self._rest.request(method, path, headers, msgspec.json.encode(dict(fields)))
        else:
            query = "&".join(f"{name}={quote(value, safe='')}" for name, value in fields)
            answer = await self._rest.request(method, f"{path}?{query}" if query else path, headers)
        if "sec=0" in answer.headers.get("Remaining-Req", "").replace(" ", "").split(";"):
            self._rest.hold(1.0)
        return answer


def token(keys: Keys, fields: Pairs, nonce: str = "") -> str:
    """The JSON Web Token of a request. fields : as they stand in the query or the body, hashed before URL encoding"""
    claims = {"access_key": keys.access, "nonce": nonce or str(uuid.uuid4())}
    if fields:
        query = "&".join(f"{name}={value}" for name, value in fields)
        claims |= {"query_hash": hashlib.sha512(query.encode()).hexdigest(), "query_hash_alg": "SHA512"}
    signed = b".".join(_base64(msgspec.json.encode(part)) for part in ({"alg": "HS512", "typ": "JWT"}, claims))
    signature = hmac.new(keys.secret.encode(), signed, hashlib.sha512).digest()
    return b".".join((signed, _base64(signature))).decode()


def _base64(data: bytes) -> bytes:
    """URL-safe base64 without padding (RFC 7515, appendix C)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _accepted(answer: Answer) -> Any:
    """The body of an answer that says yes; RefusedError with the venue's words otherwise."""
    if answer.ok:
        return answer.body
    reason = _error(answer)
    raise RefusedError(
        f"Upbit: {reason}", any(word in reason.lower() for word in ("identifier", "duplicat", "already"))
    )


def _error(answer: Answer) -> str:
    """Name and text of an error."""
    error = answer.body.get("error", {}) if isinstance(answer.body, dict) else {}
    told = " ".join(str(error[key]) for key in ("name", "message") if error.get(key))
    return told or f"HTTP {answer.status}"


def _listed(row: dict[str, Any]) -> OrderStatusReport:
    """An order of a list."""
    try:
        filled = Decimal(row["executed_volume"])
        return OrderStatusReport(row.get("identifier") or "", row["uuid"], _STATES[row["state"]], filled)
    except (KeyError, ArithmeticError) as error:
        raise UnansweredError(f"an answer that cannot be read: {type(error).__name__} {error}") from None


def _standing(ticket: Ticket, row: dict[str, Any]) -> OrderStatusReport:
    """An order with its trades. A new order's answer shows none: it counts as open until it is asked for."""
    found = _listed(row)
    try:
        trades = sorted(row.get("trades") or (), key=lambda each: (each["created_at"], each["uuid"]))
        executions = tuple(
            Execution(
                trade_id=each["uuid"],
                price=Decimal(each["price"]),
                qty=Decimal(each["volume"]),
                fee=None,
                currency=ticket.symbol.partition("-")[0],
                liquidity="",
                at=int(datetime.fromisoformat(each["created_at"]).timestamp()) * NANOS,
            )
            for each in trades
        )
        fees = Decimal(row.get("paid_fee") or "0")
    except (KeyError, ValueError, ArithmeticError) as error:
        raise UnansweredError(f"an answer that cannot be read: {type(error).__name__} {error}") from None
    return OrderStatusReport(ticket.client_id, found.venue_order_id, found.state, found.filled, "", executions, fees)
