"""Books to train and judge the book model on: recordings with injected manipulation, and synthetic markets."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from benchmarks.injection import BOOK_SCENARIOS, Plan, RecordedMarket, inject
from benchmarks.training_data import START_NS
from detectors.book.batch import Tape, features
from detectors.book.training import Example
from producers.synthetic import SyntheticConfig, SyntheticMarket
from tapewatch.clock import NANOS
from tapewatch.contract.rows import Rows, RowType

TYPES = (RowType.TRADE, RowType.QUOTE, RowType.BOOK)
TRADE_COLUMNS = ("price", "qty", "aggressor_side")
QUOTE_COLUMNS = ("bid_price", "bid_qty", "ask_price", "ask_qty")

Columns = dict[str, Any]


def tape(tables: dict[RowType, Columns]) -> Tape:
    """Columns of each row type, in order of receipt, as the batch takes them."""
    trade, quote, book = (tables[row_type] for row_type in TYPES)
    return Tape(
        trade["ts_recv"],
        np.column_stack([np.asarray(trade[name], dtype=np.float64) for name in TRADE_COLUMNS]),
        quote["ts_recv"],
        np.column_stack([quote[name] for name in QUOTE_COLUMNS]),
        book["ts_recv"],
        np.concatenate([book[name] for name in QUOTE_COLUMNS], axis=1),
    )


def recorded(market: RecordedMarket, plan: Plan, seed: int) -> Example:
    """One recording with manipulation and look-alikes in it."""
    injected = inject(market, plan, seed)
    second, x = features(tape({rows.type: rows.columns for rows in injected.rows}))
    events = [(label.scenario, label.begin / NANOS, label.end / NANOS) for label in injected.manipulations]
    return Example(market.name, plan.strengths[0] if len(plan.strengths) == 1 else 0.0, second, x, events)


def untouched(market: RecordedMarket) -> Example:
    """A recording as it is."""
    second, x = features(tape(market.rows))
    return Example(market.name, 0.0, second, x, [])


def synthetic(config: SyntheticConfig, seed: int, weight: float) -> Iterator[Example]:
    """Each instrument of a synthetic market; what is not of the book (pumps, ramps, news, halts) is ordinary here."""
    run = SyntheticMarket(config, seed, START_NS)
    tables = {row_type: _joined(parts) for row_type, parts in _rows(run).items()}
    source = f"synthetic {config.rows_per_second / config.instruments:g}"
    for code, instrument in enumerate(each.id for each in run.instruments):
        own = {row_type: _of(columns, code) for row_type, columns in tables.items()}
        if not all(len(columns["ts_recv"]) for columns in own.values()):
            continue
        second, x = features(tape(own))
        events = [
            (label.scenario, label.start_ns / NANOS, label.end_ns / NANOS)
            for label in run.labels()
            if label.instrument == instrument and label.scenario in BOOK_SCENARIOS
        ]
        yield Example(source, 0.0, second, x, events, weight)


def _rows(run: SyntheticMarket) -> dict[RowType, list[Rows]]:
    parts: dict[RowType, list[Rows]] = {row_type: [] for row_type in TYPES}
    for chunk in run.chunks():
        for rows in chunk.rows:
            if rows.type in parts and len(rows):
                parts[rows.type].append(rows)
    return parts


def _joined(parts: Sequence[Rows]) -> Columns:
    wanted = [name for name in parts[0].columns if name in (*TRADE_COLUMNS, *QUOTE_COLUMNS, "ts_recv", "instrument")]
    return {name: np.concatenate([rows.columns[name] for rows in parts]) for name in wanted}


def _of(columns: Columns, code: int) -> Columns:
    mine = np.flatnonzero(columns["instrument"] == code)
    order = mine[np.argsort(columns["ts_recv"][mine], kind="stable")]
    return {name: column[order] for name, column in columns.items()}
