"""A recorded market with scripts laid over it: orders in the books and quotes, trades on the tape, a shifted price."""

from collections.abc import Iterator, Sequence

import numpy as np

from benchmarks.injection.market import F8, SIDES, RecordedMarket
from benchmarks.injection.placing import ASK, BID, Print, RestingOrder, Script
from tapewatch.contract.rows import BOOK_LEVELS, Column, Condition, Rows, RowType

Active = tuple[dict[float, float], dict[float, float]]
"""Injected quantity at a price, of each side."""

EMPTY = 1e-9


def overlaid(market: RecordedMarket, scripts: Sequence[Script], extra_books: bool) -> list[Rows]:
    """Trades, quotes and books with the scripts in them.

    A quote row is added whenever an injected order changes the touch, as a ticker of best quotes sends it.

    extra_books : a book row is added for each change at a visible level, as an unthrottled depth feed sends it;
    otherwise a change shows in the next recorded book, as on a feed that sends books at a fixed pace
    """
    resting = [order for script in scripts for order in script.resting]
    changes = np.unique(np.array([when for order in resting for when in (order.begin, order.end)], dtype=np.int64))
    changes = changes[(changes > market.begin) & (changes < market.end)]
    trades = _trades(market, [each for script in scripts for each in script.prints])
    books = _books(market, resting, changes if extra_books else changes[:0])
    quotes = _quotes(market, resting, changes)
    _restate(quotes, trades, market)
    tables = {RowType.TRADE: trades, RowType.QUOTE: quotes, RowType.BOOK: books}
    for columns in tables.values():
        _shift(columns, market, scripts)
    return [_rows(row_type, market.instrument, columns) for row_type, columns in tables.items()]


def _extended(columns: dict[str, Column], times: Column) -> dict[str, Column]:
    """The rows, and for each of `times` a copy of the row in force then; in receipt order."""
    base = columns["ts_recv"]
    before = np.maximum(np.searchsorted(base, times, side="right") - 1, 0)
    index = np.concatenate([np.arange(len(base)), before])
    received = np.concatenate([base, times])
    order = np.argsort(received, kind="stable")
    index, received = index[order], received[order]
    found = {name: column[index] for name, column in columns.items()}
    found["ts_event"] = found["ts_event"] + (received - found["ts_recv"])
    found["ts_recv"] = received
    return found


def _sweep(times: Column, resting: Sequence[RestingOrder]) -> Iterator[tuple[int, Active]]:
    """Row by row of those during which something rests: (row, what rests)."""
    events = sorted(
        [(order.begin, index, order.qty) for index, order in enumerate(resting) if order.end > order.begin]
        + [(order.end, index, -order.qty) for index, order in enumerate(resting) if order.end > order.begin]
    )
    active: Active = ({}, {})
    begins = np.array([event[0] for event in events], dtype=np.int64)
    upto = np.searchsorted(begins, times, side="right")
    done = 0
    for row, until in enumerate(upto.tolist()):
        for _, index, change in events[done:until]:
            own, price = active[resting[index].side], resting[index].price
            own[price] = own.get(price, 0.0) + change
            if own[price] < EMPTY:
                del own[price]
        done = until
        if active[BID] or active[ASK]:
            yield row, active


def _books(market: RecordedMarket, resting: Sequence[RestingOrder], times: Column) -> dict[str, Column]:
    books = _extended(market.books, times)
    for name in (name for side in SIDES for name in side):
        books[name] = books[name].copy()
    for row, active in _sweep(books["ts_recv"], resting):
        for side, (price, qty) in enumerate(SIDES):
            if not active[side]:
                continue
            other = books[SIDES[1 - side][0]][row, 0]
            last = market.levels - 1
            whole = _with_orders(books[price][row], books[qty][row], active[side], side, other, last, market.decimals)
            books[price][row], books[qty][row] = whole
    return books


def _with_orders(
    prices: F8, sizes: F8, orders: dict[float, float], side: int, other: float, last: int, decimals: int
) -> tuple[F8, F8]:
    """One side's levels with orders at their prices; a level that is no more is there again because of ours.

    other : the other side's best price, which ours never cross; last : the farthest level that is always shown, beyond
    whose price nothing is known
    """
    sign = -1.0 if side == BID else 1.0
    edge = sign * prices[last] if np.isfinite(prices[last]) else np.inf
    ladder = {float(price): float(size) for price, size in zip(prices, sizes, strict=True) if np.isfinite(price)}
    for price, size in orders.items():
        if sign * price <= edge and sign * price > sign * other:
            ladder[price] = round(ladder.get(price, 0.0) + size, decimals)
    best = sorted(ladder.items(), key=lambda level: sign * level[0])[:BOOK_LEVELS]
    new_prices, new_sizes = np.full(BOOK_LEVELS, np.nan), np.full(BOOK_LEVELS, np.nan)
    shown = min(len(best), int(np.isfinite(prices).sum()))
    new_prices[:shown] = [price for price, _ in best[:shown]]
    new_sizes[:shown] = [size for _, size in best[:shown]]
    return new_prices, new_sizes


def _quotes(market: RecordedMarket, resting: Sequence[RestingOrder], times: Column) -> dict[str, Column]:
    quotes = _extended(market.quotes, times)
    added = np.zeros(len(quotes["ts_recv"]), dtype=bool)
    added[np.searchsorted(quotes["ts_recv"], times, side="right") - 1] = True
    touched = ("bid_price", "bid_qty", "ask_price", "ask_qty")
    for name in touched:
        quotes[name] = quotes[name].copy()
    for row, active in _sweep(quotes["ts_recv"], resting):
        for side, (price, qty) in enumerate(SIDES):
            sign = 1.0 if side == BID else -1.0
            own, other = quotes[price][row], quotes[SIDES[1 - side][0]][row]
            better = [each for each in active[side] if sign * (each - own) >= 0 and sign * (each - other) < 0]
            if not better:
                continue
            best = max(better) if side == BID else min(better)
            base = quotes[qty][row] if best == own else 0.0
            quotes[price][row] = best
            quotes[qty][row] = round(base + active[side][best], market.decimals)
    same = np.ones(len(added), dtype=bool)
    for name in touched:
        same[1:] &= quotes[name][1:] == quotes[name][:-1]
    same[0] = False
    kept = ~(added & same)
    return {name: column[kept] for name, column in quotes.items()}


def _trades(market: RecordedMarket, prints: Sequence[Print]) -> dict[str, Column]:
    """Recorded and injected trades in receipt order; injected ones carry the ids `x0`, `x1`, ..."""
    own = sorted((each for each in prints if market.begin <= each.ns < market.end), key=lambda each: each.ns)
    base = market.trades
    times = np.array([each.ns for each in own], dtype=np.int64)
    before = np.maximum(np.searchsorted(base["ts_recv"], times, side="right") - 1, 0)
    late = base["ts_event"][before] - base["ts_recv"][before]
    new: dict[str, Column] = {
        "ts_event": times + late,
        "ts_recv": times,
        "price": np.array([each.price for each in own]),
        "qty": np.array([each.qty for each in own]),
        "aggressor_side": np.array([each.side for each in own], dtype=np.int8),
        "condition": np.full(len(own), int(Condition.REGULAR), dtype=np.int8),
        "trade_id": np.array([f"x{index}" for index in range(len(own))], dtype=object),
    }
    order = np.argsort(np.concatenate([base["ts_recv"], times]), kind="stable")
    return {
        name: np.concatenate([column, new[name].astype(column.dtype)])[order]
        for name, column in base.items()
        if name in new
    }


def _restate(quotes: dict[str, Column], trades: dict[str, Column], market: RecordedMarket) -> None:
    """Let the quotes' last price and cumulative volume say what the tape says."""
    own = np.array([str(each).startswith("x") for each in trades["trade_id"]]) if "trade_id" in trades else None
    if own is None or not own.any():
        return
    added = np.concatenate([[0.0], np.cumsum(np.where(own, trades["qty"], 0.0))])
    last = np.searchsorted(trades["ts_recv"], quotes["ts_recv"], side="right")
    quotes["volume"] = np.round(quotes["volume"] + added[last], market.decimals)
    newest = np.maximum(last - 1, 0)
    quotes["last_price"] = np.where((last > 0) & own[newest], trades["price"][newest], quotes["last_price"])


def _shift(columns: dict[str, Column], market: RecordedMarket, scripts: Sequence[Script]) -> None:
    """Move every price of a row by the drifts at its time, in whole ticks."""
    drifts = [script.drift for script in scripts if script.drift is not None]
    if not drifts:
        return
    log_offset = np.array([sum(drift(when) for drift in drifts) for when in columns["ts_recv"].tolist()])
    digits = max(0, int(np.ceil(-np.log10(market.tick) - 1e-9)))
    middle = float(np.nanmedian(market.quotes["bid_price"]))
    steps = np.round(middle * np.expm1(log_offset) / market.tick) * market.tick
    for name in ("price", "last_price", "bid_price", "ask_price"):
        if name in columns:
            column = columns[name]
            columns[name] = np.round(column + (steps[:, None] if column.ndim == 2 else steps), digits)


def _rows(row_type: RowType, instrument: str, columns: dict[str, Column]) -> Rows:
    codes = np.zeros(len(columns["ts_recv"]), dtype=np.int32)
    return Rows(row_type, (instrument,), {"instrument": codes, **columns})
