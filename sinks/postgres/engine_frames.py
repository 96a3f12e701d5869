"""The engine's frames (features, scores, bars) as rows of their tables; their schemas are read from the frames."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sinks.engine_frame import KEYS, column_of, model_of, numbers_of, open_frame, stamps_of
from sinks.postgres import tables
from sinks.postgres.binary import PackedRows, pack
from sinks.postgres.keys import Keys
from sinks.postgres.tables import Table
from tapewatch.clock import NANOS
from tapewatch.contract import topics
from tapewatch.contract.frames import Headers
from tapewatch.contract.instruments import is_instrument_id
from tapewatch.errors import ContractError, TapewatchError

ENGINE = 0


class ColumnSource(Protocol):
    """Who sees to it that the table has a column a feature (sinks.postgres.partitions.FeatureColumns does)."""

    def ensure(self, names: Sequence[str]) -> None:
        """Make those that are missing."""
        ...


class EngineFrames:
    """Turns the engine's frames into packed rows."""

    def __init__(self, keys: Keys, columns: ColumnSource) -> None:
        self._keys, self._feature_columns = keys, columns

    def pack(self, topic: str, value: bytes | None, headers: Headers | None) -> PackedRows | None:
        """The rows of a frame; None where it holds none for a table.

        ContractError with the dead-letter reason where it is no such frame.
        """
        batch, kind = open_frame(topic, value, headers)
        if kind.startswith("sealed") or not batch.num_rows:
            return None
        columns = {"instrument_id": self._instruments(batch), "ts_ns": stamps_of(batch)}
        columns |= self._origin(batch, headers)
        if kind == "features":
            return self._features(batch, columns)
        return self._scores(batch, columns) if kind == "scores" else _bars(batch, columns)

    def _instruments(self, batch: pa.RecordBatch) -> npt.NDArray[np.int32]:
        """The instrument's number of each row, int32[rows]."""
        column = column_of(batch, "instrument")
        if not pa.types.is_dictionary(column.type) or not pa.types.is_string(column.type.value_type):
            raise ContractError("wrong_schema", f"column instrument is {column.type}, not dictionary-encoded text")
        names, codes = column.dictionary.to_pylist(), column.indices.to_numpy(zero_copy_only=False)
        used = np.unique(codes)
        numbers = np.zeros(len(names), dtype=np.int32)
        for code in used:
            if not is_instrument_id(names[code] or ""):
                raise ContractError("malformed_instrument", f"{names[code]!r} is not an instrument id")
        numbers[used] = self._keys.instruments([names[code] for code in used])
        rows: npt.NDArray[np.int32] = numbers[codes]
        return rows

    def _origin(self, batch: pa.RecordBatch, headers: Headers | None) -> dict[str, Any]:
        """The market log and offset that caused each row."""
        found: dict[str, Any] = dict(headers or ())
        try:
            topic, partition = topics.market(bytes(found["feed"]).decode()), int(found["partition"])
        except (KeyError, TypeError, ValueError, TapewatchError) as error:
            raise ContractError("bad_headers", f"feed or partition missing or malformed: {error!r}") from error
        if not 0 <= partition < 2**31:
            raise ContractError("bad_headers", f"no partition {partition}")
        return {"log_id": self._keys.log(topic, partition), "log_offset": numbers_of(batch, "offset")}

    def _features(self, batch: pa.RecordBatch, columns: dict[str, Any]) -> PackedRows:
        """One real column a feature."""
        names = tuple(name for name in batch.schema.names if name not in KEYS)
        values = {name: numbers_of(batch, name, pa.float32()) for name in names}
        self._feature_columns.ensure(names)
        return pack(_features_table(names), {**columns, **values})

    def _scores(self, batch: pa.RecordBatch, columns: dict[str, Any]) -> PackedRows:
        """Scores with the number of the model that gave them."""
        detectors = numbers_of(batch, "detector", pa.int64())
        models = np.empty(len(detectors), dtype=np.int32)
        for detector in np.unique(detectors):
            models[detectors == detector] = self._keys.model(*model_of(batch.schema.metadata, int(detector)))
        values = {name: numbers_of(batch, name, pa.float32()) for name in ("raw", "probability")}
        return pack(tables.SCORES, {**columns, **values, "model_id": models})


def _bars(batch: pa.RecordBatch, columns: dict[str, Any]) -> PackedRows:
    """Engine-built bars: `ts_ns` is the bar's end."""
    interval = numbers_of(batch, "interval_s", pa.int32())
    values = {name: numbers_of(batch, name, pa.float64()) for name in ("open", "high", "low", "close", "volume")}
    trades = np.nan_to_num(numbers_of(batch, "trades", pa.float64()), posinf=0, neginf=0).astype(np.int64)
    opened = columns["ts_ns"] - interval.astype(np.int64) * NANOS
    more = {"interval_s": interval, "ts_open_ns": opened, "trades": trades, "origin": ENGINE}
    return pack(tables.BARS, {**columns, **values, **more})


@lru_cache(maxsize=64)
def _features_table(names: tuple[str, ...]) -> Table:
    """The table of these columns: made once, so that frames alike are written by one COPY."""
    return tables.features(names)
