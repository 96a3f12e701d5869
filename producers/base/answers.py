"""Answers of web services, what can be wrong with them, and their bodies: unzipped, bounded, looked at."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from tapewatch.clock import NANOS
from tapewatch.errors import TapewatchError

BODY_LIMIT = 16 << 20
_HINTS = {
    "no_connection": "Check the network and the venue's address in the settings.",
    "tls": "Check the venue's certificate and this machine's clock and root certificates.",
    "rate_limited": "Ask for less, or wait; the venue counts by network address.",
    "banned": "Wait until the venue lifts the ban, and ask for less.",
    "forbidden": "Check the keys, and whether the venue serves this country.",
    "redirected": "Set the address that the venue redirects to, if it is the venue's own.",
}
_JSON_ENDS = {b"{": b"}", b"[": b"]", b'"': b'"'}
_JSON_STARTS = b'{["-0123456789tfn'
BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. headers : any case finds them; asked, received : UTC nanoseconds"""

    status: int
    headers: Mapping[str, str]
    body: bytes
    asked: int
    received: int


class HttpError(TapewatchError):
    """A request that brought no usable answer.

    reason : timeout, no_connection, tls, rate_limited, banned, forbidden, not_found, client_error, server_error,
    not_json, truncated, too_large or redirected
    status : HTTP status, 0 where none came; body : what came of the body; retry_after_s : as the venue said, or None
    """

    def __init__(
        self, reason: str, detail: str, status: int = 0, body: bytes = b"", retry_after_s: float | None = None
    ) -> None:
        super().__init__(f"{reason}: {detail}", _HINTS.get(reason, "Try again later."))
        self.reason = reason
        self.detail = detail
        self.status = status
        self.body = body
        self.retry_after_s = retry_after_s


def unzipped(raw: bytes, encoding: str, limit: int = BODY_LIMIT) -> bytes:
    """The body as it was before its Content-Encoding (gzip or deflate; none or identity: as it is).

    HttpError truncated where it ends too early or is broken, too_large above `limit` bytes.
    """
    if encoding.strip().lower() in ("", "identity"):
        return raw
    if encoding.strip().lower() not in ("gzip", "x-gzip", "deflate"):
        raise HttpError("truncated", f"content encoding {encoding[:40]!r} was not asked for")
    parts: list[bytes] = []
    left = limit + 1
    rest = raw
    while rest:
        stream = zlib.decompressobj(wbits=_window(rest))
        try:
            parts.append(stream.decompress(rest, left))
        except zlib.error as error:
            raise HttpError("truncated", f"broken compressed body: {error}") from None
        left -= len(parts[-1])
        if left <= 0:
            raise HttpError("too_large", f"more than {limit} bytes")
        if not stream.eof:
            raise HttpError("truncated", f"compressed body ends after {len(raw)} bytes", body=b"".join(parts))
        rest = stream.unused_data
    return b"".join(parts)


def _window(raw: bytes) -> int:
    """Zlib's window argument: gzip or zlib by their headers, else raw deflate, which some servers send."""
    zipped = raw[:2] == b"\x1f\x8b"
    wrapped = len(raw) > 1 and raw[0] & 0x0F == 8 and (raw[0] << 8 | raw[1]) % 31 == 0
    return 47 if zipped or wrapped else -15


def json_fault(body: bytes) -> str:
    """What speaks against a body that should be JSON, without reading it: not_json, truncated, or empty for nothing."""
    text = body.removeprefix(BOM).strip()
    if not text or text[:1] not in _JSON_STARTS:
        return "not_json"
    closing = _JSON_ENDS.get(text[:1])
    return "truncated" if closing is not None and (len(text) < 2 or text[-1:] != closing) else ""


def retry_after_s(header: str | None, now: int) -> float | None:
    """A Retry-After header, seconds or an HTTP date, as seconds from `now` (UTC ns); None where it says nothing."""
    if not header:
        return None
    seconds: float | None = None
    if header.strip().isdecimal() and len(header) < 12:
        seconds = float(header)
    elif (at := http_date_ns(header)) is not None:
        seconds = max(0.0, (at - now) / NANOS)
    return seconds


def http_date_ns(header: str | None) -> int | None:
    """An HTTP date as UTC nanoseconds, whole seconds; None where it cannot be read."""
    if not header:
        return None
    try:
        return round(parsedate_to_datetime(header).timestamp()) * NANOS
    except (ValueError, OverflowError):
        return None
