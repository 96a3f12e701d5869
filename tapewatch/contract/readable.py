"""Any Kafka record in a form a person can read: frames as rows, JSON as trees, anything else as a preview."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from rich.cells import cell_len

from tapewatch.contract.frames import read_stream
from tapewatch.contract.message import UNREADABLE
from tapewatch.errors import ContractError
from tapewatch.logs import printable
from tapewatch.rfc3339 import to_rfc3339

PREVIEW_BYTES = 64
LEVELS_SHOWN = 3

Headers = Mapping[str, str | bytes | None] | Sequence[tuple[str, str | bytes | None]]
Kind = Literal["frame", "json", "text", "binary", "tombstone"]
_ARROW_STREAM = b"\xff\xff\xff\xff"


@dataclass(frozen=True, slots=True)
class Content:
    """What a record's value holds.

    rows : a frame's rows, times as RFC 3339 text, NaN and null as None; total : how many rows the frame has in all
    tree : a JSON value, a text, or a hexadecimal preview; note : why a value that looks like a frame is shown as bytes
    """

    kind: Kind
    size: int
    rows: list[dict[str, Any]] = field(default_factory=list)
    total: int = 0
    tree: Any = None
    note: str = ""


def read(value: bytes | None, instrument: str = "", limit: int | None = None) -> Content | None:
    """Read a record's value; None where `instrument` is given and the value does not speak of it.

    instrument : keep only rows and messages of this id; limit : rows of a frame to keep at most, None for all
    """
    if value is None:
        return None if instrument else Content("tombstone", 0)
    if value.startswith(_ARROW_STREAM):
        try:
            return _frame(value, instrument, limit)
        except ContractError as error:
            return None if instrument else _binary(value, error.message)
        except (UnicodeDecodeError, pa.ArrowException) as error:
            return None if instrument else _binary(value, str(error))
    try:
        tree = msgspec.json.decode(value)
    except UNREADABLE:
        return None if instrument else _text_or_binary(value)
    if instrument and not _speaks_of(tree, instrument):
        return None
    return Content("json", len(value), tree=tree)


def _speaks_of(tree: Any, instrument: str) -> bool:
    """Whether a JSON message names the instrument: itself, by `id` as reference data does, or in its list."""
    if not isinstance(tree, dict):
        return False
    listed = tree.get("instruments")
    return instrument in (tree.get("instrument"), tree.get("id")) or (isinstance(listed, list) and instrument in listed)


def _frame(value: bytes, instrument: str, limit: int | None) -> Content | None:
    """A frame's rows; ContractError where it is none."""
    batch = read_stream(value)
    if instrument:
        if "instrument" not in batch.schema.names:
            return None
        batch = batch.filter(pc.equal(batch.column("instrument").cast(pa.utf8()), instrument))
        if not batch.num_rows:
            return None
    kept = batch if limit is None else batch.slice(0, limit)
    columns = [_plain(column) for column in kept.columns]
    rows = [dict(zip(kept.schema.names, values, strict=True)) for values in zip(*columns, strict=True)]
    _name_detectors(rows, (kept.schema.metadata or {}).get(b"tapewatch.detectors", b"").decode(errors="replace"))
    return Content("frame", len(value), rows=rows, total=batch.num_rows)


def _name_detectors(rows: list[dict[str, Any]], names: str) -> None:
    """Put names for detector codes, where the frame's metadata lists them."""
    known = dict(enumerate(names.split(","))) if names else {}
    for row in rows:
        if "detector" in row:
            row["detector"] = known.get(row["detector"], row["detector"])


def _plain(column: pa.Array) -> list[Any]:
    """A column's values as JSON can hold them."""
    if pa.types.is_timestamp(column.type):
        nanos = column.cast(pa.timestamp("ns", tz=column.type.tz)).cast(pa.int64())
        return [None if value is None else to_rfc3339(value) for value in nanos.to_pylist()]
    if pa.types.is_float32(column.type):
        # The shortest text that gives the same float32: 0.1, not 0.10000000149.
        return [None if value is None or math.isnan(value) else float(f"{value:.8g}") for value in column.to_pylist()]
    return [_finite(value) for value in column.to_pylist()]


def _finite(value: Any) -> Any:
    """NaN as None and infinities as text, within lists too; bytes as hexadecimal."""
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return value.hex() if isinstance(value, bytes) else value


def _text_or_binary(value: bytes) -> Content:
    """UTF-8 text where it is such without control characters, a preview otherwise."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return _binary(value)
    return Content("text", len(value), tree=text) if printable(text) == text else _binary(value)


def _binary(value: bytes, note: str = "") -> Content:
    """The first bytes as hexadecimal."""
    return Content("binary", len(value), tree=value[:PREVIEW_BYTES].hex(" ", -4), note=note)


def header_texts(headers: Headers | None) -> dict[str, str]:
    """Kafka headers as text; bytes that are no UTF-8 as hexadecimal."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers or ()
    return {name: key_text(value) or "" for name, value in pairs}


def key_text(key: str | bytes | None) -> str | None:
    """A key as text, or as hexadecimal where it is no UTF-8."""
    if key is None or isinstance(key, str):
        return key
    try:
        return key.decode()
    except UnicodeDecodeError:
        return key.hex()


def lines(content: Content, width: int) -> list[str]:
    """The content as lines for a terminal of `width` cells, free of control characters."""
    if content.kind == "frame":
        shown = table(content.rows, width)
        more = content.total - len(content.rows)
        return [*shown, f"  ... {more} more rows"] if more else shown
    if content.kind == "json":
        pretty = json.dumps(content.tree, indent=2, ensure_ascii=False)
        return ["  " + printable(line) for line in pretty.split("\n")]
    if content.kind == "binary":
        note = f" ({printable(content.note)})" if content.note else ""
        return [f"  {content.size} bytes{note}: {content.tree}{' ...' if content.size > PREVIEW_BYTES else ''}"]
    return ["  (deleted)" if content.kind == "tombstone" else f"  {content.tree}"]


def table(rows: Sequence[Mapping[str, Any]], width: int) -> list[str]:
    """Aligned columns, numbers to the right; what does not fit goes into blocks that repeat the first column."""
    if not rows:
        return []
    columns = [_column(name, [row[name] for row in rows]) for name in rows[0]]
    blocks: list[list[list[str]]] = [[columns[0]]]
    used = cell_len(columns[0][0]) + 2
    for column in columns[1:]:
        need = cell_len(column[0]) + 2
        if used + need > width and len(blocks[-1]) > 1:
            blocks.append([columns[0]])
            used = cell_len(columns[0][0]) + 2
        blocks[-1].append(column)
        used += need
    return ["  " + "  ".join(cells).rstrip() for block in blocks for cells in zip(*block, strict=True)]


def _column(name: str, values: list[Any]) -> list[str]:
    """Heading and cells of one column, padded to one width."""
    cells = [printable(name), *(cell(value) for value in values)]
    wide = max(map(cell_len, cells))
    right = all(value is None or isinstance(value, (int, float, list)) for value in values)
    pads = [" " * (wide - cell_len(text)) for text in cells]
    return [pad + text if right else text + pad for pad, text in zip(pads, cells, strict=True)]


def cell(value: Any) -> str:
    """One value for the eye: `-` for NaN and null, the best levels of a book side."""
    if value is None:
        return "-"
    if isinstance(value, list):
        present = [item for item in value if item is not None]
        more = len(present) - LEVELS_SHOWN
        return "[" + " ".join(cell(item) for item in present[:LEVELS_SHOWN]) + (f" +{more}]" if more > 0 else "]")
    return f"{value:.12g}" if isinstance(value, float) else printable(str(value))
