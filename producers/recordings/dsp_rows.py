"""TWSE dsp rows as contract rows: books of five levels, quotes, matches, and where trial matching begins and ends."""

from dataclasses import dataclass

import numpy as np

from producers.columns import rows_of, ten_levels
from producers.recordings.dsp_spool import CODE, number
from producers.recordings.report import RecordingReport
from producers.recordings.series import never_back
from producers.venues.twse.instruments import LOT
from producers.venues.twse.roc import TAIPEI_OFFSET_NS
from tapewatch.clock import NANOS
from tapewatch.rows import Column, Condition, Rows, RowType, StatusKind

LEVELS = 5
LEVEL_BYTES = 14
CLOSING_NS = (13 * 3600 + 30 * 60) * NANOS
DAY_NS = 86_400 * NANOS
_REMARK, _MATCH, _BID_COUNT, _ASK_COUNT = 18, 20, 36, 108
_BIDS, _ASKS = 38, 110


@dataclass(slots=True)
class _Code:
    """One code so far: its day, lots matched, and whether its matches are on trial."""

    day: int
    lots: int = 0
    trial: bool = False


class DspState:
    """What carries over from block to block: the codes' cumulative lots and trial flags, row numbers, newest time."""

    def __init__(self, report: RecordingReport) -> None:
        self._report = report
        self._codes: dict[str, _Code] = {}
        self._sequence = 0
        self._newest = 0

    def rows(self, records: Column, times: Column) -> list[Rows]:
        """STATUS, TRADE, QUOTE and BOOK rows of uint8[rows, 190] in time order."""
        texts, inverse = np.unique(np.ascontiguousarray(records[:, CODE]).view("S6").ravel(), return_inverse=True)
        codes = tuple(f"{text.decode('ascii').strip()}.XTAI" for text in texts.tolist())
        received = never_back(times, self._newest, self._report)
        self._newest = int(received[-1])
        common = {"instrument": inverse.astype(np.int32), "ts_event": times, "ts_recv": received}
        price = number(records, slice(22, 28)) / 100.0
        lots = number(records, slice(28, 36))
        bid_price, bid_qty = _levels(records, _BIDS, _BID_COUNT)
        ask_price, ask_qty = _levels(records, _ASKS, _ASK_COUNT)
        quotes = {
            "bid_price": bid_price[:, 0],
            "bid_qty": bid_qty[:, 0],
            "ask_price": ask_price[:, 0],
            "ask_qty": ask_qty[:, 0],
            "last_price": np.where(price > 0, price, np.nan),
            "volume": lots * float(LOT),
        }
        books = {
            "sequence": np.arange(self._sequence + 1, self._sequence + 1 + len(times), dtype=np.int64),
            "bid_price": bid_price,
            "bid_qty": bid_qty,
            "ask_price": ask_price,
            "ask_qty": ask_qty,
        }
        self._sequence += len(times)
        return [
            *self._changes(records, common, codes, price, lots),
            Rows(RowType.QUOTE, codes, common | quotes),
            Rows(RowType.BOOK, codes, common | books),
        ]

    def _changes(
        self, records: Column, common: dict[str, Column], codes: tuple[str, ...], price: Column, lots: Column
    ) -> list[Rows]:
        """STATUS rows where trial matching begins or ends, TRADE rows where lots were matched."""
        status: list[tuple[object, ...]] = []
        trades: list[tuple[object, ...]] = []
        trial = records[:, _REMARK] == ord("T")
        matched = (records[:, _MATCH] == ord("Y")) & ~trial
        local = common["ts_event"] + TAIPEI_OFFSET_NS
        columns = (common["instrument"], common["ts_event"], common["ts_recv"], trial, matched, lots, price, local)
        for code, event, received, on_trial, match, total, paid, at in zip(*(c.tolist() for c in columns), strict=True):
            state = self._codes.get(codes[code])
            if state is None or state.day != at // DAY_NS:
                # A day's first row shows what was matched before it, unless that row is itself the first match.
                state = self._codes[codes[code]] = _Code(at // DAY_NS, 0 if match else total)
            place = (code, event, received)
            if on_trial and not state.trial:
                status.append((*place, int(StatusKind.AUCTION), "trial matching"))
            elif state.trial and not on_trial and at % DAY_NS < CLOSING_NS:
                status.append((*place, int(StatusKind.OPEN), "trial matching ended"))
            if match and total > state.lots:
                condition = Condition.AUCTION if state.trial else Condition.REGULAR
                trades.append((*place, paid, float((total - state.lots) * LOT), 0, int(condition)))
            elif match:
                self._report.records["match_without_volume"] += 1
            state.trial = on_trial
            state.lots = max(total, state.lots)
        found = ((RowType.STATUS, status), (RowType.TRADE, trades))
        return [rows_of(row_type, codes, rows) for row_type, rows in found if rows]


def _levels(records: Column, start: int, count: int) -> tuple[Column, Column]:
    """Prices and shares of one side, float64[rows, 10]; NaN beyond its levels and at a price of 0 (market orders)."""
    places = [start + LEVEL_BYTES * level for level in range(LEVELS)]
    price = np.stack([number(records, slice(at, at + 6)) for at in places], axis=1) / 100.0
    lots = np.stack([number(records, slice(at + 6, at + LEVEL_BYTES)) for at in places], axis=1)
    shown = records[:, count].astype(np.int64)[:, None] - ord("0") > np.arange(LEVELS)
    present = shown & (price > 0)
    return ten_levels(np.where(present, price, np.nan)), ten_levels(np.where(present, lots * float(LOT), np.nan))
