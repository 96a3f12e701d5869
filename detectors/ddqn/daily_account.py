"""The accounting of the Trading Deep Q-Network (Theate & Ernst 2021): long or short with all capital, day by day.

What is decided on rows before t is carried out at the close of t: whole shares, a cost on both sides. A short position
whose losses come near to what cash can buy back is cut down.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tapewatch.kernels import inlined, kernel

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]

SHORT, LONG = 0, 1
CAPITAL = 100_000.0
COST = 0.001
"""Share of a trade's value, each side."""
FIRST = 30
"""Rows of a file before the first trade."""
YEAR = 252
_MARGIN = 0.1
"""Rise in one day that a short position must survive."""


class Account(NamedTuple):
    """What trading gave. money, returns : float64[rows]; the first 30 rows wait; trades : changes of position"""

    money: F8
    returns: F8
    trades: int


@inlined
def _to_buy_back(cash: float, shares: float, price: float, cost: float) -> float:
    """Shares of a short position to buy back at once, so that a rise by the margin leaves it payable; below 0: none."""
    left = -cash + shares * price * (1.0 + _MARGIN) * (1.0 + cost)
    if left < 0.0:
        return left / (price * (2.0 * cost + _MARGIN * (1.0 + cost)))
    return left / (price * _MARGIN * (1.0 + cost))


@kernel
def _settle(close: F8, actions: I8, first: int, cost: float, money: F8) -> int:
    """Money at every close. actions : int64[rows], LONG or SHORT, carried out at their row's close; trades made"""
    cash, shares, position, trades = money[0], 0.0, 0, 0
    for t in range(first, close.shape[0]):
        price = close[t]
        wanted = 1 if actions[t] == LONG else -1
        if wanted == position:
            if wanted == -1:
                cut = _to_buy_back(cash, shares, close[t - 1], cost)
                if cut > 0.0:
                    cut = min(np.floor(cut), shares)
                    shares -= cut
                    cash -= cut * price * (1.0 + cost)
        else:
            trades += 1
            # Out of what is held, then into as many whole shares as cash can carry.
            if position == 1:
                cash += shares * price * (1.0 - cost)
            elif position == -1:
                cash -= shares * price * (1.0 + cost)
            shares = np.floor(cash / (price * (1.0 + cost)))
            if wanted == 1:
                cash -= shares * price * (1.0 + cost)
            else:
                cash += shares * price * (1.0 - cost)
            position = wanted
        money[t] = cash + position * shares * price
    return trades


def account(close: F8, actions: I8, first: int = FIRST, cost: float = COST) -> Account:
    """Trade 100,000 by `actions`, int64[rows], which are carried out from row `first` on at their row's close."""
    money = np.full(len(close), CAPITAL)
    trades = _settle(close, actions, first, cost, money)
    returns = np.zeros(len(close))
    returns[1:] = money[1:] / money[:-1] - 1.0
    return Account(money, returns, int(trades))


def sharpe(returns: F8) -> float:
    """Annualised, of daily returns, without a risk-free rate; 0 where nothing moved."""
    spread = float(np.std(returns, ddof=1))
    return float(np.sqrt(YEAR) * returns.mean() / spread) if spread > 0.0 else 0.0


def averages_rule(close: F8, shorter: int, longer: int, trend: bool) -> I8:
    """Actions of two moving averages of the closes before each row, int64[rows]: with the trend, or against it.

    Equal averages are long under either rule, as in the paper's code.
    """
    sums = np.concatenate([[0.0], np.cumsum(close)])
    found = np.full(len(close), SHORT, dtype=np.int64)
    t = np.arange(longer, len(close))
    fast = (sums[t] - sums[t - shorter]) / shorter
    slow = (sums[t] - sums[t - longer]) / longer
    found[t] = np.where(fast >= slow if trend else fast <= slow, LONG, SHORT)
    return found


def fitted_averages(close: F8, trend: bool) -> tuple[int, int]:
    """The two windows, below 30 rows, of the highest Sharpe ratio on these closes."""
    pairs = [(shorter, longer) for longer in range(2, FIRST) for shorter in range(1, longer)]
    ratios = [sharpe(account(close, averages_rule(close, *pair, trend)).returns) for pair in pairs]
    return pairs[int(np.argmax(ratios))]
