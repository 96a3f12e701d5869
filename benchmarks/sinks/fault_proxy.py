"""A proxy before Elasticsearch whose bulk answers fail now and then: 429, 503, some items, cut connections."""

import asyncio
import logging
import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector, web

FAULTS = ("refused", "applied_unsaid", "items_unsaid", "items_unsent", "cut", "cut_short")
"""Before anything is done: 429. Done, but answered 503. Done, but some items answered 429 or 503. Some items not passed
on, and answered so. Done, and the connection closed without an answer, or within it.
"""

_HEADERS = {"x-elastic-product": "Elasticsearch"}


class FaultProxy:
    """Passes requests on to `target`. share : of bulk requests that fail, 0 to 1; changed at any time"""

    def __init__(self, target: str, share: float, seed: int) -> None:
        self.target, self.share = target, share
        self.counts: Counter[str] = Counter()
        self.url = ""
        self._draw = random.Random(seed)  # noqa: S311 - faults are drawn alike each time
        self._session: ClientSession | None = None

    @contextmanager
    def at_work(self) -> Iterator["FaultProxy"]:
        """Listen on a free port, in a thread, for the length of the block."""
        loop = asyncio.new_event_loop()
        runner = loop.run_until_complete(self._start())
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            asyncio.run_coroutine_threadsafe(self._end(runner), loop).result(30)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(30)
            loop.close()

    async def _start(self) -> web.AppRunner:
        self._session = ClientSession(timeout=ClientTimeout(total=60), connector=TCPConnector(force_close=True))
        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/{path:.*}", self._answer)
        # Connections that are cut on purpose are no news.
        quiet = logging.getLogger("tapewatch.fault-proxy")
        quiet.setLevel(logging.CRITICAL)
        runner = web.AppRunner(app, access_log=None, logger=quiet)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return runner

    async def _end(self, runner: web.AppRunner) -> None:
        await runner.cleanup()
        if self._session is not None:
            await self._session.close()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        """One request: passed on, or one of the faults."""
        body = await request.read()
        fault = ""
        if request.path == "/_bulk":
            self.counts["bulk"] += 1
            if self._draw.random() < self.share:
                fault = self._draw.choice(FAULTS)
                self.counts[fault] += 1
        if fault == "refused":
            return _said({"error": {"type": "es_rejected_execution_exception"}, "status": 429}, 429)
        try:
            if fault == "items_unsent":
                return await self._some_unsent(request, body)
            status, content, kind = await self._passed_on(request, body)
        except (ClientError, OSError, TimeoutError):
            return _said({"error": {"type": "no_server"}, "status": 502}, 502)
        return await self._spoilt(fault, request, status, content, kind)

    async def _spoilt(
        self, fault: str, request: web.Request, status: int, content: bytes, kind: str
    ) -> web.StreamResponse:
        """An answer of the server's, as it arrives with this fault."""
        if fault == "applied_unsaid":
            return _said({"error": {"type": "unavailable"}, "status": 503}, 503)
        if fault == "items_unsaid":
            content = self._doubted(content)
        if fault in ("cut", "cut_short"):
            if fault == "cut_short":
                half = web.StreamResponse(status=status, headers=_HEADERS | {"content-length": str(len(content))})
                await half.prepare(request)
                await half.write(content[: len(content) // 2])
            if request.transport is not None:
                request.transport.abort()
            raise ConnectionResetError
        return web.Response(status=status, body=content, headers=_HEADERS | {"content-type": kind})

    async def _passed_on(self, request: web.Request, body: bytes) -> tuple[int, bytes, str]:
        """Status, body and type of the server's answer."""
        kept = {name: value for name, value in request.headers.items() if name.lower() in ("content-type", "accept")}
        if self._session is None:
            raise ClientError("the proxy has ended")
        url = self.target + request.path_qs
        async with self._session.request(request.method, url, data=body, headers=kept) as answer:
            kind = answer.headers.get("content-type", "application/json")
            return answer.status, await answer.read(), kind

    def _doubted(self, content: bytes) -> bytes:
        """A bulk answer of which some items say that they were not done."""
        said = msgspec.json.decode(content)
        for item in said.get("items", ()):
            if self._draw.random() < 0.3:
                (kind,) = item
                item[kind] = self._no()
                said["errors"] = True
        return msgspec.json.encode(said)

    def _no(self) -> dict[str, object]:
        """An item that was not done."""
        return {"status": self._draw.choice((429, 503)), "error": {"type": "busy", "reason": "said by the proxy"}}

    async def _some_unsent(self, request: web.Request, body: bytes) -> web.Response:
        """Pass every other item on; the others are not done, and answered so."""
        lines = body.rstrip(b"\n").split(b"\n")
        pairs = [lines[at : at + 2] for at in range(0, len(lines), 2)]
        passed = b"\n".join(b"\n".join(pair) for pair in pairs[::2]) + b"\n"
        status, content, kind = await self._passed_on(request, passed)
        said = msgspec.json.decode(content)
        if status == 200:
            done = iter(said["items"])
            said["items"] = [next(done) if at % 2 == 0 else {"index": self._no()} for at in range(len(pairs))]
            said["errors"] = True
        return web.Response(status=status, body=msgspec.json.encode(said), headers=_HEADERS | {"content-type": kind})


def _said(document: object, status: int) -> web.Response:
    """An answer of the proxy's own."""
    return web.Response(
        status=status, body=msgspec.json.encode(document), headers=_HEADERS | {"content-type": "application/json"}
    )
