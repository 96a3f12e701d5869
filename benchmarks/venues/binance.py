"""A simulated Binance spot exchange: limit orders, trades and the account, signatures and the clock checked.

What goes wrong between a gateway and its venue, drawn from a seed.
"""

import asyncio
import hashlib
import hmac
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from typing import Any

from aiohttp import web

from benchmarks.venues.account import Account, DuplicateError, Trade, VenueOrder
from tapewatch.clock import WALL

Act = Callable[[], web.Response]

PLACING = {
    "lost before": 0.05,  # the connection dies, the order was never seen
    "lost after": 0.08,  # the connection dies, the order stands
    "silent after": 0.05,  # the order stands, no answer comes before the client gives up
    "late": 0.05,  # the order arrives only after the client has given up
    "error before": 0.04,  # HTTP 500, nothing done
    "error after": 0.04,  # HTTP 500, the order stands
    "limited": 0.04,  # HTTP 429
}
ASKING = {"lost before": 0.03, "error before": 0.03, "limited": 0.02}


class Faults:
    """Draws a fault for each request and carries it out. patience_s : when the client gives up"""

    def __init__(
        self,
        seed: int = 0,
        placing: Mapping[str, float] | None = None,
        asking: Mapping[str, float] | None = None,
        patience_s: float = 0.3,
    ) -> None:
        self._rng = random.Random(seed)  # noqa: S311 - no secret is drawn
        self._placing, self._asking, self._patience_s = placing or {}, asking or {}, patience_s
        self.happened: Counter[str] = Counter()
        self.next: list[str] = []
        """Faults of the next requests that place an order, before any is drawn; empty text for none."""

    async def around(
        self, request: web.Request, act: Act, places: bool, seen: Callable[[], None] = lambda: None
    ) -> web.StreamResponse:
        """Answer a request by `act`, or fail at it. seen : called where it came in, and nothing more was done"""
        name = self._draw(places)
        if not name:
            return act()
        self.happened[name] += 1
        if name == "error before":
            seen()
        return await self._outcomes()[name](request, act)

    def _draw(self, places: bool) -> str:
        if places and self.next:
            return self.next.pop(0)
        rates = self._placing if places else self._asking
        at = self._rng.random()
        for name, rate in rates.items():
            at -= rate
            if at < 0:
                return name
        return ""

    def _outcomes(self) -> dict[str, Callable[[web.Request, Act], Awaitable[web.StreamResponse]]]:
        return {
            "lost before": _lost_before,
            "lost after": _lost_after,
            "silent after": self._silent_after,
            "late": self._late,
            "error before": _error_before,
            "error after": _error_after,
            "limited": _limited,
        }

    async def _silent_after(self, request: web.Request, act: Act) -> web.StreamResponse:
        act()
        await asyncio.sleep(self._patience_s * 2)
        return await _lost_before(request, act)

    async def _late(self, request: web.Request, act: Act) -> web.StreamResponse:
        await asyncio.shield(asyncio.ensure_future(self._delayed(act)))
        return await _lost_before(request, act)

    async def _delayed(self, act: Act) -> None:
        await asyncio.sleep(self._patience_s * self._rng.uniform(1.0, 2.2))
        act()


async def _lost_before(request: web.Request, act: Act) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


async def _lost_after(request: web.Request, act: Act) -> web.StreamResponse:
    act()
    return await _lost_before(request, act)


async def _error_before(request: web.Request, act: Act) -> web.StreamResponse:
    return web.Response(status=500, text="internal error")


async def _error_after(request: web.Request, act: Act) -> web.StreamResponse:
    act()
    return web.Response(status=500, text="internal error")


async def _limited(request: web.Request, act: Act) -> web.StreamResponse:
    return web.Response(status=429, headers={"Retry-After": "0.1"}, text="{}")


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
