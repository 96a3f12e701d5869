"""API tokens of one's own: for programs that speak in one's name, with no more rights than one has."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from console.accounts import passwords, tokens
from console.api.session import proven
from console.app import record
from console.refusal import RefusedError
from console.routing import Acknowledgement, Call, Route
from tapewatch.clock import NANOS
from tapewatch.errors import TapewatchError
from tapewatch.rfc3339 import to_rfc3339

DAY_NS = 24 * 3600 * NANOS


class CreateTokenRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A token to make.

    name : what it is for; days : it ends after so many; password : one's own, where one logs in here; an account that
    logs in elsewhere must have done so in the last ten minutes
    """

    name: Annotated[str, Meta(min_length=1, max_length=80)]
    scopes: Annotated[tuple[Literal["read", "write", "admin"], ...], Meta(min_length=1, max_length=3)]
    days: Annotated[int, Meta(ge=1, le=366)] = 90
    password: Annotated[str, Meta(max_length=passwords.LONGEST)] = ""


class NewToken(msgspec.Struct, frozen=True):
    """A token that was made. token : shown this once"""

    id: str
    token: str


class TokenResponse(msgspec.Struct, frozen=True):
    """A token without its secret. used : when it was last used, to the minute; empty: never"""

    id: str
    name: str
    scopes: tuple[str, ...]
    created: str
    expires: str
    used: str
    ended: bool


async def listed(call: Call) -> list[TokenResponse]:
    """One's tokens, newest first."""
    name, now = call.account.name, call.services.clock.now()
    found = await call.services.database.run(lambda session: tokens.of(session, name))
    return [shown(each, now) for each in found]


def shown(token: tokens.Token, now: int) -> TokenResponse:
    """A token as it may be shown. now : UTC ns"""
    return TokenResponse(
        token.id,
        token.name,
        token.scopes,
        to_rfc3339(token.created_ns),
        to_rfc3339(token.expires_ns),
        to_rfc3339(token.used_ns) if token.used_ns else "",
        token.expires_ns <= now,
    )


async def made(call: Call) -> NewToken:
    """Make a token; the scope admin is for administrators."""
    wanted: CreateTokenRequest = call.body
    if "admin" in wanted.scopes and not call.account.is_at_least("admin"):
        raise RefusedError(403, "the scope admin takes the role admin", "Leave it out.")
    await proven(call, wanted.password)
    name, now = call.account.name, call.services.clock.now()
    try:
        number, secret = await call.services.database.run(
            lambda session: tokens.make(session, name, wanted.name, wanted.scopes, now, now + wanted.days * DAY_NS)
        )
    except TapewatchError as error:
        raise RefusedError(409, error.message, error.hint) from error
    await record(call.services, call.account, "token.make", number, name=wanted.name, scopes=list(wanted.scopes))
    return NewToken(number, secret)


async def revoked(call: Call) -> Acknowledgement:
    """End one of one's tokens at once."""
    return await end(call, call.account.name)


async def end(call: Call, account: str) -> Acknowledgement:
    """End the token of the path at once; RefusedError 404 where it is none of the account's."""
    number = call.path["id"]
    try:
        await call.services.database.run(lambda session: tokens.revoke(session, account, number))
    except TapewatchError as error:
        raise RefusedError(404, error.message, error.hint) from error
    return Acknowledgement()


ROUTES = [
    Route("GET", "/api/v1/tokens", listed, "One's API tokens", answer=list[TokenResponse], person=True),
    Route("POST", "/api/v1/tokens", made, "Make an API token", body=CreateTokenRequest, answer=NewToken, person=True),
    Route("DELETE", "/api/v1/tokens/{id}", revoked, "Revoke an API token", person=True, audit="token.revoke"),
]
