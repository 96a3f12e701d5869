"""Readers of single values: a map's entry for a column becomes a function from a record to the column's value."""

import re
from collections.abc import Callable, Mapping
from decimal import Context, Decimal, InvalidOperation
from enum import IntEnum
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from producers.columns import decimal_float
from producers.venues.bridge.map import Value, mistake
from producers.venues.bridge.records import Record, UnfitError, at_path, plain_text, time_reader
from tapewatch.contract.rows import BOOK_LEVELS, Condition, OrderAction, StatusKind

Read = Callable[[Record], Any]

TEXT_LIMIT = 256
"""Characters of a text column."""

_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_NUMBER_CHARS = 64
_WIDE = Context(prec=200)
_SIDES = {"buy": 1, "sell": -1, "unknown": 0}
_NAN = float("nan")


def _labels(kind: type[IntEnum]) -> dict[str, int]:
    return {member.name.lower(): int(member) for member in kind}


NAMES: dict[str, Mapping[str, int]] = {
    "aggressor_side": _SIDES,
    "side": _SIDES,
    "condition": _labels(Condition),
    "action": _labels(OrderAction),
    "kind": _labels(StatusKind),
}
"""Columns of codes, and the names that a map may use for them."""


def value_reader(key: str, column: str, kind: pa.DataType, entry: Value, lenient: bool) -> Read:
    """The reader of one column. key : of the map, for errors; lenient : whether a missing number is NaN"""
    read = _reader(key, column, kind, entry, lenient)
    if entry.value is None:
        return read
    try:
        value = read(Record(({},)))
    except UnfitError as error:
        raise mistake(f"{key}.value", f"{entry.value!r} does not fit: {error.detail}") from error
    return lambda _: value


def _reader(key: str, column: str, kind: pa.DataType, entry: Value, lenient: bool) -> Read:
    if pa.types.is_timestamp(kind):
        return time_reader(key, text_reader(key, entry), entry.time or "iso", entry.zone)
    if pa.types.is_fixed_size_list(kind):
        return _levels(key, column, entry)
    if pa.types.is_string(kind):
        return _checked_text(column, text_reader(key, entry))
    if pa.types.is_floating(kind):
        text = text_reader(key, entry, lenient)
        number = _number(key, column, entry)
        return lambda record: number(text(record))
    return _whole(key, column, np.iinfo(kind.to_pandas_dtype()), entry)


def text_reader(key: str, entry: Value, lenient: bool = False) -> Callable[[Record], str]:
    """A reader of the text that an entry speaks of: UnfitError where it is missing, an empty text where `lenient`."""
    paths = (entry.path,) if isinstance(entry.path, str) else entry.path
    default = None if entry.default is None else str(entry.default)
    if entry.value is not None:
        if any(paths):
            raise mistake(key, "it has a path and a value", "Keep one of the two.")
        constant = str(entry.value)
        return lambda _: constant
    if not paths or not all(paths):
        raise mistake(key, "it has neither path nor value", 'Write "path.in.the.message" or { value = ... }.')

    first = paths[0] if len(paths) == 1 else ""

    def read(record: Record) -> str:
        text = record.text(first) if first else " ".join(filter(None, (record.text(path) for path in paths)))
        if text:
            return text
        if default is not None:
            return default
        if lenient:
            return ""
        raise UnfitError("missing_field", f"nothing at {' '.join(paths)}")

    return read


def _checked_text(column: str, read: Callable[[Record], str]) -> Read:
    def checked(record: Record) -> str:
        text = read(record)
        if len(text) > TEXT_LIMIT or not _encodes(text):
            raise UnfitError("bad_text", f"{column}: {len(text)} characters")
        return text

    return checked


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _digits(key: str, column: str, entry: Value) -> Callable[[str], str]:
    """From a text to the decimal text it means; an empty one stays empty."""
    try:
        factor = Decimal(str(entry.scale))
    except InvalidOperation as error:
        raise mistake(f"{key}.scale", f"{entry.scale!r} is not a number", "Write a factor such as 1000.") from error
    if not factor.is_finite():
        raise mistake(f"{key}.scale", "it is not finite", "Write a factor such as 1000.")
    values = {name: str(value) for name, value in entry.values.items()}
    absolute, thousands, scaled = entry.absolute, entry.thousands, factor != 1

    def digits(text: str) -> str:
        text = values.get(text, text)
        if thousands:
            text = text.replace(thousands, "")
        if absolute:
            text = text.lstrip("+-")
        if text and (len(text) > _NUMBER_CHARS or not _NUMBER.fullmatch(text)):
            raise UnfitError("bad_number", f"{column}: {text[:80]!r}")
        return str(_WIDE.multiply(Decimal(text), factor)) if scaled and text else text

    return digits


def _number(key: str, column: str, entry: Value) -> Callable[[str], float]:
    """From a text to a float64 that holds it exactly; an empty text is NaN."""
    digits = _digits(key, column, entry)

    def number(text: str) -> float:
        text = digits(text)
        try:
            return decimal_float(text) if text else _NAN
        except ValueError as error:
            raise UnfitError("not_exact_float", f"{column}: {error}") from error

    return number


def _whole(key: str, column: str, bounds: Any, entry: Value) -> Read:
    """A reader of whole numbers and of codes, which may have names."""
    names, given = NAMES.get(column, {}), {name: str(value) for name, value in entry.values.items()}
    for name, code in given.items():
        if column in NAMES and code.lower() not in names and code not in map(str, names.values()):
            raise mistake(f"{key}.values.{name}", f"{code!r} is no {column}", f"Write one of {', '.join(names)}.")
    text = text_reader(key, entry)
    digits = _digits(key, column, msgspec.structs.replace(entry, values={}))

    def read(record: Record) -> int:
        found = text(record)
        meant = given.get(found, found)
        named = names.get(meant.lower())
        if named is not None:
            return named
        value = Decimal(digits(meant) or "NaN")
        if not value.is_finite() or not bounds.min <= value <= bounds.max or value != int(value):
            raise UnfitError("not_whole", f"{column}: {found[:80]!r}")
        return int(value)

    return read


def _levels(key: str, column: str, entry: Value) -> Read:
    """A reader of ten levels: of a list, or of numbered fields; absent ones are NaN."""
    if not isinstance(entry.path, str) or not entry.path:
        raise mistake(key, "levels need one path", 'Write { path = "bids", item = "0" } or { path = "bid{level}" }.')
    path, item, number = entry.path, entry.item, _number(key, column, entry)

    def texts(record: Record) -> list[str]:
        if "{level}" in path:
            return [record.text(path.replace("{level}", str(level))) for level in range(1, BOOK_LEVELS + 1)]
        found = record.get(path)
        if not isinstance(found, list):
            raise UnfitError("missing_field", f"no list at {path}")
        return [plain_text(at_path(each, item) if item else each) for each in found[:BOOK_LEVELS]]

    def read(record: Record) -> list[float]:
        values = [number(text) for text in texts(record)]
        return values + [_NAN] * (BOOK_LEVELS - len(values))

    return read
