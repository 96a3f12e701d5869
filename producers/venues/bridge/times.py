"""Times as others write them: ISO 8601, seconds to nanoseconds since 1970, or a strptime format with a time zone."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from producers.venues.bridge.map import mistake
from producers.venues.bridge.records import Record, UnfitError
from tapewatch.clock import LATEST_NS, NANOS

UNITS = {"s": NANOS, "ms": 1_000_000, "us": 1_000, "ns": 1}
"""Nanoseconds of each unit of times that are numbers."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBER = re.compile(r"[0-9]{1,25}(\.[0-9]{1,9})?")
_FRACTION = re.compile(r"(?<=[0-9])[.,]([0-9]{1,9})[0-9]*")
_KEPT = 4_096
_WIDE = Context(prec=60)


def time_reader(key: str, text: Callable[[Record], str], form: str, zone: str) -> Callable[[Record], int]:
    """A reader of UTC nanoseconds. form : iso, s, ms, us, ns or a strptime format; zone : of times without an offset"""
    own = _zone(key, zone)
    if form in UNITS:
        parse = _of_number(UNITS[form])
    elif form == "iso":
        parse = _of_iso(own)
    elif "%" in form:
        parse = _of_format(form, own)
    else:
        raise mistake(
            f"{key}.time", f"{form!r} is no form of times", "Write iso, s, ms, us, ns or such as %Y%m%d%H%M%S."
        )
    # Messages of one instant come together.
    parse = lru_cache(_KEPT)(parse)

    def read(record: Record) -> int:
        found = text(record)
        try:
            value = parse(found)
        except (ValueError, OverflowError) as error:
            raise UnfitError("bad_time", f"{found[:80]!r} is not {form}: {error}") from error
        if not 0 < value < LATEST_NS:
            raise UnfitError("bad_time", f"{found[:80]!r} lies outside 1970 to 2200")
        return value

    return read


def _zone(key: str, name: str) -> ZoneInfo | None:
    if not name:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise mistake(
            f"{key}.zone", f"there is no time zone {name!r}", "Write an IANA name such as Asia/Seoul."
        ) from error


def _of_number(unit: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not _NUMBER.fullmatch(text):
            raise ValueError("not a number")
        return int(_WIDE.multiply(Decimal(text), Decimal(unit)))

    return parse


def _of_iso(zone: ZoneInfo | None) -> Callable[[str], int]:
    def parse(text: str) -> int:
        fraction = _FRACTION.search(text)
        whole = text if fraction is None else text[: fraction.start()] + text[fraction.end() :]
        nanos = 0 if fraction is None else int(fraction[1].ljust(9, "0"))
        return _nanos(datetime.fromisoformat(whole), zone) + nanos

    return parse


def _of_format(form: str, zone: ZoneInfo | None) -> Callable[[str], int]:
    def parse(text: str) -> int:
        return _nanos(datetime.strptime(text, form), zone)  # noqa: DTZ007 - the zone is put in right after

    return parse


def _nanos(moment: datetime, zone: ZoneInfo | None) -> int:
    if moment.tzinfo is None:
        if zone is None:
            raise ValueError("no offset, and the map names no zone")
        moment = moment.replace(tzinfo=zone)
    since = moment - _EPOCH
    return (since // timedelta(microseconds=1)) * 1_000
