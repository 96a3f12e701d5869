"""A simulated Upbit: the part of its exchange API that places, finds and cancels limit orders, tokens checked."""

import base64
import hashlib
import hmac
import json
from decimal import Decimal
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from benchmarks.venues.account import Account, DuplicateError, VenueOrder
from benchmarks.venues.binance import Faults
from tapewatch.rfc3339 import to_rfc3339

_STATES = {"open": "wait", "filled": "done", "cancelled": "cancel"}
_SIDES = {"bid": "buy", "ask": "sell"}


class UpbitSimulator:
    """The simulated venue. tick : price step it accepts"""

    def __init__(self, key: str, secret: str, account: Account, faults: Faults, tick: Decimal = Decimal(1000)) -> None:
        self._key, self._secret, self.account, self.faults, self._tick = key, secret, account, faults, tick
        self.refused: list[str] = []
        self._nonces: set[str] = set()

    def app(self) -> web.Application:
        """The server."""
        app = web.Application()
        app.router.add_post("/v1/orders", self._place)
        app.router.add_get("/v1/order", self._find)
        app.router.add_delete("/v1/order", self._cancel)
        app.router.add_get("/v1/orders/open", self._open)
        app.router.add_get("/v1/accounts", self._accounts)
        return app

    async def _place(self, request: web.Request) -> web.StreamResponse:
        fields = json.loads(await request.text())
        denied = self._denied(request, "&".join(f"{name}={value}" for name, value in fields.items()))
        return denied or await self.faults.around(
            request, lambda: self._accept(fields), True, lambda: self.account.use_up(fields["identifier"])
        )

    def _accept(self, fields: dict[str, str]) -> web.Response:
        """The venue's answer; an identifier is used up by every request, also by one that fails."""
        refusal = self._refusal(fields)
        if refusal:
            self.account.use_up(fields["identifier"])
            return self._error(400, refusal)
        price, qty = Decimal(fields["price"]), Decimal(fields["volume"])
        try:
            order = self.account.place(fields["identifier"], fields["market"], _SIDES[fields["side"]], price, qty)
        except DuplicateError:
            return self._error(400, "create_bid_error")
        return web.json_response(_row(order), status=201)

    def _refusal(self, fields: dict[str, str]) -> str:
        """Why an order is none; empty where it is one."""
        price, qty = Decimal(fields["price"]), Decimal(fields["volume"])
        if fields["ord_type"] != "limit" or fields["side"] not in _SIDES:
            return "validation_error"
        if price % self._tick:
            return "invalid_price_bid"
        return "under_min_total_bid" if price * qty < 5000 else ""

    async def _find(self, request: web.Request) -> web.StreamResponse:
        def act() -> web.Response:
            order = self.account.find(request.query["identifier"])
            return self._error(404, "order_not_found") if order is None else web.json_response(_row(order, True))

        return self._denied(request, unquote(request.rel_url.raw_query_string)) or await self.faults.around(
            request, act, places=False
        )

    async def _cancel(self, request: web.Request) -> web.StreamResponse:
        def act() -> web.Response:
            order = self.account.cancel(request.query["identifier"])
            return self._error(404, "order_not_found") if order is None else web.json_response(_row(order))

        return self._denied(request, unquote(request.rel_url.raw_query_string)) or await self.faults.around(
            request, act, places=False
        )

    async def _open(self, request: web.Request) -> web.StreamResponse:
        def act() -> web.Response:
            size, page = int(request.query["limit"]), int(request.query["page"])
            rows = [_row(order) for order in self.account.open(request.query["market"])]
            return web.json_response(rows[(page - 1) * size : page * size])

        return self._denied(request, unquote(request.rel_url.raw_query_string)) or await self.faults.around(
            request, act, places=False
        )

    async def _accounts(self, request: web.Request) -> web.StreamResponse:
        rows = [
            {"currency": name.partition("-")[2], "balance": f"{qty}", "locked": "0"}
            for name, qty in self.account.held.items()
        ]
        return self._denied(request, "") or web.json_response(rows)

    def _denied(self, request: web.Request, query: str) -> web.Response | None:
        """Why a token is not good for a request; None where it is."""
        try:
            head, body, signature = request.headers["Authorization"].removeprefix("Bearer ").split(".")
            claims, header = _decoded(body), _decoded(head)
            wanted = hmac.new(self._secret.encode(), f"{head}.{body}".encode(), hashlib.sha512).digest()
            good = header["alg"] == "HS512" and hmac.compare_digest(wanted, _unpadded(signature))
            fresh = claims["nonce"] not in self._nonces
            whole = claims.get("query_hash", "") == (hashlib.sha512(query.encode()).hexdigest() if query else "")
        except (KeyError, ValueError):
            return self._error(401, "invalid_query_payload")
        if not good or claims["access_key"] != self._key:
            return self._error(401, "jwt_verification")
        if not fresh:
            return self._error(401, "nonce_used")
        self._nonces.add(claims["nonce"])
        return None if whole else self._error(401, "invalid_query_payload")

    def _error(self, status: int, name: str) -> web.Response:
        self.refused.append(name)
        return web.json_response({"error": {"name": name, "message": name.replace("_", " ")}}, status=status)


def _unpadded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _decoded(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_unpadded(text))
    return found


def _row(order: VenueOrder, with_trades: bool = False) -> dict[str, Any]:
    """An order as Upbit shows it; times are to the second in Korea's zone."""
    row: dict[str, Any] = {
        "uuid": f"venue-{order.number}",
        "identifier": order.client_id,
        "market": order.symbol,
        "side": "bid" if order.side == "buy" else "ask",
        "ord_type": "limit",
        "price": f"{order.price}",
        "state": _STATES[order.state],
        "volume": f"{order.qty}",
        "executed_volume": f"{order.filled}",
        "paid_fee": f"{sum((trade.fee for trade in order.trades), Decimal(0))}",
        "trades_count": len(order.trades),
    }
    if with_trades:
        row["trades"] = [
            {
                "uuid": f"trade-{trade.number:09d}",
                "price": f"{trade.price}",
                "volume": f"{trade.qty}",
                "funds": f"{trade.price * trade.qty}",
                "side": row["side"],
                "created_at": to_rfc3339(trade.at)[:19] + "+00:00",
            }
            for trade in order.trades
        ]
    return row
