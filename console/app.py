"""The aiohttp application: the API's routes behind one door, and the pages' files.

The pages' files: scripts, styles, pictures and catalogues, and nothing else that lies beside them.

What every request passes and every answer carries: allowed hosts, no foreign origin, security headers.
"""

import asyncio
import hmac
import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import sqlalchemy as sa
from aiohttp import web

from console import watching
from console.accounts.enter import address_of, secure
from console.identity import Account, Identify
from console.refusal import RefusedError
from console.routing import Call, EmptyQuery, Route, answered
from console.services import Part, Services, StreamingPart
from tapewatch import logs
from tapewatch.errors import TapewatchError
from tapewatch.proof import audit

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
ADDRESS_FACTOR = 5
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; connect-src 'self'; img-src 'self' data:; object-src 'none'; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


def guard(services: Services) -> Any:
    """The middleware that looks at each request first."""
    settings = services.settings.console
    hosts = LOOPBACK | {settings.host.lower()} | {name.lower() for name in settings.allowed_hosts}

    @web.middleware
    async def look(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            _check_host(request, hosts)
            _check_origin(request)
            if request.path.startswith("/api/"):
                caller = f"address {address_of(request, settings)}"
                services.rates.take(caller, ADDRESS_FACTOR * settings.requests_per_minute)
            return await handler(request)
        except RefusedError as refused:
            return answered(refused.status, {"error": refused.reason, "next": refused.hint})

    return look


def dress(services: Services) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """Put the security headers on an answer before it leaves."""
    tls = secure(services.settings.console)

    async def headers(request: web.Request, response: web.StreamResponse) -> None:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        if request.path.startswith("/api/"):
            response.headers.setdefault("Cache-Control", "no-store")
        if tls:
            response.headers["Strict-Transport-Security"] = "max-age=31536000"
        response.headers.pop("Server", None)

    return headers


def _check_host(request: web.Request, hosts: frozenset[str]) -> None:
    """The Host header names this console: a foreign name that resolves to it (DNS rebinding) gets nothing."""
    named = request.headers.getall("Host", [])
    try:
        host = urlsplit(f"//{named[0]}").hostname if len(named) == 1 else None
    except ValueError:
        host = None
    if host is None or host.lower() not in hosts:
        raise RefusedError(421, "this console does not answer to that name", "Add it to console.allowed_hosts.")


def _check_origin(request: web.Request) -> None:
    """No other site's page may change anything, nor open a WebSocket. Programs send neither header."""
    if request.method in SAFE and "Upgrade" not in request.headers:
        return
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        raise RefusedError(403, "another site's page asks for this")
    origin = request.headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc.lower() != request.headers["Host"].lower():
        raise RefusedError(403, "another site's page asks for this")


WEB = Path(__file__).with_name("web")

_NAME = re.compile(r"(?:[A-Za-z0-9_-]+/)*[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.([a-z0-9]+)")
_TYPES = {
    "js": "text/javascript",
    "css": "text/css",
    "svg": "image/svg+xml",
    "png": "image/png",
    "woff2": "font/woff2",
    "json": "application/json",
}
_CATALOGUES = "i18n/"
_WITHIN = ("node_modules/",)


def found(name: str, root: Path = WEB) -> Path | None:
    """The file of a name below /static/; None for what is not served: other kinds, links, what lies outside."""
    match = _NAME.fullmatch(name)
    if match is None or match[1] not in _TYPES or name.startswith(_WITHIN) or name.endswith(".config.js"):
        return None
    if match[1] == "json" and not name.startswith(_CATALOGUES):
        return None
    path = root / name
    return path if path.is_file() and path.resolve() == root.resolve() / name else None


async def static(request: web.Request) -> web.StreamResponse:
    """A file, to be asked for again each time (an unchanged one answers 304)."""
    path = found(request.match_info["name"])
    if path is None:
        raise web.HTTPNotFound(text="there is no such file")
    kind = _TYPES[path.suffix[1:]]
    return web.FileResponse(path, headers={"Cache-Control": "no-cache", "Content-Type": kind})


async def page(request: web.Request) -> web.StreamResponse:
    """The one page that draws all others."""
    return web.FileResponse(WEB / "index.html", headers={"Cache-Control": "no-cache"})


MAX_BODY = 1024 * 1024
LONGEST_ID = 200
STREAMS = frozenset({"text/event-stream", "websocket"})
NOBODY = Account("", "viewer", (), (), ())

_log = logs.get("console")


def make_app(
    services: Services, identify: Identify, routes: Sequence[Route], parts: Mapping[str, Part] | None = None
) -> web.Application:
    """The application over services whose parts it starts and ends.

    identify : finds the account of a request; routes : of the API
    """
    middlewares = [watching.counting(services.monitor, services.streams), guard(services)]
    app = web.Application(client_max_size=MAX_BODY, middlewares=middlewares)
    app.on_response_prepare.append(dress(services))
    app.on_shutdown.append(partial(_end_streams, services=services))
    app.cleanup_ctx.append(partial(_parts, services=services, parts=parts or {}))
    app.on_shutdown.append(partial(_hang_up, services))
    for route in routes:
        app.router.add_route(route.method, route.path, _door(route, services, identify))
    app.router.add_route("*", "/api/{rest:.*}", _no_such_route)
    app.router.add_get("/static/{name:.*}", static)
    app.router.add_get("/{page:.*}", page)
    return app


async def _parts(app: web.Application, services: Services, parts: Mapping[str, Part]) -> AsyncIterator[None]:
    async with services.running(parts):
        yield


async def _hang_up(services: Services, _: web.Application) -> None:
    """End the open streams, so that the server need not wait for them."""
    for part in services.parts.values():
        if isinstance(part, StreamingPart):
            part.hang_up()


def _door(route: Route, services: Services, identify: Identify) -> Callable[[web.Request], Any]:
    """What aiohttp calls: the account, its rights, the parameters, the handler, the audit log, the answer."""

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            account = await identify(request) or NOBODY
            if account.name:
                services.rates.take(account.name, services.settings.console.requests_per_minute)
            await _check(route, account, request, services)
            query, path = _query(route, request), _path(request)
            call = Call(services, account, path, query, await _body(route, request, services), request)
            answer = await _handled(route, call)
            if route.audit:
                await record(services, call.account, route.audit, " ".join(call.path.values()))
            return answer if isinstance(answer, web.StreamResponse) else answered(200, answer)
        except TapewatchError as error:
            return answered(503, {"error": error.message, "next": error.hint})
        except sa.exc.OperationalError as error:
            _log.warning("database", problem=" ".join(str(error.orig).split())[:200])
            return answered(503, {"error": "the database does not answer", "next": "Try again in a moment."})
        except (RefusedError, web.HTTPException, asyncio.CancelledError):
            raise
        except ConnectionError:
            # The client has gone: nobody reads this answer, and nothing is wrong here.
            return web.Response(status=400)
        except Exception as error:
            number = secrets.token_hex(4)
            _log.error("a call failed", number=number, path=route.path, error=repr(error)[:500])
            return answered(500, {"error": f"something went wrong (number {number})", "next": "See the console's log."})

    return handle


async def record(
    services: Services,
    account: Account,
    action: str,
    subject: str,
    why: str = "",
    details: Mapping[str, Any] | None = None,
    **more: Any,
) -> None:
    """Append an act to the audit log, in a thread. details, more : anything JSON can hold"""
    path, told = audit.folder(services.settings.data_path), {**(details or {}), **more}
    act = partial(audit.append, path, action=action, subject=subject, why=why, details=told, who=account.name)
    await asyncio.to_thread(act)


async def _handled(route: Route, call: Call) -> Any:
    """The handler's answer; a stream is counted while it is open, and its account's rights were looked at before."""
    if route.media not in STREAMS:
        return await route.handler(call)
    with call.services.streams.one(call.account.name, call.services.settings.console.streams_per_account):
        return await route.handler(call)


async def _check(route: Route, account: Account, request: web.Request, services: Services) -> None:
    """RefusedError where the account may not call the route; the audit log keeps what it was not allowed to change."""
    try:
        _check_rights(route, account, request)
    except RefusedError as refused:
        if account.name and request.method not in SAFE:
            told = {"address": address_of(request, services.settings.console), "token": account.by_token}
            await record(services, account, "refused", f"{route.method} {route.path}", refused.reason, told)
        raise


def _check_rights(route: Route, account: Account, request: web.Request) -> None:
    """RefusedError where the account may not call the route."""
    if route.role is None:
        return
    if not account.name:
        raise RefusedError(401, "you are not logged in", "Log in.")
    if request.method not in SAFE and account.proof:
        given = request.headers.get("X-CSRF-Token", "").encode()
        if not hmac.compare_digest(given, account.proof.encode()):
            raise RefusedError(403, "the CSRF proof is missing or old", "Load the page anew.")
    if not account.is_at_least(route.role):
        raise RefusedError(403, f"this takes the role {route.role}", "Ask an administrator.")
    if not account.sees_page(route.page):
        raise RefusedError(403, "this page is not part of your seat", "Ask an administrator.")
    if account.by_token and route.person:
        raise RefusedError(403, "a person must do this, not a token", "Log in.")
    if route.needs_scope not in account.scopes:
        raise RefusedError(403, f"the token lacks the scope {route.needs_scope}", "Use another token.")


def _path(request: web.Request) -> dict[str, str]:
    """The path's parameters; RefusedError where one can be no id."""
    path = dict(request.match_info)
    if any("\x00" in value or len(value) > LONGEST_ID for value in path.values()):
        raise RefusedError(404, "there is nothing of that name")
    return path


def _query(route: Route, request: web.Request) -> Any:
    """The query parameters as the route's struct; text becomes what the fields want."""
    tree: dict[str, Any] = {}
    many = {field.name for field in msgspec.structs.fields(route.query) if "tuple" in str(field.type)}
    for name in request.query:
        if any("\x00" in value for value in request.query.getall(name)):
            raise RefusedError(422, "parameters: no text holds NUL")
        tree[name] = request.query.getall(name) if name in many else request.query[name]
    try:
        return (
            msgspec.convert(tree, route.query, strict=False) if route.query is not EmptyQuery or tree else EmptyQuery()
        )
    except msgspec.ValidationError as error:
        raise RefusedError(422, f"parameters: {error}") from error


async def _body(route: Route, request: web.Request, services: Services) -> Any:
    """The body as the route's struct; what comes too slowly or is too large is refused."""
    if route.body is None:
        return None
    if request.content_type != "application/json":
        raise RefusedError(415, "the body must be application/json")
    try:
        async with asyncio.timeout(services.settings.console.request_timeout_s):
            body = await request.read()
    except TimeoutError:
        raise RefusedError(408, "the body came too slowly") from None
    except web.HTTPRequestEntityTooLarge:
        raise RefusedError(413, f"a body has at most {MAX_BODY} bytes") from None
    if b"\\u0000" in body:
        raise RefusedError(422, "body: no text holds NUL")
    try:
        return msgspec.json.decode(body, type=route.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RefusedError(422, f"body: {error}") from error


async def _no_such_route(request: web.Request) -> web.StreamResponse:
    """404, or 405 where the path is an operation's with another method."""
    methods: set[str] = set()
    for resource in request.app.router.resources():
        if resource.canonical.startswith("/api/"):
            methods |= (await resource.resolve(request))[1]
    methods.discard("*")
    if methods:
        answer = answered(405, {"error": "the operation does not take that method", "next": ""})
        answer.headers["Allow"] = ", ".join(sorted(methods))
        return answer
    return answered(404, {"error": "there is no such operation", "next": "See /api/v1/openapi.json."})


async def _end_streams(app: web.Application, services: Services) -> None:
    services.streams.end()
