"""What lists have in common: text that PostgreSQL takes, patterns of instruments, and where a page of a list ends."""

import base64
import binascii
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from console.identity import Account
from console.refusal import RefusedError
from tapewatch.rfc3339 import PATTERN, from_rfc3339
from tapewatch.settings import Settings

_NO_NUL = "^[^\\x00]*$"
"""PostgreSQL's text holds no NUL."""

Word = Annotated[str, Meta(max_length=100, pattern=_NO_NUL)]
Glob = Annotated[str, Meta(max_length=200, pattern=_NO_NUL)]
"""An instrument id; * stands for any text, ? for one character."""
When = Annotated[str, Meta(pattern=f"(?:{PATTERN})|^$", max_length=30)]
"""RFC 3339 in UTC; empty where there is no bound."""
Cursor = Annotated[str, Meta(max_length=400, pattern="^[A-Za-z0-9_=-]*$")]
MessageId = Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]


def like(patterns: Iterable[str]) -> list[str]:
    """Patterns with * and ? as those of SQL's LIKE; what is special there is escaped."""
    table = str.maketrans({"\\": "\\\\", "%": "\\%", "_": "\\_", "*": "%", "?": "_"})
    return [pattern.translate(table) for pattern in patterns]


def seen_by(account: Account) -> list[str]:
    """The instruments that an account may see, for `name LIKE ANY(:seen)`."""
    return like(account.instruments)


def canaries(settings: Settings) -> list[str]:
    """The instruments that no list or count holds, for `NOT name LIKE ANY(:canaries)`: our own canaries."""
    return like(f"{prefix}*" for prefix in settings.notify.canaries)


def nanoseconds(when: str, otherwise: int) -> int:
    """A bound in UTC nanoseconds; RefusedError 422 for a day that does not exist."""
    try:
        return from_rfc3339(when) if when else otherwise
    except ValueError as error:
        raise RefusedError(422, f"parameters: {error}") from error


def identity(text: str) -> str:
    """The id in a path; RefusedError 404 for what can be none."""
    if len(text) != 32 or text.strip("0123456789abcdef"):
        raise RefusedError(404, "there is nothing with this id")
    return text


def cursor(place: Sequence[Any]) -> str:
    """The place of a list's last row, as the next call gives it back."""
    return base64.urlsafe_b64encode(msgspec.json.encode(list(place))).decode()


def place(text: str, *kinds: Any) -> tuple[Any, ...] | None:
    """The place that a cursor stands for, its parts of these types; None for the beginning.

    RefusedError 422 for what is no cursor of this list.
    """
    if not text:
        return None
    try:
        raw = base64.b64decode(text, altchars=b"-_", validate=True)
        return msgspec.json.decode(raw, type=tuple[kinds])  # type: ignore[valid-type]
    except (binascii.Error, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RefusedError(422, "parameters: this is no cursor of this list") from error


def facets(rows: Iterable[Sequence[Any]], names: Sequence[str]) -> tuple[int, dict[str, dict[str, int]]]:
    """How many rows there are, and how many of each value of each column.

    rows : of GROUP BY GROUPING SETS over each of the columns and over none: their values, grouping() of them, count(*)
    names : of the columns, in the order that grouping() has them
    """
    total = 0
    counts: dict[str, dict[str, int]] = {name: {} for name in names}
    for *values, mask, count in rows:
        kept = [index for index in range(len(names)) if not mask & (1 << (len(names) - 1 - index))]
        if kept:
            counts[names[kept[0]]][values[kept[0]]] = count
        else:
            total = count
    return total, counts
