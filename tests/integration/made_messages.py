"""Messages with a value of its own in every field, and the row that each is by the names of its columns alone."""

import itertools
from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from tapewatch.contract.messages import Case, Cause, Message, stable_id
from tapewatch.contract.rows import EVERY_INSTRUMENT
from tapewatch.rfc3339 import from_rfc3339, to_rfc3339

START = 1_700_000_000_000_000_000
TIMES = {
    *("onset", "decided", "updated", "created", "at", "ts", "start", "end", "as_of", "published", "published_at"),
    *("received", "opened", "closed", "starts", "expires"),
}
"""Names of the fields that are times."""
_OTHERWISE = {"order_id": "order", "case_id": "case"}
"""Columns that are not called like their field."""

M = TypeVar("M", bound=msgspec.Struct)


def made(kind: type[M], salt: int, **given: Any) -> M:
    """A message of which every field differs from every other one's and from those of another salt, 0 to 9."""
    return _made(kind, salt, itertools.count(1), given)


def _made(kind: type[M], salt: int, numbers: "itertools.count[int]", given: dict[str, Any]) -> M:
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        if field.name != "version":
            values[field.name] = _value(field.name, inspect.type_info(field.type), salt, numbers)
    return kind(**(values | given))


def _value(name: str, kind: inspect.Type, salt: int, numbers: "itertools.count[int]") -> Any:
    match kind:
        case inspect.Metadata():
            return _value(name, kind.type, salt, numbers)
        case inspect.UnionType():
            return _value(name, next(t for t in kind.types if not isinstance(t, inspect.NoneType)), salt, numbers)
        case inspect.StructType():
            return _made(kind.cls, salt, numbers, {"topic": "market.made"} if kind.cls is Cause else {})
        case inspect.VarTupleType():
            return (_value(name, kind.item_type, salt, numbers), _value(name, kind.item_type, salt, numbers))
        case inspect.DictType():
            return {f"{name} {next(numbers)} {salt}": _value(name, kind.value_type, salt, numbers)}
        case inspect.LiteralType():
            return kind.values[salt % len(kind.values)]
    return _plain(name, kind, salt, 10 * next(numbers) + salt)


def _plain(name: str, kind: inspect.Type, salt: int, number: int) -> Any:
    match kind:
        case inspect.BoolType():
            return bool(salt % 2)
        case inspect.FloatType():
            # Within every field's limits, and a fraction that a double holds to the last bit.
            return number / 16384
        case inspect.IntType():
            return number if kind.le is None else 1 + salt % kind.le
        case inspect.StrType() if name in TIMES:
            return to_rfc3339(START + number)
        case inspect.StrType() if kind.pattern and "{32}" in kind.pattern:
            return stable_id(str(number))
        case inspect.StrType() if name == "instrument":
            return f"M{number}.XTST"
        case inspect.StrType():
            return f"{name} {number}"
    raise AssertionError(f"no value for {name}: {kind}")


def row_of(message: Message, columns: Iterable[str]) -> dict[str, Any]:
    """What these columns hold of a message: what its fields of those names do."""
    return {column: _cell(message, column) for column in columns}


def _cell(message: Any, column: str) -> Any:
    if column == "instrument_id":
        return message.instrument or EVERY_INSTRUMENT
    if column in ("log_id", "log_offset"):
        cause = message.cause
        return None if cause is None else (cause.topic, cause.partition) if column == "log_id" else cause.offset
    if column.endswith("_ns"):
        base = column.removesuffix("_ns")
        time = getattr(message, base) if hasattr(message, base) else getattr(message, f"{base}_at")
        return from_rfc3339(time) if time else None
    if isinstance(message, Case) and column in ("alerts", "raising"):
        return len([each for each in message.alerts if column == "alerts" or not each.inhibited])
    return msgspec.json.decode(msgspec.json.encode(getattr(message, _OTHERWISE.get(column, column))))
