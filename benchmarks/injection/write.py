"""Injected markets as files: the three Parquet tables and the labels that `tapewatch evaluate scenarios` reads."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.injection.inject import LabelledMarket
from benchmarks.injection.placing import Label
from tapewatch.contract.frames import arrow_array
from tapewatch.contract.messages import to_rfc3339
from tapewatch.contract.rows import OPTIONAL, Rows, schema

Labelled = tuple[str, Label]
"""An instrument and a label of it."""


def write_markets(markets: Sequence[LabelledMarket], folder: Path) -> None:
    """`quotes.parquet`, `trades.parquet`, `books.parquet`, `labels.csv` and `look_alikes.csv` of all markets together,
    in receipt order.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for parts in zip(*(each.rows for each in markets), strict=True):
        tables = [table_of(rows) for rows in parts]
        shared = [name for name in tables[0].column_names if all(name in table.column_names for table in tables)]
        whole = pa.concat_tables([table.select(shared) for table in tables])
        order = np.argsort(np.concatenate([rows.ts_recv for rows in parts]), kind="stable")
        pq.write_table(whole.take(order), folder / f"{parts[0].type.label}s.parquet")
    _write_labels([(each.instrument, label) for each in markets for label in each.manipulations], folder / "labels.csv")
    alike = [(each.instrument, label) for each in markets for label in each.look_alikes]
    _write_labels(alike, folder / "look_alikes.csv")


def table_of(rows: Rows) -> pa.Table:
    """The rows as an Arrow table in the contract's columns."""
    optional = [name for name, _ in OPTIONAL[rows.type] if name in rows.columns]
    layout = schema(rows.type, optional)
    names = pa.array(list(rows.instruments), type=pa.utf8())
    arrays = [
        arrow_array(each.type, np.asarray(rows.columns[each.name]), names if each.name == "instrument" else None)
        for each in layout
    ]
    return pa.Table.from_arrays(arrays, schema=layout)


def _write_labels(labels: Sequence[Labelled], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["scenario", "instrument", "start", "end", "strength"])
        for instrument, label in sorted(labels, key=lambda each: (each[1].begin, each[0])):
            begin, end = to_rfc3339(label.begin), to_rfc3339(label.end)
            writer.writerow([label.scenario, instrument, begin, end, f"{label.strength:g}"])
