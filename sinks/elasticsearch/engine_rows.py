"""The engine's frames as documents: one-minute bars, the features at each minute's close, scores above a floor."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sinks.elasticsearch import mappings
from sinks.elasticsearch.documents import ECS_VERSION
from sinks.elasticsearch.item import Item, action, daily, encode
from sinks.engine_frame import KEYS, KINDS, column_of, model_of, numbers_of, open_frame, stamps_of
from tapewatch.clock import NANOS
from tapewatch.errors import ContractError
from tapewatch.frames import Headers
from tapewatch.instruments import is_instrument_id
from tapewatch.rfc3339 import to_rfc3339

MINUTE = 60 * NANOS
Origin = tuple[str, int, int]


class EngineRows:
    """Turns the engine's frames into items. score_floor : least calibrated probability of a score that is kept"""

    def __init__(self, prefix: str, score_floor: float) -> None:
        self._prefix, self._floor = prefix, np.float32(score_floor)

    def items(self, origin: Origin, value: bytes | None, headers: Headers) -> Iterator[Item]:
        """The documents of a record. ContractError with the dead-letter reason where it is no frame of the topic."""
        topic = origin[0]
        batch, kind = open_frame(topic, value, headers)
        if kind != KINDS[topic][0] or not batch.num_rows:
            return
        stamps = stamps_of(batch)
        rows = self._wanted(batch, kind, stamps)
        if not len(rows):
            return
        name, documents = {
            "features": (mappings.FEATURES, _features),
            "scores": (mappings.SCORES, _scores),
            "bars": (mappings.BARS, _bars),
        }[kind]
        chosen = batch.take(pa.array(rows))
        parts = documents(chosen)
        own = {"features": "feature", "scores": "score", "bars": "bar"}[kind]
        dataset = {"kind": "metric", "module": "tapewatch", "dataset": f"tapewatch.{name}"}
        times: dict[int, str] = {}
        for row, instrument, ts, part in zip(
            rows.tolist(), _instruments(chosen), stamps[rows].tolist(), parts, strict=True
        ):
            at = times.get(ts) or times.setdefault(ts, to_rfc3339(ts))
            symbol, _, venue = instrument.rpartition(".")
            source = encode(
                {
                    "@timestamp": at,
                    "ecs": {"version": ECS_VERSION},
                    "event": dataset,
                    "tapewatch": {"instrument": instrument, "symbol": symbol, "venue": venue, own: part},
                }
            )
            id_ = f"{origin[1]}-{origin[2]}-{row}"
            yield Item(name, action(daily(self._prefix, name, at), id_), source, origin, source)

    def _wanted(self, batch: pa.RecordBatch, kind: str, stamps: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Numbers of the rows that are kept."""
        if kind == "features":
            return np.flatnonzero(stamps % MINUTE == 0)
        if kind == "bars":
            return np.flatnonzero(numbers_of(batch, "interval_s", pa.int32()) == 60)
        # NaN, a detector without a calibration, is below every floor.
        return np.flatnonzero(numbers_of(batch, "probability", pa.float32()) >= self._floor)


def _instruments(batch: pa.RecordBatch) -> list[str]:
    """Each row's instrument."""
    column = column_of(batch, "instrument")
    names: list[str] = column.cast(pa.utf8()).to_pylist() if pa.types.is_dictionary(column.type) else column.to_pylist()
    for name in set(names):
        if not is_instrument_id(name or ""):
            raise ContractError("malformed_instrument", f"{name!r} is not an instrument id")
    return names


def _features(batch: pa.RecordBatch) -> Iterator[dict[str, Any]]:
    """Feature by name; one that is not warm is left out."""
    names = [name for name in batch.schema.names if name not in KEYS]
    table = np.stack([numbers_of(batch, name, pa.float32()) for name in names], axis=1)
    for values in table.tolist():
        # A NaN alone differs from itself.
        yield {name: value for name, value in zip(names, values, strict=True) if value == value}


def _bars(batch: pa.RecordBatch) -> Iterator[dict[str, Any]]:
    """Prices and amounts of a minute."""
    names = [
        name
        for name in ("open", "high", "low", "close", "volume", "trades", "buys", "sells")
        if name in batch.schema.names
    ]
    table = np.stack([numbers_of(batch, name, pa.float64()) for name in names], axis=1)
    for values in table.tolist():
        yield dict(zip(names, values, strict=True))


def _scores(batch: pa.RecordBatch) -> Iterator[dict[str, Any]]:
    """Scores with name and version of their detector."""
    detectors = numbers_of(batch, "detector", pa.int64()).tolist()
    named = {number: model_of(batch.schema.metadata, number) for number in set(detectors)}
    raw, probability = (numbers_of(batch, name, pa.float32()).tolist() for name in ("raw", "probability"))
    for number, value, chance in zip(detectors, raw, probability, strict=True):
        detector, version = named[number]
        yield {"detector": detector, "version": version, "raw": value, "probability": chance}
