"""Passwords: argon2id (RFC 9106, second recommended option: 64 MiB, 3 passes, 4 lanes); none is ever kept in plain."""

import secrets
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from tapewatch.errors import TapewatchError

SHORTEST, LONGEST = 12, 256

_HASHER = PasswordHasher(time_cost=3, memory_cost=65536, parallelism=4)


def hashed(password: str, name: str = "") -> str:
    """The hash to keep; TapewatchError where the password is too short, too long or the account's own name."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise TapewatchError(f"a password has {SHORTEST} to {LONGEST} characters", "Choose another one.")
    if len(set(password)) < 5 or (name and name.lower() in password.lower() and len(password) < len(name) + SHORTEST):
        raise TapewatchError("this password is easily guessed", "Choose another one.")
    return _HASHER.hash(password)


def verify(kept: str | None, password: str) -> str | None:
    """The hash to keep from now on where the password is the account's (mostly the same one), None where it is not.

    kept : the account's hash, None where there is no such account or it has none: the work is the same, the answer no
    """
    try:
        _HASHER.verify(kept or _nobodys(), password)
    except (VerificationError, InvalidHashError):
        return None
    if kept is None:
        return None
    return _HASHER.hash(password) if _HASHER.check_needs_rehash(kept) else kept


def generated() -> str:
    """A password that nobody chose: 20 characters, 120 bits."""
    return secrets.token_urlsafe(15)


@cache
def _nobodys() -> str:
    """The hash of a password that nobody knows."""
    return _HASHER.hash(secrets.token_urlsafe(32))
