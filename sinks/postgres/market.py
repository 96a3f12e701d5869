"""Accepted market frames as rows of their tables."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sinks.postgres import tables
from sinks.postgres.binary import PackedRows, StringColumn, absent, pack, texts_of
from sinks.postgres.keys import Keys
from sinks.postgres.tables import Table
from tapewatch.contract import checks
from tapewatch.contract.frames import View
from tapewatch.contract.rows import REQUIRED, RowType
from tapewatch.errors import ContractError
from tapewatch.market_log.admission import AdmittedFrame

TABLES = {
    RowType.QUOTE: tables.QUOTES,
    RowType.TRADE: tables.TRADES,
    RowType.BOOK: tables.BOOKS,
    RowType.ORDER: tables.ORDERS,
    RowType.STATUS: tables.STATUS,
    RowType.BAR: tables.BARS,
}
VENUE = 1
"""Origin of the venue's own bars; the engine's have 0."""

_REMEMBERED = 4096
_REMEMBERED_BYTES = 65_536
"""Of a dictionary; one that is larger hardly comes again."""


class MarketFrames:
    """Turns accepted frames into packed rows; remembers dictionaries and schemas, which repeat from frame to frame."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._ids: dict[tuple[bytes, bytes], npt.NDArray[np.int32]] = {}
        self._text_columns: dict[bytes, frozenset[str]] = {}

    def pack(self, admitted: AdmittedFrame, log: int, offset: int) -> PackedRows | None:
        """The rows of a frame at `offset` of the log numbered `log` that are kept; None where there is none."""
        view = admitted.view
        keep: Any = admitted.stored() if admitted.refused else slice(None)
        if admitted.refused and not len(keep):
            return None
        table = TABLES[view.type]
        columns = {"log_id": log, "log_offset": offset, **_columns(view, keep)}
        columns["instrument_id"] = self._instruments(admitted)[view.column("instrument")[keep]]
        texts = [text.take(keep) for text in self._texts(view, table)] if table.texts else []
        return pack(table, columns, texts)

    def _instruments(self, admitted: AdmittedFrame) -> npt.NDArray[np.int32]:
        """The number of each dictionary entry; 0 for one that no accepted row uses."""
        slots = admitted.slots
        key = (admitted.view.dictionary, slots.tobytes())
        known = self._ids.get(key)
        if known is None:
            known = np.zeros(len(slots), dtype=np.int32)
            usable = np.flatnonzero((slots >= 0) | (slots == checks.EVERY))
            names = admitted.view.names()
            known[usable] = self._keys.instruments([names[entry] for entry in usable])
            if len(self._ids) >= _REMEMBERED:
                self._ids.clear()
            if len(key[0]) <= _REMEMBERED_BYTES:
                self._ids[key] = known
        return known

    def _texts(self, view: View, table: Table) -> list[StringColumn]:
        """The table's text columns; NULL (empty where required) where the frame has none, or text that is not UTF-8."""
        present = self._present(view)
        missing = {name: absent(view.rows, 0 if name in table.required else -1) for name in table.texts}
        if not present.intersection(table.texts):
            return [missing[name] for name in table.texts]
        try:
            batch = view.batch()
        except ContractError:
            return [missing[name] for name in table.texts]
        return [texts_of(batch.column(name)) if name in present else missing[name] for name in table.texts]

    def _present(self, view: View) -> frozenset[str]:
        """Names of the frame's columns, by its schema message."""
        message = view.data[: 8 + int.from_bytes(view.data[4:8], "little")]
        known = self._text_columns.get(message)
        if known is None:
            if len(self._text_columns) >= _REMEMBERED:
                self._text_columns.clear()
            known = self._text_columns[message] = frozenset(pa.ipc.read_schema(pa.py_buffer(message)).names)
        return known


def _columns(view: View, keep: Any) -> dict[str, Any]:
    """A frame's fixed-width columns under the names of the table."""
    if view.type is RowType.BAR:
        return _bar_columns(view, keep)
    columns: dict[str, Any] = {f"{name}_ns": view.column(name)[keep] for name in ("ts_event", "ts_recv")}
    for name, kind in REQUIRED[view.type][3:]:
        if pa.types.is_string(kind):
            continue
        values = view.column(name)[keep]
        if values.ndim == 2:
            columns.update({f"{name}_{level + 1}": values[:, level] for level in range(tables.BEST)})
        else:
            columns[name] = values
    return columns


def _bar_columns(view: View, keep: Any) -> dict[str, Any]:
    """A venue's bar: `ts_ns` is when it was received."""
    names = ("interval_s", "open", "high", "low", "close", "volume", "trades")
    columns: dict[str, Any] = {name: view.column(name)[keep] for name in names}
    times = {"ts_ns": view.column("ts_recv")[keep], "ts_open_ns": view.column("ts_open")[keep]}
    return {**columns, **times, "origin": VENUE}
