"""The engine's own checks on rows before they are sent, so that bad ones are refused with the place they are from."""

import numpy as np

from producers.columns import rows_of
from producers.venues.bridge.translate import Batch, RefusedRow
from tapewatch.clock import LATEST_NS
from tapewatch.contract import frames
from tapewatch.contract.checks import FEED, Reason, check
from tapewatch.contract.rows import Rows

_AT_ONCE = 1_024


def screened(batch: Batch) -> tuple[list[Rows], list[RefusedRow]]:
    """The batch's good rows in the order of ts_recv, at most 1,024 together, and what the engine would refuse."""
    order = sorted(range(len(batch.rows)), key=lambda row: batch.rows[row][2])
    good: list[Rows] = []
    refused: list[RefusedRow] = []
    names = tuple(batch.names)
    for start in range(0, len(order), _AT_ONCE):
        part = order[start : start + _AT_ONCE]
        rows = rows_of(batch.type, names, [batch.rows[row] for row in part], batch.optional)
        reasons = _reasons(rows)
        for place in np.flatnonzero(reasons).tolist():
            label = Reason(int(reasons[place])).label
            refused.append(batch.places[part[place]].refused(label, "the row's values"))
        kept = rows.take(reasons == 0) if reasons.any() else rows
        if len(kept):
            good.append(kept)
    return good, refused


def _reasons(rows: Rows) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    """Each row's reason, 0 where it is good; instruments are not looked at."""
    view = frames.Decoder().open(frames.encode(rows))
    reasons = np.empty(view.rows, dtype=np.uint8)
    slots = np.arange(len(view.names()), dtype=np.int32)
    clock = np.full(1, -1, dtype=np.int64)
    check(int(view.type), view.buffer, view.offsets, view.rows, slots, FEED, LATEST_NS, clock, reasons)
    return reasons
