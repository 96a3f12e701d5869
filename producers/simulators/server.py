"""A venue on loopback: REST routes and websockets of one simulated venue, with faults around both.

A self-signed certificate for 127.0.0.1, made at run time by the openssl program.
"""

import asyncio
import contextlib
import shutil
import ssl
import subprocess
import tempfile
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from aiohttp import WSCloseCode, WSMsgType, web

from producers.simulators.answers import http_date, json_answer, refusal, slowly, truncated
from producers.simulators.connection import Connection
from producers.simulators.faults import BODY_FAULTS, CONNECTION_FAULTS, REFUSAL_FAULTS, FaultKind, FaultPlan
from tapewatch.clock import NANOS, WALL, Clock
from tapewatch.errors import TapewatchError


def self_signed(folder: Path) -> tuple[Path, Path]:
    """Certificate and key as PEM files in `folder`, valid for a day; TapewatchError where openssl is absent."""
    program = shutil.which("openssl")
    if program is None:
        raise TapewatchError("the openssl program is not installed", "Install openssl, or simulate without TLS.")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = [program, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "1", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", str(key), "-out", str(certificate)]
    done = subprocess.run(command, capture_output=True, check=False)  # noqa: S603 - fixed words and our own paths
    if done.returncode != 0:
        raise TapewatchError(f"openssl: {done.stderr.decode(errors='replace')[-300:]}", "Check the openssl program.")
    return certificate, key


def server_context(folder: Path) -> ssl.SSLContext:
    """A server's TLS context with a certificate that no client trusts unless told to."""
    certificate, key = self_signed(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


LOOK_S = 0.02
"""How often connections are looked at."""
LONGEST_ADDRESS = 1 << 17
"""A combined stream's address names up to 1,024 streams."""
MOST_RATE = 1_000_000.0
_TLS = frozenset({FaultKind.TLS_FAILURE})
_SKEW = frozenset({FaultKind.CLOCK_SKEW})

Admit = Callable[[web.Request], web.StreamResponse | None]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Venue(Protocol):
    """What a venue's simulator has to say; the server does the rest."""

    name: str

    def addresses(self, http: str, ws: str) -> dict[str, str]:
        """The venue's settings by name, from `http://127.0.0.1:port` and `ws://127.0.0.1:port`."""
        ...

    def routes(self, server: "SimulatorServer") -> Iterable[web.RouteDef]:
        """Its REST routes, and `server.websocket(path, talker)` for each websocket."""
        ...

    async def run(self, server: "SimulatorServer") -> None:
        """Push messages until cancelled; a venue that is only asked returns."""
        ...

    def sent(self) -> dict[str, Any]:
        """What was made and sent so far by stream, for `/sim/sent`."""
        ...


class WebSocketHandler(Protocol):
    """The venue's side of its websocket connections."""

    async def opened(self, connection: Connection) -> None:
        """A client has connected."""
        ...

    async def received(self, connection: Connection, data: str | bytes) -> None:
        """A client's message."""
        ...

    def closed(self, connection: Connection) -> None:
        """The connection is gone: send it nothing more."""
        ...


@dataclass(frozen=True, slots=True)
class ConnectionRules:
    """What the venue asks of connections.

    ping_s : between its own pings, 0 for none; pong_s : a client silent for that long after one is dropped
    age_s : a connection is closed at this age
    """

    ping_s: float = 20.0
    pong_s: float = 60.0
    age_s: float = 86_400.0


class SimulatorServer:
    """Serves one venue on a free port of 127.0.0.1 between `async with` and its end.

    plan : what goes wrong; connections : open now; opened : connections ever; requests : REST requests by path
    tls : serve https and wss with a self-signed certificate, which lies at `certificate`
    """

    def __init__(
        self,
        venue: Venue,
        plan: FaultPlan | None = None,
        *,
        rules: ConnectionRules | None = None,
        tls: bool = False,
        port: int = 0,
        clock: Clock = WALL,
    ) -> None:
        self.venue = venue
        self.plan = plan or FaultPlan()
        self.connections: list[Connection] = []
        self.opened = 0
        self.requests: dict[str, int] = {}
        self.certificate = Path()
        self._rules = rules or ConnectionRules()
        self._tls = tls
        self._port = port
        self._clock = clock
        self._skew = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._runner: web.AppRunner | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._gone = {"written": 0, "withheld": 0, "repeated": 0}

    def now(self) -> int:
        """The venue's own time, which may be off: UTC ns."""
        return self._clock.now() + self._skew

    def addresses(self) -> dict[str, str]:
        """The venue's settings by name, such as rest and stream."""
        secure = "s" if self._tls else ""
        return self.venue.addresses(f"http{secure}://127.0.0.1:{self._port}", f"ws{secure}://127.0.0.1:{self._port}")

    def websocket(self, path: str, talker: WebSocketHandler, admit: Admit | None = None) -> web.RouteDef:
        """A websocket route. admit : the answer to a client that is not let in, None where it is"""

        async def handler(request: web.Request) -> web.StreamResponse:
            refused = admit(request) if admit else None
            return refused or await self._talk(request, talker)

        return web.get(path, handler)

    async def __aenter__(self) -> "SimulatorServer":
        @web.middleware
        async def around(request: web.Request, handler: Handler) -> web.StreamResponse:
            return await self._around(request, handler)

        application = web.Application(middlewares=[around], client_max_size=1 << 24)
        application.add_routes(
            [web.get("/sim/sent", self._sent), web.post("/sim/rate", self._rate), *self.venue.routes(self)]
        )
        context = None
        if self._tls:
            self._folder = tempfile.TemporaryDirectory(prefix="simulator-")
            context = server_context(Path(self._folder.name))
            context.sni_callback = self._handshake
            self.certificate = Path(self._folder.name) / "certificate.pem"
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.2, max_line_size=LONGEST_ADDRESS)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port, ssl_context=context).start()
        self._port = int(self._runner.addresses[0][1])
        self.plan.start(asyncio.get_running_loop().time)
        self._tasks = [asyncio.create_task(self._watch()), asyncio.create_task(self.venue.run(self))]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        failed = [task for task in self._tasks if task.done() and not task.cancelled() and task.exception()]
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for connection in list(self.connections):
            await connection.close(WSCloseCode.GOING_AWAY, "end of the simulation")
        if self._runner is not None:
            await self._runner.cleanup()
        if self._folder is not None:
            self._folder.cleanup()
        if failed and error is None:
            failed[0].result()

    def report(self) -> dict[str, Any]:
        """What was sent, asked and injected so far: the document at `/sim/sent`."""
        alive = [{name: int(getattr(one, name)) for name in self._gone} for one in self.connections]
        totals = {name: count + sum(one[name] for one in alive) for name, count in self._gone.items()}
        return {
            "venue": self.venue.name,
            **totals,
            "connections": alive,
            "opened": self.opened,
            "requests": self.requests,
            "faults": self.plan.report(),
            "sent": self.venue.sent(),
        }

    async def _rate(self, request: web.Request) -> web.StreamResponse:
        """Change how many messages a second a pushing venue makes: `?value=0` ends them."""
        try:
            value = float(request.query.get("value", ""))
        except ValueError:
            return web.Response(status=400, text="value is a number")
        if not hasattr(self.venue, "rate") or not 0.0 <= value <= MOST_RATE:
            return web.Response(status=400, text="this venue pushes nothing, or not at that rate")
        self.venue.rate = value
        return json_answer({"rate": value})

    async def _sent(self, request: web.Request) -> web.StreamResponse:
        return json_answer(self.report())

    async def _around(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Every request passes here: refusals before the venue's answer, damage after it."""
        if request.path.startswith("/sim/"):
            return await handler(request)
        self.requests[request.path] = self.requests.get(request.path, 0) + 1
        fault = self.plan.take(REFUSAL_FAULTS, request.path_qs)
        answer: web.StreamResponse = refusal(fault) if fault is not None else await handler(request)
        if not isinstance(answer, web.Response):
            return answer
        answer.headers["Date"] = http_date(self.now())
        if fault is None and answer.status == 200:
            fault = self.plan.take(BODY_FAULTS, request.path_qs)
            if fault is not None and fault.kind is FaultKind.TRUNCATED_GZIP:
                return truncated(answer)
            if fault is not None:
                return await slowly(request, answer, fault.seconds)
        return answer

    async def _talk(self, request: web.Request, talker: WebSocketHandler) -> web.StreamResponse:
        """One websocket connection from its opening to its end."""
        socket = web.WebSocketResponse(autoping=False, compress=False, max_msg_size=1 << 22)
        await socket.prepare(request)
        connection = Connection(request, socket, self.plan)
        self.connections.append(connection)
        self.opened += 1
        try:
            await talker.opened(connection)
            async for message in socket:
                if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    await talker.received(connection, message.data)
                elif message.type is WSMsgType.PING and not connection.silent:
                    await socket.pong(message.data)
                elif message.type is WSMsgType.PONG:
                    connection.last_pong = asyncio.get_running_loop().time()
        except ConnectionError:
            connection.cut_off = connection.cut_off or "connection lost"
        finally:
            talker.closed(connection)
            self.connections.remove(connection)
            for name in self._gone:
                self._gone[name] += int(getattr(connection, name))
        return socket

    async def _watch(self) -> None:
        """Age, pings, and the faults of connections and clock."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(LOOK_S)
            skew = self.plan.take(_SKEW)
            if skew is not None:
                self._skew = int(skew.seconds * NANOS)
            for connection in list(self.connections):
                with contextlib.suppress(ConnectionError):
                    await self._look_at(connection, loop.time())

    async def _look_at(self, connection: Connection, now: float) -> None:
        rules = self._rules
        fault = self.plan.take(CONNECTION_FAULTS, connection.where) if connection.alive else None
        if fault is not None and fault.kind is FaultKind.DISCONNECT:
            connection.cut("disconnect")
        elif fault is not None and fault.kind is FaultKind.SILENCE:
            connection.hush(now + fault.seconds if fault.seconds > 0.0 else float("inf"))
        elif fault is not None or (connection.alive and now - connection.opened >= rules.age_s):
            self.plan.injected[FaultKind.AGE_CUT] += fault is None
            await connection.close(WSCloseCode.GOING_AWAY, "connection is too old")
        elif connection.silent and now >= connection.silent_until:
            connection.silent = False
        elif rules.ping_s and now - connection.last_ping >= rules.ping_s and not connection.silent:
            connection.last_ping = now
            await connection.socket.ping()
        elif (
            connection.last_ping - connection.last_pong > 0.0
            and now - connection.last_pong > rules.pong_s + rules.ping_s
        ):
            await connection.close(WSCloseCode.POLICY_VIOLATION, "no pong")

    def _handshake(self, *arguments: object) -> int | None:
        """Refuse a TLS handshake while a fault says so."""
        return _HANDSHAKE_FAILURE if self.plan.take(_TLS) is not None else None


_HANDSHAKE_FAILURE = 40
"""TLS alert handshake_failure (RFC 8446, 6.2)."""
