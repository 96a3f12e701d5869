"""A route as data: who may call it, what goes in and comes out. The app and the OpenAPI document are made from it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from aiohttp import web

from console.identity import Account, Role
from console.refusal import RefusedError
from console.services import Services

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


class EmptyQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No parameters."""


class Acknowledgement(msgspec.Struct, frozen=True):
    """The answer of an act that has nothing else to tell."""

    done: bool = True


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a route.

    path : the path's parameters as text; query, body : of the route's types
    """

    services: Services
    account: Account
    path: dict[str, str]
    query: Any
    body: Any
    request: web.Request

    def see(self, instrument: str) -> str:
        """The instrument id; RefusedError 404 where the account may not see it: it does not learn that it exists."""
        if not self.account.sees(instrument):
            raise RefusedError(404, "there is no such instrument")
        return instrument


def answered(status: int, value: Any) -> web.Response:
    """A JSON response; NaN becomes null."""
    return web.Response(status=status, body=msgspec.json.encode(value), content_type="application/json")


Handler = Callable[[Call], Awaitable[Any]]
"""Gives a value of the route's answer type, or a whole response (a file, a stream)."""


@dataclass(frozen=True, slots=True)
class Route:
    """One operation of the API.

    role : the least one, None for everybody (login alone); page : the entitlement it belongs to, empty for none
    query, body, answer : msgspec structs (answer: any type msgspec can describe; `media` is its type otherwise)
    audit : what the audit log calls it; each successful call is then an entry with the path's parameters as subject.
        Views of evidence have one; what changes something has one too, unless its handler writes its own
    scope : what a token needs: read, write or admin; empty: read for GET, write for the rest
    person : a person's session alone may do it, no token
    redirects : it answers with 303 and where to go
    media : text/event-stream and websocket count as streams
    """

    method: Method
    path: str
    handler: Handler
    summary: str
    role: Role | None = "viewer"
    page: str = ""
    query: type[msgspec.Struct] = EmptyQuery
    body: Any = None
    answer: Any = Acknowledgement
    media: str = "application/json"
    audit: str = ""
    scope: str = ""
    person: bool = False
    redirects: bool = False

    @property
    def needs_scope(self) -> str:
        """The scope that a token needs."""
        return self.scope or ("read" if self.method == "GET" else "write")
