"""Logging in at the operator's identity provider: there and back."""

import hashlib
import hmac
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import msgspec
import sqlalchemy as sa
from aiohttp import web
from msgspec import Meta

from console.accounts import oidc, sessions, store
from console.accounts.enter import give_cookie, secure
from console.api.session import opened
from console.app import record
from console.identity import Account
from console.refusal import RefusedError
from console.routing import Call, Route
from console.services import Services
from tapewatch import logs
from tapewatch.clock import NANOS
from tapewatch.errors import TapewatchError
from tapewatch.security.guarded_http import GuardedHttpClient

COOKIE = "tapewatch-oidc"
LONGEST_NS = 600 * NANOS
_PLAIN = ("http://127.0.0.1", "http://localhost")

_log = logs.get("console")


class Answer(msgspec.Struct, frozen=True):
    """What the provider sends the browser back with."""

    state: Annotated[str, Meta(max_length=200, pattern="^[A-Za-z0-9_-]*$")] = ""
    code: Annotated[str, Meta(max_length=2000, pattern="^[\\x21-\\x7e]*$")] = ""
    error: Annotated[str, Meta(max_length=100)] = ""


async def begun(call: Call) -> web.Response:
    """Send the browser to the provider; what must come back unchanged is kept, and bound to this browser."""
    begun = await _provider(call).begin()
    now = call.services.clock.now()

    def work(session: sa.Connection) -> None:
        session.execute(sa.text("DELETE FROM oidc_logins WHERE created_ns < :old"), {"old": now - LONGEST_NS})
        session.execute(
            sa.text("INSERT INTO oidc_logins VALUES (:state, :nonce, :verifier, :now)"),
            {"state": sessions.digest(begun.state), "nonce": begun.nonce, "verifier": begun.verifier, "now": now},
        )

    await call.services.database.run(work)
    response = _sent(begun.url)
    _bind(response, call.services, begun.state)
    return response


async def returned(call: Call) -> web.Response:
    """The browser is back. Whatever happens it goes to the console's first page, and nowhere that an address names."""
    provider, answer = _provider(call), call.query
    bound = call.request.cookies.get(COOKIE, "")
    try:
        if not answer.code or not bound or not hmac.compare_digest(bound.encode(), answer.state.encode()):
            raise oidc.OidcError(f"came back without its state or code ({answer.error or 'no error said'})")
        nonce, verifier = await _taken(call, answer.state)
        identity = await provider.finish(answer.code, nonce, verifier)
        response = await _entered(call, identity)
    except TapewatchError as error:
        _log.warning("login at the provider", problem=error.message[:300])
        response = _sent("/?login=refused")
    _bind(response, call.services, "")
    return response


async def _taken(call: Call, state: str) -> tuple[str, str]:
    """Nonce and verifier of a login that was begun here; each can be taken once."""
    now = call.services.clock.now()
    statement = "DELETE FROM oidc_logins WHERE state = :state RETURNING nonce, verifier, created_ns"

    def work(session: sa.Connection) -> Any:
        return session.execute(sa.text(statement), {"state": sessions.digest(state)}).first()

    row = await call.services.database.run(work)
    if row is None or now - row.created_ns > LONGEST_NS:
        raise oidc.OidcError("the login was not begun here, or too long ago")
    return row.nonce, row.verifier


async def _entered(call: Call, identity: oidc.Identity) -> web.Response:
    """A session for who came back, whose account is known by issuer and subject, never by its name."""
    if not identity.role:
        _log.warning("login at the provider", problem="no role is mapped", subject=identity.subject)
        return _sent("/?login=norole")
    services = call.services
    issuer, now = services.settings.console.oidc.issuer, services.clock.now()

    def work(session: sa.Connection) -> tuple[str, str]:
        known = store.names_for(session, issuer, identity.subject)
        if not known:
            name = _free_name(session, identity, issuer)
            store.add(session, name, identity.role, now, issuer=issuer, subject=identity.subject)
            return name, "account.add"
        entry = store.entry(session, known[0])
        if entry.role != identity.role:
            store.change(session, entry.name, {"role": identity.role}, now)
            return entry.name, "account.change"
        return entry.name, ""

    name, act = await services.database.run(work)
    if act:
        who = Account(name, "viewer")
        await record(services, who, act, name, "as the provider says", role=identity.role, provider=issuer)
    try:
        account, cookie = await opened(services, name, call.request)
    except RefusedError as refused:
        raise oidc.OidcError(refused.reason) from refused
    await record(services, account, "session.begin", name, provider=issuer)
    response = _sent("/")
    give_cookie(response, services.settings.console, cookie)
    return response


def _free_name(session: sa.Connection, identity: oidc.Identity, issuer: str) -> str:
    """A name for a new account: the provider's where it is free, else with a part that follows from the identity."""
    wanted = re.sub(r"[^a-z0-9._@-]", "-", identity.name.lower()).lstrip("._@-")[:50] or "user"
    if not store.entries(session, wanted):
        return wanted
    return f"{wanted}-{hashlib.sha256(f'{issuer}|{identity.subject}'.encode()).hexdigest()[:12]}"


def _provider(call: Call) -> oidc.Provider:
    provider: oidc.Provider | None = call.services.parts.get("oidc")
    if provider is None:
        raise RefusedError(404, "there is no identity provider", "Log in with name and password.")
    return provider


def _sent(place: str) -> web.Response:
    return web.Response(status=303, headers={"Location": place, "Cache-Control": "no-store"})


def _bind(response: web.Response, services: Services, state: str) -> None:
    """The state as a cookie of this browser: lax, for the way back begins on the provider's page."""
    response.set_cookie(
        COOKIE,
        state,
        max_age=LONGEST_NS // NANOS if state else 0,
        path="/api/v1/oidc",
        httponly=True,
        secure=secure(services.settings.console),
        samesite="Lax",
    )


@asynccontextmanager
async def _part(services: Services) -> AsyncIterator[oidc.Provider | None]:
    """The provider that the settings name, or none."""
    settings = services.settings.console.oidc
    if not settings.issuer:
        yield None
        return
    if not settings.client_id or not settings.public_url:
        raise TapewatchError("console.oidc lacks client_id or public_url", "Set both, or leave issuer empty.")
    async with GuardedHttpClient(settings.networks, plain=settings.issuer.startswith(_PLAIN)) as outgoing:
        yield oidc.Provider(settings, outgoing, services.clock.now)


def _route(path: str, handler: Any, summary: str, **more: Any) -> Route:
    return Route("GET", f"/api/v1/oidc{path}", handler, summary, role=None, answer=None, redirects=True, **more)


ROUTES = [
    _route("/login", begun, "Log in at the identity provider"),
    _route("/callback", returned, "Back from the identity provider", query=Answer),
]
PARTS = {"oidc": _part}
