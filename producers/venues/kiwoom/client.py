"""Kiwoom's REST interface: a token that is renewed in time, and pages that are continued.

One page of the REST minute chart (ka10080), newest bar first.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from producers.base.answers import Answer, HttpError
from producers.base.decoder import DecoderRequest
from producers.base.http import Http
from producers.recordings.kiwoom_minutes import REST, SEOUL, RowError, bar_of
from producers.venues.bars import Bar
from tapewatch.clock import NANOS, Clock
from tapewatch.contract.message import UNREADABLE
from tapewatch.errors import TapewatchError
from tapewatch.settings.venues import KiwoomSettings

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


CHART, LIST, TOKEN = "/api/dostk/chart", "/api/dostk/stkinfo", "/oauth2/token"
RENEW_NS = 600 * NANOS
"""A token is renewed this long before it expires."""
MOST_PAGES = 2_000
_ATTEMPTS = 3
_PAUSE_S = 1.0
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
_JSON = {"Content-Type": "application/json;charset=UTF-8"}


class _Token(msgspec.Struct):
    token: str = ""
    expires_dt: str = ""
    return_code: int = 0
    return_msg: str = ""


class _Status(msgspec.Struct):
    return_code: int = 0
    return_msg: str = ""


def keys(settings: KiwoomSettings) -> tuple[str, str]:
    """Application key and secret from their files; TapewatchError where one is not set or cannot be read."""
    found: list[str] = []
    for name, path in (("key_file", settings.key_file), ("secret_file", settings.secret_file)):
        if not path:
            raise TapewatchError(f"venues.kiwoom.{name} is not set", "Name the file that holds what Kiwoom gave you.")
        try:
            found.append(Path(path).expanduser().read_text().strip())
        except OSError as error:
            raise TapewatchError(f"cannot read {path}: {error.strerror}", f"Mend venues.kiwoom.{name}.") from error
    return found[0], found[1]


class KiwoomClient:
    """Asks Kiwoom. Key, secret and token stand in requests alone: never in a log, an error or a tape."""

    def __init__(self, http: Http, key: str, secret: str, clock: Clock) -> None:
        self.tokens = 0
        self._http, self._key, self._secret, self._clock = http, key, secret, clock
        self._token, self._expires = "", 0
        self._renewing = asyncio.Lock()

    async def ask(
        self,
        path: str,
        interface: str,
        body: Mapping[str, Any],
        *,
        next_key: str = "",
        want: DecoderRequest | None = None,
    ) -> Answer:
        """The answer of an interface such as ka10080; HttpError where there is none.

        A token that the venue does not take any more is renewed, and a request too many waits.
        """
        continued = {"cont-yn": "Y", "next-key": next_key} if next_key else {}
        for attempt in range(1, _ATTEMPTS + 1):
            token = await self._valid_token()
            headers = {**_JSON, "authorization": f"Bearer {token}", "api-id": interface, **continued}
            try:
                answer = await self._http.post(path, msgspec.json.encode(body), headers=headers, want=want)
                reason, detail, status = *_refusal(answer.body), answer.status
            except HttpError as error:
                if error.status != 401 or attempt == _ATTEMPTS:
                    raise
                reason, detail, status = "token_expired", error.detail, error.status
            if not reason or reason == "venue_error":
                return answer
            if attempt == _ATTEMPTS:
                raise HttpError("forbidden" if reason == "token_expired" else reason, detail, status)
            if reason == "token_expired":
                self._forget(token)
            else:
                self._http.bucket.hold(_PAUSE_S)
        raise AssertionError("the last attempt returns or raises")

    async def pages(self, path: str, interface: str, body: Mapping[str, Any]) -> AsyncIterator[Answer]:
        """The first page and those that continue it, as long as the venue has more."""
        next_key = ""
        for _ in range(MOST_PAGES):
            answer = await self.ask(path, interface, body, next_key=next_key)
            yield answer
            before, next_key = next_key, answer.headers.get("next-key", "")
            if answer.headers.get("cont-yn", "N").upper() != "Y" or not next_key or next_key == before:
                return

    def _forget(self, token: str) -> None:
        """Give up a token, unless another task has renewed it meanwhile."""
        if self._token == token:
            self._token = ""

    async def _valid_token(self) -> str:
        async with self._renewing:
            if not self._token or self._clock.now() > self._expires - RENEW_NS:
                await self._renew()
            return self._token

    async def _renew(self) -> None:
        body = {"grant_type": "client_credentials", "appkey": self._key, "secretkey": self._secret}
        headers = {**_JSON, "api-id": "au10001"}
        answer = await self._http.post(TOKEN, msgspec.json.encode(body), headers=headers)
        try:
            found = msgspec.json.decode(answer.body, type=_Token)
            expires = datetime.strptime(found.expires_dt, "%Y%m%d%H%M%S").replace(tzinfo=SEOUL).astimezone(UTC)
        except (msgspec.MsgspecError, ValueError):
            found, expires = _Token(return_code=1, return_msg="an answer without a token"), _NEVER
        if found.return_code or not found.token:
            raise TapewatchError(
                f"Kiwoom gives no token: {found.return_msg[:200]}",
                "Check venues.kiwoom.key_file and secret_file, and that this address is registered with Kiwoom.",
            )
        self._token, self._expires = found.token, int(expires.timestamp()) * NANOS
        self.tokens += 1


def _refusal(body: bytes) -> tuple[str, str]:
    """Reason and message of an answer that says no; empty where it says nothing of the kind."""
    try:
        status = msgspec.json.decode(body, type=_Status)
    except msgspec.MsgspecError:
        return "", ""
    return (failure(status.return_msg), status.return_msg[:200]) if status.return_code else ("", "")
