"""What strategies did on one instrument, in one form for daily bars and for seconds: equity, positions, figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.commands.daily_files import Instrument
from detectors.ddqn.daily_account import CAPITAL, FIRST, LONG, Account, averages_rule
from detectors.ddqn.lanes import BUY, HOLD, PRIVATE, SELL
from detectors.ddqn.played import Decide, SessionResult, run_sessions
from detectors.ddqn.sessions import Session
from detectors.ddqn.trading import Rules
from evaluation.ddqn_figures import ratios

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]
Times = npt.NDArray[np.datetime64]

POLICY = "policy"
RULES = ("buy_and_hold", "sell_and_hold", "trend_following", "mean_reversion")
SHORTER, LONGER = 60, 300
"""Rows of the two moving averages on a market of seconds, where there is no history to choose them on."""
MARKET = Rules(order="market")
"""By which the rules trade seconds."""


@dataclass(frozen=True, slots=True)
class EvaluatedInstrument:
    """One instrument's accounts in the test.

    rules : by name; policy : one a seed; actions : of the policies; wanted : actions of the rules
    """

    instrument: Instrument
    rules: dict[str, Account]
    windows: dict[str, tuple[int, int]]
    policy: list[Account]
    actions: list[I8]
    wanted: dict[str, I8]


@dataclass(frozen=True, slots=True)
class Measure:
    """How gains are put into a Sharpe ratio.

    length : rows whose gains are summed; block : of such sums, drawn together by the bootstrap
    year : of such sums, what the ratio is stated for; words : the same in words
    """

    length: int
    block: int
    year: int
    words: str


@dataclass(frozen=True, slots=True)
class Line:
    """One strategy on one instrument.

    equity : float64[rows], in shares of the capital it began with; held : float64[rows], position after each row, in
    units or, on daily bars, with everything
    turnover : value traded, in capitals; trades : changes of position
    """

    equity: F8
    held: F8
    turnover: float
    trades: int

    @property
    def gains(self) -> F8:
        """Change of equity since the row before, as a share of it, float64[rows]; 0 at the first."""
        found: F8 = np.concatenate([[0.0], np.diff(self.equity) / self.equity[:-1]])
        return found

    @property
    def drawdown(self) -> F8:
        """Fall from the peak so far, as a share of it, float64[rows], 0 or negative."""
        found: F8 = self.equity / np.maximum.accumulate(self.equity) - 1.0
        return found


@dataclass(frozen=True, slots=True)
class InstrumentResult:
    """One instrument. ts : datetime64[rows]; price : float64[rows]; policies : a line a policy; rules : by name"""

    name: str
    ts: Times
    price: F8
    policies: Sequence[Line]
    rules: Mapping[str, Line]

    def lines(self, name: str) -> Sequence[Line]:
        """Of the policies, or of one rule."""
        return self.policies if name == POLICY else [self.rules[name]]


def of_days(traded: EvaluatedInstrument) -> InstrumentResult:
    """Accounts of daily bars."""
    bars = traded.instrument.test
    policies = [_daily(account, actions) for account, actions in zip(traded.policy, traded.actions, strict=True)]
    rules = {name: _daily(account, traded.wanted[name]) for name, account in traded.rules.items()}
    return InstrumentResult(traded.instrument.name, bars.dates, bars.close, policies, rules)


def _daily(account: Account, actions: I8) -> Line:
    held = np.where(np.arange(len(actions)) < FIRST, 0.0, np.where(actions == LONG, 1.0, -1.0))
    equity = account.money / CAPITAL
    turnover = float(np.sum(np.abs(np.diff(held, prepend=0.0)) * equity))
    return Line(equity, held, turnover, account.trades)


def of_seconds(sessions: Sequence[Session], policies: Sequence[Sequence[SessionResult]]) -> list[InstrumentResult]:
    """Sessions of a market. policies : for each, what it did in every session"""
    idle = run_sessions(sessions, MARKET)
    rules = {name: run_sessions(sessions, MARKET, decide) for name, decide in _deciders(sessions, idle).items()}
    found = []
    for number, session in enumerate(sessions):
        ts = idle[number].curve.ts.astype("datetime64[ns]")
        own = [_line(each[number]) for each in policies]
        found.append(
            InstrumentResult(
                session.instrument, ts, idle[number].middle, own,
                {name: _line(ran[number]) for name, ran in rules.items()},
            )
        )  # fmt: skip
    return found


def _line(ran: SessionResult) -> Line:
    trades = int(np.count_nonzero(np.diff(ran.held, prepend=0.0)))
    turnover = ran.episode.turnover / (ran.episode.unit_value * MARKET.capital_units)
    return Line(1.0 + np.cumsum(ran.curve.gains), ran.held, turnover, trades)


def _deciders(sessions: Sequence[Session], idle: Sequence[SessionResult]) -> dict[str, Decide]:
    """The four rules as players; who may not sell short stays out instead."""
    lowest = np.array([-1 if session.rules.shorting else 0 for session in sessions])
    rows = max(len(session.ts) for session in sessions)
    wanted = {name: np.zeros((len(sessions), rows), dtype=np.int64) for name in RULES}
    wanted["buy_and_hold"][:] = 1
    wanted["sell_and_hold"][:] = -1
    for number, ran in enumerate(idle):
        # The price that a row knows is the one that the row before it led to.
        known = np.concatenate([ran.middle[:1], ran.middle])
        for name, trend in (("trend_following", True), ("mean_reversion", False)):
            if len(known) > LONGER:
                side = np.where(averages_rule(known, SHORTER, LONGER, trend) == LONG, 1, -1)
                wanted[name][number, LONGER : len(known)] = side[LONGER:]
    return {name: _following(np.maximum(side, lowest[:, None])) for name, side in wanted.items()}


def _following(wanted: I8) -> Decide:
    """A player that takes these positions, int64[lanes, rows], one decision after another from the opening on."""
    row = iter(range(wanted.shape[1]))
    at = len(PRIVATE) - PRIVATE.index("position")

    def decide(states: npt.NDArray[np.float32], masks: npt.NDArray[np.bool_]) -> I8:
        held = np.rint(states[:, -at] * MARKET.limit).astype(np.int64)
        target = wanted[:, next(row)]
        chosen = np.where(target > held, BUY, np.where(target < held, SELL, HOLD))
        found: I8 = np.where(masks[np.arange(len(held)), chosen], chosen, HOLD)
        return found

    return decide


def figures_of(line: Line, measure: Measure) -> dict[str, Any]:
    """What is said of one line."""
    return {
        "return": float(line.equity[-1] / line.equity[0] - 1.0),
        "sharpe": float(ratios(summed(line.gains, measure.length), measure.year)),
        "drawdown": float(-line.drawdown.min()),
        "turnover": line.turnover,
        "trades": line.trades,
    }


def summed(gains: F8, length: int) -> F8:
    """Sums of `length` rows each, without the rest that does not fill one."""
    whole = len(gains) // length * length
    found: F8 = gains[:whole].reshape(-1, length).sum(axis=1)
    return found
