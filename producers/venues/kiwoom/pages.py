"""One page of the REST minute chart (ka10080), newest bar first."""

from dataclasses import dataclass
from typing import Any

import msgspec

from producers.recordings.kiwoom_rows import REST, RowError, bar_of
from producers.venues.bars import Bar
from tapewatch.contract.message import UNREADABLE

_TOKEN = "8005"  # noqa: S105 - the venue's code for a token that is not valid
_TOO_MANY = "1700"


class PageError(Exception):
    """A body without a page. reason : not_json, malformed_page, token_expired, rate_limited or venue_error"""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Page:
    """Bars oldest first, each time once; refused : reason and text of rows that are no bars, with their time"""

    code: str
    bars: tuple[Bar, ...]
    refused: tuple[tuple[str, bytes], ...]
    repeated: int


class _Document(msgspec.Struct):
    stk_cd: str = ""
    stk_min_pole_chart_qry: list[dict[str, Any]] = []
    return_code: int = 0
    return_msg: str = ""


_DECODER = msgspec.json.Decoder(_Document)


def parse_page(body: bytes) -> Page:
    """The page in an answer's body; PageError where there is none."""
    document = _decoded(body)
    if document.return_code:
        raise PageError(failure(document.return_msg), document.return_msg[:200])
    found: dict[int, Bar] = {}
    refused: list[tuple[str, bytes]] = []
    for row in document.stk_min_pole_chart_qry:
        try:
            bar = bar_of(row, REST)
        except RowError as error:
            refused.append((error.reason, msgspec.json.encode(row)))
            continue
        found.setdefault(bar.opened, bar)
    repeated = len(document.stk_min_pole_chart_qry) - len(refused) - len(found)
    return Page(document.stk_cd, tuple(found[opened] for opened in sorted(found)), tuple(refused), repeated)


def failure(message: str) -> str:
    """The reason behind the venue's message."""
    if _TOKEN in message:
        return "token_expired"
    return "rate_limited" if _TOO_MANY in message else "venue_error"


def _decoded(body: bytes) -> _Document:
    try:
        return _DECODER.decode(body)
    except msgspec.ValidationError as error:
        raise PageError("malformed_page", str(error)) from error
    except UNREADABLE as error:
        raise PageError("not_json", str(error)) from error
