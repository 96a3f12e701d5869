"""The book detector's feature matrix of a tape's deep instruments, over whole arrays of the rows that count."""

from typing import Any

import numpy as np

from detectors.book import batch
from detectors.book.features import NAMES
from tapewatch.contract.rows import RowType
from tapewatch.errors import ContractError
from tapewatch.market_log.admission import Admission
from tapewatch.market_log.registry import FixedRegistry
from tests.golden.engine import Row
from tests.golden.tape import Tape

COLUMNS = {
    RowType.TRADE: ("price", "qty", "aggressor_side"),
    RowType.QUOTE: ("bid_price", "bid_qty", "ask_price", "ask_qty"),
    RowType.BOOK: ("bid_price", "bid_qty", "ask_price", "ask_qty"),
}


def outputs(tape: Tape) -> dict[str, list[Row]]:
    """A row for each second of each instrument, all features as numbers."""
    found: list[Row] = []
    for name in tape.deep:
        seconds, matrix = batch.features(_tape_of(tape, name))
        for second, values in zip(seconds.tolist(), matrix.tolist(), strict=True):
            found.append({"instrument": name, "second": second, **dict(zip(NAMES, values, strict=True))})
    return {"book features": found}


def _tape_of(tape: Tape, name: str) -> batch.Tape:
    """Accepted rows of an instrument."""
    admission = Admission(FixedRegistry(tape.instruments))
    times: dict[RowType, list[Any]] = {kind: [] for kind in COLUMNS}
    values: dict[RowType, list[Any]] = {kind: [] for kind in COLUMNS}
    for record in tape.records:
        try:
            admitted = admission.admit(record.value, record.headers, record.appended)
        except ContractError:
            continue
        if admitted is None or admitted.view.type not in COLUMNS:
            continue
        view = admitted.view
        entries = [slot >= 0 and admission.names[slot] == name for slot in admitted.slots.tolist()]
        chosen = np.flatnonzero(np.array(entries)[view.column("instrument")] & (admitted.reasons == 0))
        times[view.type].append(view.column("ts_recv")[chosen])
        values[view.type].append(np.column_stack([view.column(column)[chosen] for column in COLUMNS[view.type]]))
    parts: list[Any] = [np.concatenate(each[kind]) for kind in COLUMNS for each in (times, values)]
    return batch.Tape(*parts)
