"""True cases of the scenarios that need accounts, among the trading of a crowd; a pushed market and its follower."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.scenarios import observation as at
from detectors.scenarios.accounts.ring import NANOS, hashed
from tapewatch.contract.rows import Rows, RowType

A, B, C, WHALE = (hashed(name) for name in ("a", "b", "c", "whale"))
Trade = tuple[float, float, float, int, int]
"""Time in s, price, quantity, buyer, seller."""

F8 = npt.NDArray[np.float64]


def trade_rows(trades: Sequence[tuple[str, Trade]], start_ns: int, accounts: bool = True) -> Rows:
    """Trades by instrument as rows in the order given, to the millisecond; an account is its number in decimal.

    start_ns : UTC nanoseconds of time 0; accounts : whether the rows name them; a 0 is a null
    """
    names = tuple(sorted({name for name, _ in trades}))
    times = np.array([start_ns + int(each[0] * 1000) * 1_000_000 for _, each in trades], dtype=np.int64)
    columns: dict[str, npt.NDArray[Any]] = {
        "instrument": np.array([names.index(name) for name, _ in trades], dtype=np.int32),
        "ts_event": times,
        "ts_recv": times,
        "price": np.array([each[1] for _, each in trades], dtype=np.float64),
        "qty": np.array([each[2] for _, each in trades], dtype=np.float64),
        "aggressor_side": np.zeros(len(trades), dtype=np.int8),
        "condition": np.zeros(len(trades), dtype=np.int8),
    }
    if accounts:
        for place, name in ((3, "buyer_account"), (4, "seller_account")):
            columns[name] = np.array([str(each[place]) if each[place] else None for _, each in trades], dtype=object)
    return Rows(RowType.TRADE, names, columns)


def seconds_of(rows: Rows) -> Iterator[Rows]:
    """The rows, those of each second by themselves."""
    bounds = np.flatnonzero(np.diff(rows.ts_recv // NANOS)) + 1
    for part in np.split(np.arange(len(rows)), bounds):
        yield rows.take(part)


def crowd(seed: int, seconds: float, every_s: float = 2.0, accounts: int = 40) -> Iterator[Trade]:
    """Trading of accounts of very different activity (Zipf) at a price that wanders."""
    rng = np.random.default_rng(seed)
    weights = 1.0 / np.arange(1, accounts + 1)
    price = 100.0
    for number in range(int(seconds / every_s)):
        price *= float(np.exp(rng.normal(0.0, 2e-4)))
        buyer, seller = rng.choice(accounts, 2, replace=False, p=weights / weights.sum()) + 1000
        qty = float(np.ceil(rng.lognormal(2.0, 0.8)))
        yield number * every_s + float(rng.random()), price, qty, int(buyer), int(seller)


def to_and_fro() -> list[Trade]:
    """Two accounts hand the same quantity to each other eight times."""
    return [(40.0 + 10 * n, 100.0, 50.0, *((A, B) if n % 2 else (B, A))) for n in range(8)]


def in_one_size() -> list[Trade]:
    """One account buys from another six times in one size."""
    return [(40.0 + 20 * n, 100.0, 50.0, A, B) for n in range(6)]


def front_run(sold_at: float = 100.5, whale: float = 600.0) -> list[Trade]:
    """An account buys, a whale lifts the price by half a percent, the account sells."""
    lift: list[Trade] = [(205.0 + n, 100.0 + 0.05 * n, whale / 10, WHALE, 1000 + n) for n in range(10)]
    return [(203.0, 100.0, 30.0, A, 1003), *lift, (220.0, sold_at, 30.0, 1004, A)]


def painted(step: float = 0.05, accounts: tuple[int, ...] = (A, B, C)) -> list[Trade]:
    """Ten prints in a row, each higher by `step`."""
    count = len(accounts)
    return [(300.0 + 3 * n, 100.0 + step * n, 5.0, accounts[n % count], accounts[(n + 1) % count]) for n in range(10)]


TRUE: dict[str, tuple[list[Trade], list[Trade]]] = {
    "wash_trades": (list(crowd(1, 300.0)), to_and_fro()),
    "matched_orders": (list(crowd(2, 300.0)), in_one_size()),
    "front_running": (list(crowd(3, 200.0)), front_run()),
    "painting_the_tape": (list(crowd(4, 290.0)), painted()),
}
"""Scenario -> the crowd's trades and those of the case."""


def pushed_and_follower(gives_back: float = 0.008, lag: int = 3, taken: float = -0.8) -> tuple[F8, F8]:
    """Observations of 90 s: the first market is bought up by 1 % in 10 s and falls by `gives_back` later, the second
    follows by half of it `lag` seconds later and is traded with the net share `taken` after that.
    """
    first, second = np.full((2, 90, at.COUNT), np.nan)
    for history in (first, second):
        history[:, at.AGE] = 3000.0 + np.arange(90)
        history[:, at.RET_1S], history[:, at.VOLUME_1S], history[:, at.SIGNED_VOLUME_1S] = 0.0, 10.0, 0.0
        history[:, at.USUAL_R2], history[:, at.USUAL_VOLUME] = 1e-8, 10.0
    first[30:40, at.RET_1S], first[30:40, at.VOLUME_1S], first[30:40, at.SIGNED_VOLUME_1S] = 0.001, 200.0, 190.0
    first[60:80, at.RET_1S] = -gives_back / 20
    second[30 + lag : 40 + lag, at.RET_1S] = 0.0005
    second[40 + lag :, at.VOLUME_1S], second[40 + lag :, at.SIGNED_VOLUME_1S] = 50.0, 50.0 * taken
    return first, second
