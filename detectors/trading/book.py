"""The visible book of a lane: what quotes and books say, best level first."""

import numpy as np
import numpy.typing as npt

from detectors.trading import state
from tapewatch.kernels import inlined, kernel

I8 = npt.NDArray[np.int64]


@inlined
def prices_at(side: int) -> int:
    """Place of a side's prices; its quantities follow LEVELS later. side : BUY for bids, SELL for asks"""
    return state.BIDS if side == state.BUY else state.ASKS


@inlined
def better(side: int, price: int, than: int) -> bool:
    """Whether an order of this side at `price` comes before one at `than`."""
    return price > than if side == state.BUY else price < than


@kernel
def take_book(p: I8, levels: I8) -> None:
    """A whole book. levels : int64[4 * LEVELS], bid prices, bid quantities, ask prices, ask quantities; 0 is absent"""
    for k in range(4 * state.LEVELS):
        p[state.BIDS + k] = levels[k]
    p[state.HAS_BOOK] = 1
    _keep_marks(p)


@kernel
def take_quote(p: I8, bid: int, bid_qty: int, ask: int, ask_qty: int) -> None:
    """The touch. Where books come too, deeper levels stay as the last book had them; prices of 0 are absent sides."""
    _touch(p, state.BUY, bid, bid_qty)
    _touch(p, state.SELL, ask, ask_qty)
    _keep_marks(p)


@inlined
def _keep_marks(p: I8) -> None:
    if p[state.BIDS] > 0:
        p[state.MARK_BID] = p[state.BIDS]
    if p[state.ASKS] > 0:
        p[state.MARK_ASK] = p[state.ASKS]


@inlined
def _touch(p: I8, side: int, price: int, qty: int) -> None:
    """Put a side's best level in its place; levels better than it are gone."""
    at = prices_at(side)
    first = 0
    while first < state.LEVELS and p[at + first] > 0 and better(side, p[at + first], price):
        first += 1
    same = first < state.LEVELS and p[at + first] == price
    shift = first - (0 if same else 1)
    if price == 0 or p[state.HAS_BOOK] == 0:
        p[at : at + 2 * state.LEVELS] = 0
    elif shift > 0:
        for k in range(state.LEVELS):
            p[at + k] = p[at + k + shift] if k + shift < state.LEVELS else 0
            p[at + state.LEVELS + k] = p[at + state.LEVELS + k + shift] if k + shift < state.LEVELS else 0
    elif shift < 0:
        for k in range(state.LEVELS - 1, 0, -1):
            p[at + k], p[at + state.LEVELS + k] = p[at + k - 1], p[at + state.LEVELS + k - 1]
    p[at] = price
    p[at + state.LEVELS] = qty if price > 0 else 0


@kernel
def visible_qty(p: I8, side: int, price: int) -> int:
    """What stands at a price of a side: 0 where nothing does, UNKNOWN beyond the deepest level shown."""
    at = prices_at(side)
    for k in range(state.LEVELS):
        if p[at + k] == 0:
            break
        if p[at + k] == price:
            return int(p[at + state.LEVELS + k])
        if better(side, price, p[at + k]):
            return 0
    return state.UNKNOWN
