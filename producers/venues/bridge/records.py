"""From a message's bytes to records: mappings of a field's name to text, number, list or mapping, numbers as text.

Times as others write them: ISO 8601, seconds to nanoseconds since 1970, or a strptime format with a time zone.
"""

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from producers.venues.bridge.map import Constant, Input, mistake
from tapewatch.clock import LATEST_NS, NANOS

MAX_ROWS = 50_000
"""Rows of one message at most."""

_LARGEST = 10**300


class UnfitError(Exception):
    """A message or row that gives no row. reason : dead-letter reason; detail : what exactly"""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


@dataclass(frozen=True, slots=True)
class Record:
    """One row of a message: the places in which a path is looked up, in this order.

    line : its own bytes where it is a line of CSV
    """

    layers: tuple[Mapping[str, Any], ...]
    line: bytes = b""

    @property
    def raw(self) -> bytes:
        """The row's own bytes; of JSON as it is written anew."""
        return self.line or msgspec.json.encode(self.layers[0])

    def get(self, path: str) -> Any:
        """What lies at a dotted path, None where nothing does; a name that holds dots itself comes first."""
        for layer in self.layers:
            found = at_path(layer, path)
            if found is not None:
                return found
        return None

    def text(self, path: str) -> str:
        """The text at a path without blanks around it, empty where there is none."""
        return plain_text(self.get(path))


@dataclass(frozen=True, slots=True)
class BadRecord:
    """A row of a message that cannot be read. raw : its own bytes"""

    error: UnfitError
    raw: bytes


def at_path(tree: Any, path: str) -> Any:
    """What lies at a dotted path of mappings and lists, or None."""
    if isinstance(tree, Mapping) and path in tree:
        return tree[path]
    for name in path.split(".") if path else ():
        if isinstance(tree, Mapping):
            tree = tree.get(name)
        elif isinstance(tree, list) and name.isdecimal() and int(name) < len(tree):
            tree = tree[int(name)]
        else:
            return None
    return tree


def plain_text(value: Any) -> str:
    """A text or number as text; empty for anything else."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < _LARGEST:
        return str(value)
    return ""


class Reader:
    """Reads messages of one input."""

    def __init__(self, source: Input, constants: Mapping[str, Constant]) -> None:
        self._source = source
        self._constants = {name: value if isinstance(value, str) else str(value) for name, value in constants.items()}
        # A number's text is kept: whether it survives the way into float64 is told from the text alone.
        self._json = msgspec.json.Decoder(float_hook=str)

    def records(self, value: bytes | None) -> list[Record | BadRecord]:
        """The records of a message; UnfitError where it holds none."""
        if not value:
            raise UnfitError("empty", "a message without a value")
        text = self._decoded(value)
        if not self._source.unwrap:
            layers: tuple[Mapping[str, Any], ...] = (self._constants,)
            return self._of_lines(text, layers) if self._csv else _of_tree(self._parsed(text), layers)
        around = self._parsed(text)
        if not isinstance(around, dict):
            raise UnfitError("not_an_object", f"a JSON {type(around).__name__} around the message proper")
        layers = (around, self._constants)
        wrapped = at_path(around, self._source.unwrap)
        if isinstance(wrapped, str):
            return self._of_lines(wrapped, layers) if self._csv else _of_tree(self._parsed(wrapped), layers)
        if wrapped is None or self._csv:
            raise UnfitError("missing_field", f"no text at {self._source.unwrap}")
        return _of_tree(wrapped, layers)

    @property
    def _csv(self) -> bool:
        return self._source.format == "csv"

    def _decoded(self, value: bytes) -> str:
        try:
            return value.decode(self._source.encoding).removeprefix("\ufeff")
        except UnicodeDecodeError as error:
            raise UnfitError("bad_encoding", str(error)) from error

    def _parsed(self, text: str) -> Any:
        try:
            return self._json.decode(text)
        except (ValueError, RecursionError) as error:
            raise UnfitError("not_json", str(error) or "nested too deep") from error

    def _of_lines(self, text: str, layers: tuple[Mapping[str, Any], ...]) -> list[Record | BadRecord]:
        lines = [line for line in text.splitlines() if line.strip()]
        names: Sequence[str] = self._source.header
        if self._source.header == "first" and lines:
            names = [name.strip() for name in self._cells(lines.pop(0))]
        _check_count(len(lines))
        return [self._of_line(line, names, layers) for line in lines]

    def _of_line(self, line: str, names: Sequence[str], layers: tuple[Mapping[str, Any], ...]) -> Record | BadRecord:
        raw = line.encode("utf-8", "replace")
        try:
            cells = self._cells(line)
        except UnfitError as error:
            return BadRecord(error, raw)
        if len(cells) != len(names):
            return BadRecord(UnfitError("bad_csv", f"{len(cells)} cells where {len(names)} are expected"), raw)
        return Record((dict(zip(names, cells, strict=True)), *layers), raw)

    def _cells(self, line: str) -> list[str]:
        source = self._source
        reader = csv.reader(io.StringIO(line), delimiter=source.delimiter, quotechar=source.quote, strict=True)
        try:
            return next(reader, [])
        except csv.Error as error:
            raise UnfitError("bad_csv", str(error)) from error


def _of_tree(tree: Any, layers: tuple[Mapping[str, Any], ...]) -> list[Record | BadRecord]:
    found = tree if isinstance(tree, list) else [tree]
    _check_count(len(found))
    return [_of_element(each, layers) for each in found]


def _of_element(tree: Any, layers: tuple[Mapping[str, Any], ...]) -> Record | BadRecord:
    if isinstance(tree, dict):
        return Record((tree, *layers))
    what = f"a JSON {type(tree).__name__} where an object is expected"
    return BadRecord(UnfitError("not_an_object", what), msgspec.json.encode(tree))


def _check_count(count: int) -> None:
    if not 0 < count <= MAX_ROWS:
        raise UnfitError("bad_row_count", f"{count} rows in one message")


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
