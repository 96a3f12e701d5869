"""A simulated Binance spot exchange: limit orders, trades and the account, signatures and the clock checked."""

import hashlib
import hmac
from decimal import Decimal
from typing import Any

from aiohttp import web

from benchmarks.venues.account import Account, DuplicateError, Trade, VenueOrder
from benchmarks.venues.faults import Faults
from tapewatch.clock import WALL

_STATES = {"filled": "FILLED", "cancelled": "CANCELED"}
MILLI = 1_000_000


class BinanceSimulator:
    """The simulated venue.

    tick : price step; skew_ms : how far its clock is ahead; lag : how many trades of an order it does not list yet
    """

    def __init__(
        self,
        key: str,
        secret: str,
        account: Account,
        faults: Faults,
        tick: Decimal = Decimal("0.01"),
        skew_ms: int = 0,
    ) -> None:
        self._key, self._secret, self.account, self.faults, self._tick = key, secret, account, faults, tick
        self.skew_ms, self.lag = skew_ms, 0
        self.refused: list[int] = []

    def app(self) -> web.Application:
        """The server."""
        app = web.Application()
        app.router.add_get("/api/v3/time", self._time)
        app.router.add_post("/api/v3/order", self._place)
        app.router.add_get("/api/v3/order", self._find)
        app.router.add_delete("/api/v3/order", self._cancel)
        app.router.add_get("/api/v3/openOrders", self._open)
        app.router.add_get("/api/v3/myTrades", self._trades)
        app.router.add_get("/api/v3/account", self._account)
        return app

    def _now_ms(self) -> int:
        return WALL.now() // MILLI + self.skew_ms

    async def _time(self, request: web.Request) -> web.Response:
        return web.json_response({"serverTime": self._now_ms()})

    async def _place(self, request: web.Request) -> web.StreamResponse:
        return self._denied(request) or await self.faults.around(
            request, lambda: self._denied(request) or self._accept(dict(request.query)), places=True
        )

    def _accept(self, fields: dict[str, str]) -> web.Response:
        """The matching engine's answer; how old the request is was looked at just before."""
        if Decimal(fields["price"]) % self._tick:
            return self._error(-1013, "Filter failure: PRICE_FILTER")
        try:
            order = self.account.place(
                fields["newClientOrderId"],
                fields["symbol"],
                fields["side"].lower(),
                Decimal(fields["price"]),
                Decimal(fields["quantity"]),
            )
        except DuplicateError:
            return self._error(-2010, "Duplicate order sent.")
        return web.json_response(_row(order))

    async def _find(self, request: web.Request) -> web.StreamResponse:
        def act() -> web.Response:
            order = self.account.find(request.query["origClientOrderId"])
            return self._error(-2013, "Order does not exist.") if order is None else web.json_response(_row(order))

        return self._denied(request) or await self.faults.around(request, act, places=False)

    async def _cancel(self, request: web.Request) -> web.StreamResponse:
        def act() -> web.Response:
            order = self.account.cancel(request.query["origClientOrderId"])
            return self._error(-2011, "Unknown order sent.") if order is None else web.json_response(_row(order))

        return self._denied(request) or await self.faults.around(request, act, places=False)

    async def _open(self, request: web.Request) -> web.StreamResponse:
        def act() -> web.Response:
            return web.json_response([_row(order) for order in self.account.open(request.query["symbol"])])

        return self._denied(request) or await self.faults.around(request, act, places=False)

    async def _trades(self, request: web.Request) -> web.StreamResponse:
        def act() -> web.Response:
            order = self.account.orders[int(request.query["orderId"])]
            shown = order.trades[: max(0, len(order.trades) - self.lag)]
            rows = [_trade(trade) for trade in shown if trade.number >= int(request.query.get("fromId", 0))]
            return web.json_response(rows[: int(request.query["limit"])])

        return self._denied(request) or await self.faults.around(request, act, places=False)

    async def _account(self, request: web.Request) -> web.StreamResponse:
        rows = [{"asset": name, "free": f"{qty}", "locked": "0"} for name, qty in self.account.held.items()]
        return self._denied(request) or web.json_response({"balances": rows})

    def _denied(self, request: web.Request) -> web.Response | None:
        """Why a request is not even looked at; None where it is."""
        signed, _, signature = request.rel_url.raw_query_string.rpartition("&signature=")
        wanted = hmac.new(self._secret.encode(), signed.encode(), hashlib.sha256).hexdigest()
        if request.headers.get("X-MBX-APIKEY") != self._key:
            return self._error(-2015, "Invalid API-key, IP, or permissions for action.")
        if not hmac.compare_digest(wanted, signature):
            return self._error(-1022, "Signature for this request is not valid.")
        sent, now = int(request.query["timestamp"]), self._now_ms()
        if sent >= now + 1000:
            return self._error(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
        if now - sent > int(request.query.get("recvWindow", 5000)):
            return self._error(-1021, "Timestamp for this request is outside of the recvWindow.")
        return None

    def _error(self, code: int, text: str) -> web.Response:
        self.refused.append(code)
        return web.json_response({"code": code, "msg": text}, status=400)


def _row(order: VenueOrder) -> dict[str, Any]:
    """An order as Binance shows it."""
    partly = "PARTIALLY_FILLED" if order.trades else "NEW"
    return {
        "symbol": order.symbol,
        "orderId": order.number,
        "clientOrderId": order.client_id,
        "price": f"{order.price:.8f}",
        "origQty": f"{order.qty:.8f}",
        "executedQty": f"{order.filled:.8f}",
        "status": _STATES.get(order.state, partly),
        "side": order.side.upper(),
    }


def _trade(trade: Trade) -> dict[str, Any]:
    """A trade as Binance shows it."""
    return {
        "id": trade.number,
        "price": f"{trade.price:.8f}",
        "qty": f"{trade.qty:.8f}",
        "commission": f"{trade.fee:.8f}",
        "commissionAsset": "USDT",
        "time": trade.at // MILLI,
        "isMaker": True,
    }
