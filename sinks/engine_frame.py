"""Opening the engine's frames (features, scores, bars): their schemas are read from the frames."""

from typing import Any

import numpy.typing as npt
import pyarrow as pa

from tapewatch.clock import LATEST_NS
from tapewatch.contract import frames, topics
from tapewatch.contract.frames import Headers
from tapewatch.errors import ContractError

KINDS = {topics.FEATURES: ("features", "sealed"), topics.SCORES: ("scores",), topics.BARS: ("bars", "sealed-minutes")}
"""What may lie in a topic. Sealed-second markers are for readers of the log, not for stores."""

KEYS = ("instrument", "ts", "offset")
"""Columns that every frame has."""


def open_frame(topic: str, value: bytes | None, headers: Headers | None) -> tuple[pa.RecordBatch, str]:
    """The record batch and its kind. ContractError with the dead-letter reason where it is no such frame."""
    if not value:
        raise ContractError("unreadable", "an empty record")
    if len(value) > 4 * frames.MAX_FRAME_BYTES:
        raise ContractError("oversized", f"{len(value)} bytes")
    batch = frames.read_stream(value)
    metadata = batch.schema.metadata or {}
    frames.check_version(metadata.get(b"tapewatch.version", b"").decode("utf-8", "replace"))
    kind = metadata.get(b"tapewatch.type", b"").decode("utf-8", "replace")
    if kind not in KINDS[topic]:
        raise ContractError("wrong_schema", f"{kind or 'nothing'!r} does not belong into {topic}")
    if bytes(dict(headers or ()).get("type") or b"").decode("utf-8", "replace") != kind:
        raise ContractError("bad_headers", f"the frame holds {kind}, its header says otherwise")
    if len(set(batch.schema.names)) != len(batch.schema.names):
        raise ContractError("wrong_schema", "a column is doubled")
    return batch, kind


def column_of(batch: pa.RecordBatch, name: str) -> pa.Array:
    """A column without nulls, checked."""
    if name not in batch.schema.names:
        raise ContractError("wrong_schema", f"column {name} is missing")
    column = batch.column(name)
    if column.null_count or (pa.types.is_dictionary(column.type) and column.dictionary.null_count):
        raise ContractError("null_value", f"column {name} holds a null")
    return column


def numbers_of(batch: pa.RecordBatch, name: str, kind: pa.DataType | None = None) -> npt.NDArray[Any]:
    """A numeric column (times and offsets as int64 where no kind is named)."""
    column = column_of(batch, name)
    try:
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.timestamp("ns", tz="UTC"))
        values: npt.NDArray[Any] = column.cast(kind or pa.int64()).to_numpy(zero_copy_only=False)
    except (pa.ArrowException, NotImplementedError) as error:
        raise ContractError("wrong_schema", f"column {name} is {column.type}") from error
    return values


def stamps_of(batch: pa.RecordBatch) -> npt.NDArray[Any]:
    """The times of a batch with rows, int64[rows], UTC ns; ContractError where one lies outside 1970 to 2200."""
    stamps = numbers_of(batch, "ts")
    if stamps.min() <= 0 or stamps.max() > LATEST_NS:
        raise ContractError("absurd_ts", "a time before 1970 or after 2200")
    return stamps


def model_of(metadata: dict[bytes, bytes], detector: int) -> tuple[str, str]:
    """Name and model version of a detector number, as far as the frame's metadata tells."""
    names = metadata.get(b"tapewatch.detectors", b"").decode("utf-8", "replace").split(",")
    name = names[detector] if 0 <= detector < len(names) and names[detector] else f"detector_{detector}"
    versions = metadata.get(b"tapewatch.versions", b"").decode("utf-8", "replace").split(",")
    known = dict(part.partition("=")[::2] for part in versions)
    return name.replace("\0", "?"), known.get(name, "").replace("\0", "?")
