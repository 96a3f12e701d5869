"""Sessions: log in and out, who one is, one's own open sessions and password."""

import asyncio
from typing import Annotated, Any, Literal

import msgspec
from aiohttp import web
from msgspec import Meta

from console.accounts import attempts, passwords, sessions, store
from console.accounts.enter import address_of, cookie_name, give_cookie
from console.app import record
from console.identity import Account
from console.refusal import RefusedError
from console.routing import Acknowledgement, Call, Route, answered
from console.services import Services
from tapewatch.clock import NANOS
from tapewatch.errors import TapewatchError
from tapewatch.rfc3339 import to_rfc3339

STRANGER = Account("not logged in", "viewer")
"""Who is named in the audit log where nobody has logged in."""
PROVEN_NS = 600 * NANOS
"""How old a log-in elsewhere may be where one has to show anew who one is, ns."""


class Login(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Name and password."""

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    password: Annotated[str, Meta(min_length=1, max_length=passwords.LONGEST)]


class Session(msgspec.Struct, frozen=True):
    """Who is logged in. csrf : what the header X-CSRF-Token says in calls that change something; empty for tokens"""

    name: str
    role: Literal["viewer", "analyst", "approver", "admin"]
    csrf: str
    pages: tuple[str, ...]
    instruments: tuple[str, ...]
    language: str


class Providers(msgspec.Struct, frozen=True):
    """Where else one can log in. oidc : word on the button; empty where there is none"""

    oidc: str


class OpenSession(msgspec.Struct, frozen=True):
    """One of one's open sessions. own : whether it is the one that asks"""

    id: str
    created: str
    seen: str
    expires: str
    address: str
    agent: str
    own: bool


class Preferences(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one may set oneself."""

    language: Literal["en", "zh-TW", "ko"]


class PasswordChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The password one has, and the one one wants."""

    old: Annotated[str, Meta(min_length=1, max_length=passwords.LONGEST)]
    new: Annotated[str, Meta(min_length=passwords.SHORTEST, max_length=passwords.LONGEST)]


async def begun(call: Call) -> web.Response:
    """Log in: the answer is the same, and takes the same work, whether the account does not exist or the password is
    wrong; a new session replaces the one that the browser had.
    """
    login: Login = call.body
    services, address = call.services, address_of(call.request, call.services.settings.console)
    name = login.name.strip().lower()
    if not await tried(services, name, login.password, address, "too many failed logins"):
        known = await services.database.run(lambda session: store.is_there(session, name))
        # What is no account's name may be a password, typed into the wrong field.
        await record(services, STRANGER, "session.refused", name if known else "no account", address=address)
        raise RefusedError(401, "name or password is wrong")
    account, cookie = await opened(services, name, call.request)
    await record(services, account, "session.begin", name, address=address)
    response = answered(200, await told(services, account))
    give_cookie(response, services.settings.console, cookie)
    return response


async def tried(services: Services, name: str, password: str, address: str, locked: str) -> bool:
    """Whether the password is that account's. It is counted as wrong before it is looked at; RefusedError 429 with the
    words of `locked` while too many were.
    """
    now = services.clock.now()
    try:
        await services.database.run(lambda session: attempts.count(session, name, address, now))
    except attempts.LockedError as lock:
        raise RefusedError(429, locked, f"Try again in {lock.seconds} s.") from None
    if not await checked(services, name, password):
        return False
    await services.database.run(lambda session: attempts.forgive(session, name, address, now))
    return True


async def checked(services: Services, name: str, password: str) -> bool:
    """Whether the password is that account's; one kept under old parameters is kept anew."""
    kept = await services.database.run(lambda session: store.password_of(session, name))
    async with services.hashing:
        fresh = await asyncio.to_thread(passwords.verify, kept, password)
    if fresh and kept and fresh != kept:
        await services.database.run(lambda session: store.refresh_password(session, name, kept, fresh))
    return bool(fresh)


async def proven(call: Call, password: str) -> None:
    """RefusedError where whoever holds the session does not show anew that it is the account's person.

    password : of an account that logs in here; one that logs in elsewhere has to have done so lately
    """
    services, name, now = call.services, call.account.name, call.services.clock.now()
    idle, own = services.settings.console.idle_minutes, call.account.session

    def work(session: Any) -> tuple[str, int]:
        began = [each.created_ns for each in sessions.of(session, name, now, idle) if each.id == own]
        return store.entry(session, name).issuer, max(began, default=0)

    issuer, began = await services.database.run(work)
    if issuer:
        if now - began > PROVEN_NS:
            raise RefusedError(403, "your log-in is older than ten minutes", "Log out, log in again, and repeat this.")
        return
    await counted(call, password, "the password is wrong")


async def counted(call: Call, password: str, refusal: str) -> None:
    """Check the caller's own password; wrong ones count as failed log-ins do, and are audited."""
    services, name = call.services, call.account.name
    address = address_of(call.request, services.settings.console)
    if not await tried(services, name, password, address, "too many wrong passwords"):
        await record(services, call.account, "session.refused", name, address=address)
        raise RefusedError(403, refusal)


async def opened(services: Services, name: str, request: web.Request) -> tuple[Account, str]:
    """A new session of the account in place of the browser's old one, and its cookie."""
    settings, now = services.settings.console, services.clock.now()
    old = request.cookies.get(cookie_name(settings), "")
    agent, address = request.headers.get("User-Agent", ""), address_of(request, settings)

    def work(session: Any) -> tuple[Account | None, str]:
        if old:
            sessions.end_cookie(session, old)
        cookie = sessions.begin(session, name, now, settings.session_hours, address, agent)
        return sessions.find(session, cookie, now, settings.idle_minutes), cookie

    account, cookie = await services.database.run(work)
    if account is None:
        raise RefusedError(401, "the account may not enter")
    return account, cookie


async def told(services: Services, account: Account) -> Session:
    """The session as the pages need it."""
    entry = await services.database.run(lambda session: store.entry(session, account.name))
    language = entry.language or services.settings.console.language
    return Session(account.name, account.role, account.proof, account.pages, account.instruments, language)


async def current(call: Call) -> Session:
    """Who is logged in."""
    return await told(call.services, call.account)


async def ended(call: Call) -> web.Response:
    """Log out: the session is gone at once, wherever its cookie lies."""
    start, name = call.account.session, call.account.name
    await call.services.database.run(lambda session: sessions.end(session, name, start))
    await record(call.services, call.account, "session.end", name)
    response = answered(200, Acknowledgement())
    give_cookie(response, call.services.settings.console, "")
    return response


async def listed(call: Call) -> list[OpenSession]:
    """One's open sessions, newest first."""
    now, idle, name = call.services.clock.now(), call.services.settings.console.idle_minutes, call.account.name
    found = await call.services.database.run(lambda session: sessions.of(session, name, now, idle))
    return [
        OpenSession(
            each.id,
            to_rfc3339(each.created_ns),
            to_rfc3339(each.seen_ns),
            to_rfc3339(each.expires_ns),
            each.address,
            each.agent,
            each.id == call.account.session,
        )
        for each in found
    ]


async def one_ended(call: Call) -> Acknowledgement:
    """End one of one's own sessions."""
    start, name = call.path["id"], call.account.name
    if len(start) != 16 or not await call.services.database.run(lambda session: sessions.end(session, name, start)):
        raise RefusedError(404, "there is no such session")
    return Acknowledgement()


async def preferred(call: Call) -> Acknowledgement:
    """Set one's language."""
    name, now = call.account.name, call.services.clock.now()
    wanted: Preferences = call.body
    await call.services.database.run(lambda session: store.change(session, name, {"language": wanted.language}, now))
    return Acknowledgement()


async def password_changed(call: Call) -> Acknowledgement:
    """Change one's password; every session and token of the account ends, this session too."""
    wanted: PasswordChange = call.body
    name, now = call.account.name, call.services.clock.now()
    await counted(call, wanted.old, "the old password is wrong")
    try:
        async with call.services.hashing:
            fresh = await asyncio.to_thread(passwords.hashed, wanted.new, name)
    except TapewatchError as error:
        raise RefusedError(422, error.message, error.hint) from error

    await call.services.database.run(lambda session: store.set_password(session, name, fresh, now))
    return Acknowledgement()


async def providers(call: Call) -> Providers:
    """Where else one can log in."""
    oidc = call.services.settings.console.oidc
    return Providers(oidc.name if oidc.issuer else "")


ROUTES = [
    Route("POST", "/api/v1/session", begun, "Log in", role=None, body=Login, answer=Session),
    Route("GET", "/api/v1/session", current, "Who is logged in", answer=Session),
    Route("DELETE", "/api/v1/session", ended, "Log out", person=True),
    Route("GET", "/api/v1/session/providers", providers, "Where else one can log in", role=None, answer=Providers),
    Route("GET", "/api/v1/sessions", listed, "One's open sessions", answer=list[OpenSession], person=True),
    Route("DELETE", "/api/v1/sessions/{id}", one_ended, "End one's session", person=True, audit="session.revoke"),
    Route(
        "PUT",
        "/api/v1/session/preferences",
        preferred,
        "Set one's language",
        body=Preferences,
        person=True,
        audit="session.preferences",
    ),
    Route(
        "PUT",
        "/api/v1/session/password",
        password_changed,
        "Change one's password",
        body=PasswordChange,
        person=True,
        audit="account.password",
    ),
]
