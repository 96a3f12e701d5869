"""Is the challenger better? A test on paired wins that may be looked at after every pair and stopped at any time.

The wealth of one who bets on the challenger is a martingale, or falls, while the challenger is no more likely than not
to win the next pair, whatever came before. It reaches 1 / level with a chance of at most `level` then (Ville 1939), so
stopping there promotes an equal player that rarely, however long one plays and whenever one looks.
"""

from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]

PROMOTE, REFUSE, UNDECIDED = "promote", "refuse", "undecided"


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How pairs are judged. Ties say nothing of who is better: they are left out.

    level : chance, at most, of promoting an equal player; rates : shares of wins that are betted on, in equal parts
    worth, give_up : a challenger that wins this share of pairs is given up with that chance at most
    pairs : won or lost, after which a test without an answer ends undecided
    """

    level: float = 0.025
    rates: tuple[float, ...] = (0.55, 0.60, 0.65, 0.75)
    worth: float = 0.55
    give_up: float = 0.1
    pairs: int = 2000

    def problem(self) -> str:
        """What is wrong; empty where nothing is."""
        shares = (*self.rates, self.worth)
        sound = bool(self.rates) and all(0.5 < share < 1.0 for share in shares)
        if not sound or not 0.0 < self.level < 1.0 or not 0.0 < self.give_up < 1.0 or self.pairs < 1:
            return "shares of wins lie between 0.5 and 1, chances between 0 and 1, pairs are at least 1"
        return ""


class Walk(NamedTuple):
    """A test as it went.

    verdict : PROMOTE, REFUSE or UNDECIDED; used : pairs it took, ties among them
    e_values : float64[pairs used], the wealth after each; doubts : the same against a challenger of the share `worth`
    """

    verdict: str
    used: int
    e_values: F8
    doubts: F8

    @property
    def p_value(self) -> float:
        """Of "no better", valid whenever one stops: the inverse of the largest wealth."""
        return float(min(1.0, 1.0 / self.e_values.max(initial=1.0)))


class Chances(NamedTuple):
    """What becomes of a challenger that wins a certain share of the pairs. pairs : mean of those won or lost"""

    promoted: float
    refused: float
    undecided: float
    pairs: float


def wealth(rule: Rule, wins: npt.ArrayLike, losses: npt.ArrayLike) -> F8:
    """Logarithm of the wealth of a start of 1, spread evenly over the rates (a likelihood ratio for each)."""
    w, l = np.asarray(wins, dtype=np.float64), np.asarray(losses, dtype=np.float64)  # noqa: E741
    parts = [w * np.log(2.0 * rate) + l * np.log(2.0 - 2.0 * rate) for rate in rule.rates]
    found: F8 = np.logaddexp.reduce(parts, axis=0) - np.log(len(parts))
    return found


def doubt(rule: Rule, wins: npt.ArrayLike, losses: npt.ArrayLike) -> F8:
    """Logarithm of the wealth of one who bets on equal players against a challenger of the share `worth`."""
    w, l = np.asarray(wins, dtype=np.float64), np.asarray(losses, dtype=np.float64)  # noqa: E741
    found: F8 = -w * np.log(2.0 * rule.worth) - l * np.log(2.0 - 2.0 * rule.worth)
    return found


def walk(outcomes: npt.ArrayLike, rule: Rule) -> Walk:
    """Judge pair by pair, in their order. outcomes : int[pairs], 1 the challenger won, -1 it lost, 0 a tie"""
    found = np.asarray(outcomes, dtype=np.int64)
    wins, losses = np.cumsum(found > 0), np.cumsum(found < 0)
    e_values, doubts = wealth(rule, wins, losses), doubt(rule, wins, losses)
    better, hopeless, over = e_values >= -np.log(rule.level), doubts >= -np.log(rule.give_up), wins + losses
    ends = better | hopeless | (over >= rule.pairs)
    at = int(np.argmax(ends)) if ends.any() else len(found) - 1
    verdict = UNDECIDED
    if ends.any():
        verdict = PROMOTE if better[at] else REFUSE if hopeless[at] else UNDECIDED
    return Walk(verdict, at + 1, np.exp(e_values[: at + 1]), np.exp(doubts[: at + 1]))


def chances(rule: Rule, share: float) -> Chances:
    """What the rule does to a challenger that wins this share of the pairs, each by itself: exact, over all paths."""
    going = np.ones(1)
    promoted = refused = pairs = 0.0
    for played in range(1, rule.pairs + 1):
        pairs += float(going.sum())
        going = np.concatenate([going * (1.0 - share), [0.0]]) + np.concatenate([[0.0], going * share])
        wins = np.arange(played + 1)
        better = wealth(rule, wins, played - wins) >= -np.log(rule.level)
        hopeless = ~better & (doubt(rule, wins, played - wins) >= -np.log(rule.give_up))
        promoted += float(going[better].sum())
        refused += float(going[hopeless].sum())
        going[better | hopeless] = 0.0
    return Chances(promoted, refused, float(going.sum()), pairs)
