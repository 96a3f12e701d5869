"""Accounts, for administrators: list, make, change, disable, new password; seats of the roles."""

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from console.accounts import passwords, sessions, store, tokens
from console.api.tokens import TokenResponse, end, shown
from console.app import record
from console.identity import Role
from console.refusal import RefusedError
from console.routing import Acknowledgement, Call, Route
from tapewatch.errors import TapewatchError
from tapewatch.rfc3339 import to_rfc3339

A = TypeVar("A")
Pattern = Annotated[str, Meta(min_length=1, max_length=80, pattern=r"^[A-Za-z0-9._*?-]+$")]
Pages = Annotated[tuple[store.Page, ...], Meta(max_length=20)]
Patterns = Annotated[tuple[Pattern, ...], Meta(max_length=200)]


class AccountResponse(msgspec.Struct, frozen=True):
    """An account.

    pages, instruments : its own entitlements, null where its role's seat holds
    issuer : where it logs in, empty here; seen : last call of an open session, empty: none
    """

    name: str
    role: Role
    disabled: bool
    pages: tuple[str, ...] | None
    instruments: tuple[str, ...] | None
    issuer: str
    created: str
    seen: str


class CreateAccountRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An account to make; its password is generated and told once."""

    name: Annotated[str, Meta(pattern=store.NAME)]
    role: Role
    pages: Pages | None = None
    instruments: Patterns | None = None


class AccountCredentials(msgspec.Struct, frozen=True):
    """An account with the password that was generated, told this once."""

    name: str
    password: str


class UpdateAccountRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to change; what is left out stays. null for pages or instruments: as the role's seat."""

    role: Role | msgspec.UnsetType = msgspec.UNSET
    disabled: bool | msgspec.UnsetType = msgspec.UNSET
    pages: Pages | msgspec.UnsetType | None = msgspec.UNSET
    instruments: Patterns | msgspec.UnsetType | None = msgspec.UNSET


class Seat(msgspec.Struct, frozen=True):
    """What a role sees by default."""

    role: Role
    pages: tuple[str, ...]
    instruments: tuple[str, ...]


class SeatChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a role is to see by default."""

    pages: Pages
    instruments: Patterns


async def listed(call: Call) -> list[AccountResponse]:
    """Every account by name."""
    found = await call.services.database.run(store.entries)
    return [
        AccountResponse(
            each.name,
            each.role,  # type: ignore[arg-type]
            each.disabled,
            each.pages,
            each.instruments,
            each.issuer,
            to_rfc3339(each.created_ns),
            to_rfc3339(each.seen_ns) if each.seen_ns else "",
        )
        for each in found
    ]


async def made(call: Call) -> AccountCredentials:
    """Make an account with a generated password."""
    wanted: CreateAccountRequest = call.body
    password, now = passwords.generated(), call.services.clock.now()
    entitled = {"pages": wanted.pages, "instruments": wanted.instruments}

    def work(session: Any) -> None:
        store.make_with_password(session, wanted.name, wanted.role, password, now)
        store.change(session, wanted.name, entitled, now)

    await _done(call, work)
    await record(call.services, call.account, "account.add", wanted.name, details={"role": wanted.role, **entitled})
    return AccountCredentials(wanted.name, password)


async def changed(call: Call) -> Acknowledgement:
    """Change role, entitlements, or whether it may enter; its open sessions feel it with the next call."""
    name, now = call.path["name"], call.services.clock.now()
    values = {key: value for key, value in msgspec.structs.asdict(call.body).items() if value is not msgspec.UNSET}
    await _done(call, lambda session: store.change(session, name, values, now))
    await record(call.services, call.account, "account.change", name, details=values)
    return Acknowledgement()


async def password_set(call: Call) -> AccountCredentials:
    """Give an account a new, generated password; all its sessions and tokens end."""
    name, now, password = call.path["name"], call.services.clock.now(), passwords.generated()
    await _done(call, lambda session: store.set_password(session, name, passwords.hashed(password), now))
    await record(call.services, call.account, "account.password", name)
    return AccountCredentials(name, password)


async def thrown_out(call: Call) -> Acknowledgement:
    """End all sessions of an account."""
    name = call.path["name"]
    await call.services.database.run(lambda session: sessions.end(session, name))
    return Acknowledgement()


async def tokens_of(call: Call) -> list[TokenResponse]:
    """An account's API tokens, newest first."""
    name = call.path["name"]

    def work(session: Any) -> list[tokens.Token]:
        store.entry(session, name)
        return tokens.of(session, name)

    now = call.services.clock.now()
    return [shown(each, now) for each in await _done(call, work)]


async def token_revoked(call: Call) -> Acknowledgement:
    """End one of an account's tokens at once."""
    return await end(call, call.path["name"])


async def seats(call: Call) -> list[Seat]:
    """What each role sees by default."""
    rows = await call.services.database.rows("SELECT role, pages, instruments FROM seats ORDER BY role")
    return [Seat(row.role, tuple(row.pages), tuple(row.instruments)) for row in rows]


_SET_SEAT = "UPDATE seats SET pages = :pages, instruments = :instruments WHERE role = :role"


async def seat_changed(call: Call) -> Acknowledgement:
    """Change what a role sees by default; the admin's seat stays whole."""
    wanted: SeatChange = call.body
    role = call.path["role"]
    if role not in ("viewer", "analyst", "approver"):
        raise RefusedError(404, "there is no such seat that can be changed")
    values = {"role": role, "pages": list(wanted.pages), "instruments": list(wanted.instruments)}
    await call.services.database.execute(_SET_SEAT, values)
    await record(call.services, call.account, "seat.change", role, details=values)
    return Acknowledgement()


async def _done(call: Call, work: Callable[[Any], A]) -> A:
    """Run a change or a question; what the store refuses is the caller's error."""
    try:
        return await call.services.database.run(work)
    except TapewatchError as error:
        status = 404 if error.message.startswith("there is no account") else 409
        raise RefusedError(status, error.message, error.hint) from error


def _admin(method: Any, path: str, handler: Any, summary: str, **more: Any) -> Route:
    return Route(method, f"/api/v1{path}", handler, summary, role="admin", scope="admin", **more)


ROUTES = [
    _admin("GET", "/accounts", listed, "Accounts by name", answer=list[AccountResponse]),
    _admin(
        "POST",
        "/accounts",
        made,
        "Make an account",
        body=CreateAccountRequest,
        answer=AccountCredentials,
        person=True,
    ),
    _admin("PATCH", "/accounts/{name}", changed, "Change an account", body=UpdateAccountRequest, person=True),
    _admin(
        "POST",
        "/accounts/{name}/password",
        password_set,
        "Generate a new password; sessions and API tokens end",
        answer=AccountCredentials,
        person=True,
    ),
    _admin("DELETE", "/accounts/{name}/sessions", thrown_out, "End an account's sessions", audit="account.sessions"),
    _admin("GET", "/accounts/{name}/tokens", tokens_of, "An account's API tokens", answer=list[TokenResponse]),
    _admin("DELETE", "/accounts/{name}/tokens/{id}", token_revoked, "Revoke an API token", audit="token.revoke"),
    _admin("GET", "/seats", seats, "What each role sees by default", answer=list[Seat]),
    _admin("PUT", "/seats/{role}", seat_changed, "Change what a role sees by default", body=SeatChange),
]
