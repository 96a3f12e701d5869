"""Figures of a ranking model and of the regime rules on weeks that they have not seen, with intervals over days."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.calibration import BINS, reliability
from detectors.coin_features import batch, windows
from detectors.coin_features.batch import DAY, History, MinuteFeatures
from detectors.coin_features.state import Barriers
from detectors.ranking import features
from detectors.ranking.model import RankingModel
from detectors.regime import training
from detectors.regime.model import RegimeModel
from detectors.regime.rules import HORIZONS, HOURS, NAIVE, RULES
from evaluation.day_blocks import daily
from tapewatch.desk.day_blocks import drawn, interval

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]
B1 = npt.NDArray[np.bool_]

_RANKS = 512
"""Steps of the probability by which an area under the curve is counted."""
_TOUCH = features.NAMES.index("touch_1d")


class HeldOutMinutes(NamedTuple):
    """A coin's held-out minutes under one question. minutes : int64[rows]; chance, naive : probability by the model,
    and of a price without drift at the last day's volatility; reached : bool[rows]; base : share reached in the
    fortnight before
    """

    coin: str
    asked: Barriers
    minutes: I8
    chance: F8
    naive: F8
    reached: B1
    base: float


class CoinHistory(NamedTuple):
    """A coin's whole history as it was seen. begins : first held-out minute"""

    seen: History
    known: MinuteFeatures
    asked: Barriers
    begins: int


def lived(seen: History, asked: Barriers, regimes: RegimeModel, days: int) -> CoinHistory:
    """A coin from its first minute on; what is judged begins `days` whole days later."""
    return CoinHistory(seen, batch.watched(seen, asked, regimes.regimes()), asked, seen.day_begins(days))


def judge(one: CoinHistory, model: RankingModel) -> HeldOutMinutes:
    """The held-out minutes whose outcome is known."""
    chance = model.probability(one.known.inputs)
    reached = batch.outcome(one.seen, one.asked)
    naive = 1.0 / (1.0 + np.exp(-one.known.inputs[:, _TOUCH]))
    known = ~np.isnan(chance) & ~np.isnan(reached)
    held_out = known & (one.seen.minutes >= one.begins)
    before = known & (one.seen.minutes + one.asked.horizon < one.begins)
    base = float(reached[before].mean()) if before.any() else float("nan")
    return HeldOutMinutes(
        one.seen.name, one.asked, one.seen.minutes[held_out], chance[held_out], naive[held_out],
        reached[held_out] == 1.0, base,
    )  # fmt: skip


def own_barriers(seen: History, horizon: int, days: int) -> Barriers:
    """A target of one usual deviation of this coin over the horizon in the fortnight before, and as far a stop."""
    before = seen.cut(0, seen.day_begins(days))
    spread = float(np.std(np.diff(np.log(before.bars[:, 2])))) * horizon**0.5
    target = float(f"{spread:.2g}")
    return Barriers(horizon, target, -target)


def ranking(found: HeldOutMinutes) -> dict[str, Any]:
    """Calibration error, area under the curve and Brier score with intervals, beside the base rate's and a naive
    probability's.
    """
    draws = drawn(int(found.minutes[-1] // DAY - found.minutes[0] // DAY) + 1, 1)
    one, hit = np.ones(len(found.chance)), found.reached.astype(np.float64)
    held = reliability(found.chance, found.reached)
    scores = [(found.chance - hit) ** 2, (found.base - hit) ** 2, (found.naive - hit) ** 2]
    sums = daily(found.minutes, one, *scores)
    return {
        "coin": found.coin,
        "target": found.asked.target,
        "stop": found.asked.stop,
        "horizon_s": found.asked.horizon * 60,
        "minutes": len(hit),
        "days": len(sums),
        "reached": float(hit.mean()),
        "reached_before": found.base,
        "mean_probability": float(found.chance.mean()),
        "ece": interval(_bin_sums(found.minutes, found.chance, hit), draws, _ece),
        "ece_naive": interval(_bin_sums(found.minutes, found.naive, hit), draws, _ece),
        "auc": interval(_rank_sums(found.minutes, found.chance, hit), draws, _auc) if 0.0 < hit.mean() < 1.0 else None,
        "brier": interval(sums, draws, lambda total: float(total[1] / total[0])),
        "brier_base_rate": interval(sums, draws, lambda total: float(total[2] / total[0])),
        "brier_naive": interval(sums, draws, lambda total: float(total[3] / total[0])),
        "brier_less_base_rate": interval(sums, draws, lambda total: float((total[1] - total[2]) / total[0])),
        "reliability": {"probability": held.chance, "share": held.share, "weight": held.weight},
    }


def _bin_sums(minutes: I8, chance: F8, hit: F8) -> F8:
    """By day: probability less outcome in each bin, and the rows; float64[days, BINS + 1]."""
    place = np.minimum((chance * BINS).astype(np.int64), BINS - 1)
    parts = [np.where(place == each, chance - hit, 0.0) for each in range(BINS)]
    return daily(minutes, *parts, np.ones(len(hit)))


def _ece(total: F8) -> float:
    return float(np.abs(total[:BINS]).sum() / total[BINS])


def _rank_sums(minutes: I8, chance: F8, hit: F8) -> F8:
    """By day: positives, and negatives, in each step of the probability; float64[days, 2 * _RANKS]."""
    edges = np.unique(np.quantile(chance, np.linspace(0.0, 1.0, _RANKS)))
    place = np.minimum(np.searchsorted(edges, chance, side="left"), _RANKS - 1)
    day = minutes // DAY - minutes[0] // DAY
    out = np.zeros((int(day[-1]) + 1, 2 * _RANKS))
    np.add.at(out, (day, np.where(hit > 0.0, place, _RANKS + place)), 1.0)
    return out


def _auc(total: F8) -> float:
    up, down = total[:_RANKS], total[_RANKS:]
    if not up.sum() or not down.sum():
        return float("nan")
    return float(np.sum(up * (np.cumsum(down) - 0.5 * down)) / (up.sum() * down.sum()))


def regimes(coins: Sequence[CoinHistory], in_force: Sequence[str]) -> list[dict[str, Any]]:
    """By horizon, coin and rule: what a call tells of the next horizon, on held-out days.

    The laws that calls stand for are learnt on all coins' days before.
    """
    found = []
    for place, hours in enumerate(HOURS):
        parts = [training.after(one.seen, one.known, place) for one in coins]
        before = [
            part.take(part.minutes + HORIZONS[place] < one.begins) for part, one in zip(parts, coins, strict=True)
        ]
        for part, one in zip(parts, coins, strict=True):
            held = part.take((part.minutes >= one.begins) & (part.calls[:, 0] != 0.0) & ~np.isnan(part.moved))
            told = np.column_stack(
                [training.gain(held, training.learnt(before, rule), rule) for rule in range(len(RULES))]
            )
            rules = {name: _rule(held, told, rule) for rule, name in enumerate(RULES)}
            found.append({"coin": one.seen.name, "hours": hours, "in_force": in_force[place], "rules": rules})
    return found


def _rule(held: training.CallOutcomes, told: F8, rule: int) -> dict[str, Any]:
    """One rule on one coin: bull less bear of the next return and log volatility; nats told, and less the naive
    rule's.
    """
    draws = drawn(int(held.minutes[-1] // DAY - held.minutes[0] // DAY) + 1, 3)
    bull = (held.calls[:, rule] > 0.0).astype(np.float64)
    one = np.ones(len(bull))
    sums = daily(
        held.minutes, bull, 1.0 - bull, bull * held.moved, (1.0 - bull) * held.moved,
        bull * held.stirred, (1.0 - bull) * held.stirred, one, told[:, rule], told[:, rule] - told[:, NAIVE],
    )  # fmt: skip
    return {
        "bull_share": float(bull.mean()),
        "turns_a_day": training.turns_a_day(held.calls[:, rule]),
        "next_return": interval(sums, draws, lambda total: float(total[2] / total[0] - total[3] / total[1])),
        "next_log_volatility": interval(sums, draws, lambda total: float(total[4] / total[0] - total[5] / total[1])),
        "nats": interval(sums, draws, lambda total: float(total[7] / total[6])),
        "nats_less_naive": interval(sums, draws, lambda total: float(total[8] / total[6])),
    }


def by_regime(one: CoinHistory, found: HeldOutMinutes, places: Sequence[int]) -> list[dict[str, Any]]:
    """Results of entering at every held-out minute, by the regime in force of each horizon."""
    kept = np.searchsorted(one.seen.minutes, found.minutes)
    rows = []
    for horizon, hours in enumerate(HOURS):
        calls = one.known.calls[kept, horizon, places[horizon]]
        for name, call in (("bull", 1.0), ("bear", -1.0)):
            own = calls == call
            if own.any():
                rows.append(
                    {
                        "coin": one.seen.name,
                        "hours": hours,
                        "regime": name,
                        "minutes": int(own.sum()),
                        "win_rate": float(found.reached[own].mean()),
                        "probability": float(found.chance[own].mean()),
                        "hourly_return": float(
                            one.known.windows[kept[own], windows.NAMES.index("1h"), windows.RETURN].mean()
                        ),
                    }
                )
    return rows
