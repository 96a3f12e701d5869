"""Bodies of web services, and what headers tell."""

import gzip
import zlib

import pytest

from producers.base.answers import HttpError, http_date_ns, json_fault, retry_after_s, unzipped
from producers.base.http import checked_address
from tapewatch.clock import NANOS
from tapewatch.errors import SettingsError

TEXT = b'{"rows": [1, 2, 3]}' * 40
AT = 1_700_000_000 * NANOS


def raw_deflate(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(data) + stream.flush()


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (TEXT, ""),
        (TEXT, "identity"),
        (gzip.compress(TEXT, mtime=0), "gzip"),
        (gzip.compress(TEXT[:100], mtime=0) + gzip.compress(TEXT[100:], mtime=0), "GZIP"),
        (zlib.compress(TEXT), "deflate"),
        (raw_deflate(TEXT), "deflate"),
    ],
)
def test_body_is_unzipped_however_it_was_sent(body: bytes, encoding: str) -> None:
    assert unzipped(body, encoding) == TEXT


@pytest.mark.parametrize("cut", [1, 9, 20])
@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress, raw_deflate])
def test_torn_body_is_told(pack: object, cut: int) -> None:
    whole = pack(TEXT)  # type: ignore[operator]
    with pytest.raises(HttpError) as caught:
        unzipped(whole[:-cut], "gzip")
    assert caught.value.reason == "truncated"


def test_small_body_that_unpacks_into_much_is_refused() -> None:
    bomb = gzip.compress(b"0" * 10_000_000)
    with pytest.raises(HttpError) as caught:
        unzipped(bomb, "gzip", limit=1_000_000)
    assert caught.value.reason == "too_large"


def test_encoding_that_was_not_asked_for_is_refused() -> None:
    with pytest.raises(HttpError):
        unzipped(b"x", "br")


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b'{"a": 1}', ""),
        (b" [1, 2]\r\n", ""),
        (b"\xef\xbb\xbf{}", ""),
        (b'"text"', ""),
        (b"12.5", ""),
        (b"null", ""),
        (b"", "not_json"),
        (b"  \n", "not_json"),
        (b"<html></html>", "not_json"),
        (b"Too many requests", "not_json"),
        (b'{"a": 1', "truncated"),
        (b"[1, 2", "truncated"),
        (b'"', "truncated"),
    ],
)
def test_body_that_cannot_be_json_is_told(body: bytes, fault: str) -> None:
    assert json_fault(body) == fault


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("17", 17.0),
        ("0", 0.0),
        ("Tue, 14 Nov 2023 22:13:50 GMT", 30.0),
        ("Tue, 14 Nov 2023 22:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("9" * 40, None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after_s(header, AT) == seconds


def test_date_that_cannot_be_read_is_none() -> None:
    assert http_date_ns("Tue, 14 Nov 2023 22:13:20 GMT") == AT
    for text in ("", "yesterday", "Tue, 99 Nov 2023 22:13:20 GMT", None):
        assert http_date_ns(text) is None


@pytest.mark.parametrize(
    "address", ["https://api.example.com/", "wss://example.com:9443/ws", "http://127.0.0.1:8080", "ws://localhost:1"]
)
def test_encrypted_addresses_and_this_machine_are_taken(address: str) -> None:
    assert checked_address(address) == address.rstrip("/")


@pytest.mark.parametrize(
    "address", ["http://10.0.0.1", "ws://example.com", "https://:443", "https://x:99999", "example.com"]
)
def test_other_addresses_are_refused(address: str) -> None:
    with pytest.raises(SettingsError):
        checked_address(address)
