"""What every request passes and every answer carries: allowed hosts, no foreign origin, security headers."""

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from console.accounts.enter import address_of, secure
from console.refusal import RefusedError
from console.routing import answered
from console.services import Services

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
