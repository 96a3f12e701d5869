"""What goes wrong between a gateway and its venue, drawn from a seed."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

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
