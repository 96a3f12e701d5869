"""The book kernels over whole arrays of one instrument, as the engine runs them row by row."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from detectors.book import flow
from detectors.book.features import COUNT
from tapewatch.kernels import kernel

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]

TRADE, QUOTE, BOOK = 0, 1, 2
_NANOS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Tape:
    """Rows of one instrument, each type in order of receipt.

    *_ns : int64[rows], receipt, UTC ns; trades, float64[rows, 3]: price, quantity, aggressor (1, -1, 0); quotes,
    float64[rows, 4]: bid, its quantity, ask, its quantity; books, float64[rows, 40]: bid prices, bid quantities, ask
    prices, ask quantities, ten levels each, NaN where absent
    """

    trade_ns: I8
    trades: F8
    quote_ns: I8
    quotes: F8
    book_ns: I8
    books: F8


@kernel
def _run(
    kinds: I8, places: I8, times: I8, trades: F8, quotes: F8, books: F8, p: F8, old: F8, out: F8, warm: I8
) -> None:
    """Rows in order; features of every second from the first row's to the last's."""
    second = first = times[0] // _NANOS
    for row in range(times.size):
        while second < times[row] // _NANOS:
            warm[second - first] = 1 if flow.close_second(p, second, out[second - first]) else 0
            second += 1
        i = places[row]
        if kinds[row] == TRADE:
            flow.on_trade(p, trades[i, 0], trades[i, 1], int(trades[i, 2]), times[row])
        elif kinds[row] == QUOTE:
            flow.on_quote(p, quotes[i, 0], quotes[i, 1], quotes[i, 2], quotes[i, 3], times[row])
        else:
            book = books[i]
            flow.on_book(p, old, book[0:10], book[10:20], book[20:30], book[30:40], 0, times[row])
            for field in range(40):
                old[field] = book[field]
    warm[second - first] = 1 if flow.close_second(p, second, out[second - first]) else 0


def features(tape: Tape) -> tuple[I8, F8]:
    """Every second from the first row's to the last's, int64[n], with features, float64[n, COUNT], NaN before warm."""
    times = np.concatenate([tape.trade_ns, tape.quote_ns, tape.book_ns])
    sizes = (len(tape.trade_ns), len(tape.quote_ns), len(tape.book_ns))
    if not len(times):
        return np.zeros(0, np.int64), np.zeros((0, COUNT))
    kinds = np.repeat(np.arange(3), sizes)
    places = np.concatenate([np.arange(size) for size in sizes])
    order = np.lexsort((kinds, times))
    first, last = int(times.min() // _NANOS), int(times.max() // _NANOS)
    out, warm = np.full((last - first + 1, COUNT), np.nan), np.zeros(last - first + 1, np.int64)
    state, old = flow.create(1)[0], np.full(40, np.nan)
    _run(kinds[order], places[order], times[order], tape.trades, tape.quotes, tape.books, state, old, out, warm)
    out[warm == 0] = np.nan
    return np.arange(first, last + 1), out
