"""Who is calling, and what they may see."""

from collections.abc import Awaitable, Callable
from fnmatch import fnmatchcase
from typing import Literal

import msgspec
from aiohttp import web

Role = Literal["viewer", "analyst", "approver", "admin"]
RANK: dict[str, int] = {"viewer": 1, "analyst": 2, "approver": 3, "admin": 4}
"""A role may do what a lower one may."""


class Account(msgspec.Struct, frozen=True):
    """An account as far as a call needs it.

    instruments : patterns (* and ?) of the instrument ids it may see; pages : names of the pages, * for all
    scopes : what an API token may do (read, write, admin); everything for a person's session
    by_token : whether a token speaks, which needs no CSRF proof
    proof : what the header X-CSRF-Token must say where the call changes something; empty: nothing
    session : names a person's session, and is no key to it
    """

    name: str
    role: Role
    instruments: tuple[str, ...] = ("*",)
    pages: tuple[str, ...] = ("*",)
    scopes: tuple[str, ...] = ("read", "write", "admin")
    by_token: bool = False
    proof: str = ""
    session: str = ""

    def is_at_least(self, role: Role) -> bool:
        """Whether it may do what that role may."""
        return RANK[self.role] >= RANK[role]

    def sees(self, instrument: str) -> bool:
        """Whether it may see an instrument."""
        return any(fnmatchcase(instrument, pattern) for pattern in self.instruments)

    def sees_page(self, page: str) -> bool:
        """Whether it may see a page and its API; the empty name is everybody's."""
        return not page or "*" in self.pages or page in self.pages


Identify = Callable[[web.Request], Awaitable[Account | None]]
"""Finds the account of a request: by session cookie or API token; None where there is none."""
