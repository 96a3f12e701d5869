"""A small recorded market for tests: a still book of ten levels with a few trades."""

import numpy as np

from benchmarks.injection import RecordedMarket
from tapewatch.clock import NANOS
from tapewatch.contract.rows import Column, RowType

START = 1_723_161_600 * NANOS


def still_market(seconds: int = 120, seed: int = 1, levels: int = 10) -> RecordedMarket:
    """Books every 100 ms, a quote every 20 ms, four trades a second at the touch; prices stay."""
    rng = np.random.default_rng(seed)
    book_times = START + np.arange(seconds * 10) * (NANOS // 10)
    quote_times = START + np.arange(seconds * 50) * (NANOS // 50)
    trade_times = START + np.arange(seconds * 4) * (NANOS // 4) + 1_000
    bids, asks = 100.0 - 0.01 * np.arange(10), 100.01 + 0.01 * np.arange(10)
    bids[levels:], asks[levels:] = np.nan, np.nan

    def sizes(rows: int) -> Column:
        qty = np.round(rng.gamma(2.0, 0.5, (rows, 10)), 3) + 0.001
        qty[:, levels:] = np.nan
        return qty

    books: dict[str, Column] = {
        "ts_event": book_times,
        "ts_recv": book_times,
        "sequence": np.arange(len(book_times)),
        "bid_price": np.tile(bids, (len(book_times), 1)),
        "bid_qty": sizes(len(book_times)),
        "ask_price": np.tile(asks, (len(book_times), 1)),
        "ask_qty": sizes(len(book_times)),
    }
    row = np.arange(len(quote_times)) // 5
    quotes: dict[str, Column] = {
        "ts_event": quote_times,
        "ts_recv": quote_times,
        **{name: books[name][row, 0] for name in ("bid_price", "bid_qty", "ask_price", "ask_qty")},
        "last_price": np.full(len(quote_times), 100.0),
        "volume": np.round(0.1 * np.searchsorted(trade_times, quote_times, side="right"), 3),
    }
    side = np.where(rng.random(len(trade_times)) < 0.5, 1, -1).astype(np.int8)
    trades: dict[str, Column] = {
        "ts_event": trade_times,
        "ts_recv": trade_times,
        "price": np.where(side > 0, asks[0], bids[0]),
        "qty": np.full(len(trade_times), 0.1),
        "aggressor_side": side,
        "condition": np.zeros(len(trade_times), dtype=np.int8),
        "trade_id": np.array([str(index) for index in range(len(trade_times))], dtype=object),
    }
    rows = {RowType.TRADE: trades, RowType.QUOTE: quotes, RowType.BOOK: books}
    return RecordedMarket("TEST.SIMX 2024-08-09", "TEST.SIMX", rows)
