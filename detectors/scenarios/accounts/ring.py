"""The last trades of one instrument with the accounts behind them: what scenarios of the `accounts` tier look at."""

import hashlib
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tapewatch.kernels import inlined

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]

UNKNOWN = 0
"""The account of a side that the feed does not name."""

NANOS = 1_000_000_000


class Ring(NamedTuple):
    """The last trades, the oldest overwritten; made by `detectors.scenarios.accounts.watch.create`.

    seen : int64[1], trades so far; the next goes to row seen % size
    ts : int64[size], ns; price, qty : float64[size]; buyer, seller : int64[size], `hashed` accounts or UNKNOWN
    rules : float64[scenarios, 16], parameters of each; values : float64[scenarios, 16], evidence of the newest trade;
    strengths : float64[scenarios], of the newest trade, NaN where its accounts are not known
    """

    seen: I8
    ts: I8
    price: F8
    qty: F8
    buyer: I8
    seller: I8
    rules: F8
    values: F8
    strengths: F8


def hashed(account: str) -> int:
    """An account's name as a number of 63 bits, never UNKNOWN; empty names are UNKNOWN."""
    if not account:
        return UNKNOWN
    digest = hashlib.blake2b(account.encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "little") >> 1) or 1


@inlined
def append(ring: Ring, ts_ns: int, price: float, qty: float, buyer: int, seller: int) -> None:
    """Add a trade."""
    row = ring.seen[0] % ring.ts.size
    ring.ts[row], ring.price[row], ring.qty[row] = ts_ns, price, qty
    ring.buyer[row], ring.seller[row] = buyer, seller
    ring.seen[0] += 1


@inlined
def kept(ring: Ring) -> int:
    """How many trades the ring holds."""
    return int(min(ring.seen[0], ring.ts.size))


@inlined
def row_of(ring: Ring, back: int) -> int:
    """Row of the trade `back` before the newest one; 0 is the newest."""
    return int((ring.seen[0] - 1 - back) % ring.ts.size)


@inlined
def within(ring: Ring, window_s: float) -> int:
    """How many of the newest trades lie within `window_s` of the newest one, which counts."""
    count, total = 0, kept(ring)
    oldest = ring.ts[row_of(ring, 0)] - window_s * NANOS
    while count < total and ring.ts[row_of(ring, count)] >= oldest:
        count += 1
    return count
