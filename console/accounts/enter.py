"""Finding the account of a request, by API token or session cookie, and what a cookie looks like."""

from aiohttp import web

from console.accounts import sessions, tokens
from console.identity import Account, Identify
from console.services import Services
from tapewatch.settings.delivery import ConsoleSettings

_BEARER = "bearer "
_LONGEST = 200


def identifier(services: Services) -> Identify:
    """Identify by what PostgreSQL holds; a token counts before a cookie."""
    settings, now = services.settings.console, services.clock.now

    async def identify(request: web.Request) -> Account | None:
        header = request.headers.get("Authorization", "")
        if header:
            secret = header[len(_BEARER) :].strip() if header.lower().startswith(_BEARER) else ""
            if not secret.startswith("tw_") or len(secret) > _LONGEST:
                return None
            return await services.database.run(lambda session: tokens.find(session, secret, now()))
        cookie = request.cookies.get(cookie_name(settings), "")
        if not cookie or len(cookie) > _LONGEST:
            return None
        return await services.database.run(lambda session: sessions.find(session, cookie, now(), settings.idle_minutes))

    return identify


def secure(settings: ConsoleSettings) -> bool:
    """Whether browsers reach the console by TLS."""
    return bool(settings.tls_cert) or settings.behind_proxy


def cookie_name(settings: ConsoleSettings) -> str:
    """With TLS, a name that browsers accept from this very host alone."""
    return "__Host-tapewatch" if secure(settings) else "tapewatch"


def give_cookie(response: web.StreamResponse, settings: ConsoleSettings, value: str) -> None:
    """Set the session's cookie, or take it away where the value is empty."""
    response.set_cookie(
        cookie_name(settings),
        value,
        max_age=int(settings.session_hours * 3600) if value else 0,
        path="/",
        httponly=True,
        secure=secure(settings),
        samesite="Strict",
    )


def address_of(request: web.Request, settings: ConsoleSettings) -> str:
    """Where a request comes from; behind a proxy, what the proxy says."""
    forwarded = request.headers.getall("X-Forwarded-For", []) if settings.behind_proxy else []
    last = forwarded[-1].rpartition(",")[2].strip()[:64] if forwarded else ""
    return last or request.remote or ""
