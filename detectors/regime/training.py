"""Fitting the regime rules: a symmetric two-state hidden Markov model by expectation and maximisation, the trend rule's
band, and which rule is in force.

What a call of bull or bear was worth: the return and the volatility of the horizon after it.

A market whose regimes are known, since they were planted: how often each rule calls them right.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from detectors.calibration import rounded
from detectors.coin_features import batch, windows
from detectors.coin_features.batch import History, MinuteFeatures, watched
from detectors.coin_features.state import Barriers
from detectors.regime.model import Card, Pair, RegimeModel
from detectors.regime.rules import HORIZONS, HOURS, RULES, STEPS
from tapewatch.kernels import allocating_kernel

F8 = npt.NDArray[np.float64]

_VOLATILITY = 0.0006
_BULL, _BEAR = (0.4, 0.75), (-0.4, 1.4)
"""Drift over an hour in units of its usual deviation, at the shortest horizon; volatility over the usual."""
DAYS = 28
WARM_DAYS = 8
SEEDS = range(10)
_T = 2.262
"""97.5 % point of Student's law with nine degrees of freedom."""


def planted(horizon: int, seed: int, days: int) -> tuple[History, F8]:
    """Minutes that switch between bull and bear, three horizons long on average, and which is in force, float64[rows].

    horizon : minutes
    """
    rng = np.random.default_rng(seed)
    rows = days * batch.DAY
    turned = rng.random(rows) < 1.0 / (3.0 * horizon)
    truth = np.where(np.cumsum(turned) % 2 == 0, 1.0, -1.0)
    drift, scale = (np.where(truth > 0.0, up, down) for up, down in zip(_BULL, _BEAR, strict=True))
    moves = _VOLATILITY * (scale * rng.standard_normal(rows) + drift / np.sqrt(horizon))
    close = 100.0 * np.exp(np.cumsum(moves))
    wick = _VOLATILITY * close * rng.random(rows)
    columns = {"high": close + wick, "low": close - wick, "close": close, "volume": np.ones(rows)}
    return batch.history("planted", np.arange(rows, dtype=np.int64), columns), truth


def planted_shares(model: RegimeModel) -> dict[str, dict[str, dict[str, float]]]:
    """By horizon and rule: share of minutes called right over the seeds, with the interval of the seeds' mean."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for place, horizon in enumerate(HORIZONS):
        right = np.array([_right(model, place, horizon, seed) for seed in SEEDS])
        mean, error = right.mean(axis=0), right.std(axis=0, ddof=1) / len(right) ** 0.5
        found[str(HOURS[place])] = {
            rule: {"mean": float(mean[at]), "low": float(mean[at] - _T * error[at]),
                   "high": float(mean[at] + _T * error[at])}
            for at, rule in enumerate(RULES)
        }  # fmt: skip
    return found


def _right(model: RegimeModel, place: int, horizon: int, seed: int) -> F8:
    seen, truth = planted(horizon, seed, DAYS)
    calls = batch.watched(seen, Barriers(60, 0.005, -0.005), model.regimes()).calls[:, place]
    return np.asarray((calls[WARM_DAYS * batch.DAY :] == truth[WARM_DAYS * batch.DAY :, None]).mean(axis=0))


_WEEK = windows.NAMES.index("7d")


class CallOutcomes(NamedTuple):
    """Of each minute, for one horizon. calls : float64[rows, rules]; moved : float64[rows], return of the next horizon
    in units of its usual deviation; stirred : float64[rows], log of its volatility over the usual; NaN where the
    history ends before it
    """

    minutes: npt.NDArray[np.int64]
    calls: F8
    moved: F8
    stirred: F8

    def take(self, kept: npt.NDArray[np.bool_]) -> "CallOutcomes":
        """Those minutes alone."""
        return CallOutcomes(self.minutes[kept], self.calls[kept], self.moved[kept], self.stirred[kept])


def after(seen: History, known: MinuteFeatures, horizon: int) -> CallOutcomes:
    """What followed each minute. horizon : place in HORIZONS; the usual deviation is the last week's, as then known."""
    wide = HORIZONS[horizon]
    logs = np.log(seen.bars[:, 2])
    squares = np.concatenate([[0.0, 0.0], np.cumsum(np.diff(logs) ** 2)])
    # The last row that is not later than a horizon ahead: minutes without a bar are left out.
    ends = np.searchsorted(seen.minutes, seen.minutes + wide, side="right") - 1
    rows = np.arange(len(logs))
    there = (seen.minutes[-1] >= seen.minutes + wide) & (ends - rows >= wide // 2)
    usual = np.maximum(known.windows[:, _WEEK, windows.VOLATILITY], 1e-6)
    with np.errstate(divide="ignore", invalid="ignore"):
        moved = (logs[ends] - logs) / (usual * np.sqrt(wide))
        stirred = 0.5 * np.log((squares[ends + 1] - squares[rows + 1]) / (ends - rows)) - np.log(usual)
    there &= np.isfinite(stirred)
    return CallOutcomes(
        seen.minutes, known.calls[:, horizon], np.where(there, moved, np.nan), np.where(there, stirred, np.nan)
    )


def separations(found: CallOutcomes) -> dict[str, F8]:
    """By rule: bull less bear, of the mean next return and of the mean next log volatility; float64[2]."""
    return {
        rule: np.array([_difference(found.calls[:, place], each) for each in (found.moved, found.stirred)])
        for place, rule in enumerate(RULES)
    }


def _difference(calls: F8, values: F8) -> float:
    known = ~np.isnan(values)
    bull, bear = values[known & (calls > 0.0)], values[known & (calls < 0.0)]
    return float(bull.mean() - bear.mean()) if len(bull) and len(bear) else 0.0


class ReturnMoments(NamedTuple):
    """The next return's mean and deviation by call: bull, bear, and whatever the call. float64[3]"""

    mean: F8
    deviation: F8


def learnt(found: Sequence[CallOutcomes], rule: int) -> ReturnMoments:
    """From training days. rule : place in RULES"""
    calls = np.concatenate([one.calls[:, rule] for one in found])
    moved = np.concatenate([one.moved for one in found])
    known = ~np.isnan(moved) & (calls != 0.0)
    parts = [moved[known & (calls > 0.0)], moved[known & (calls < 0.0)], moved[known]]
    # A side that never was called says no more than all of them.
    parts = [part if len(part) > 1 else parts[2] for part in parts]
    return ReturnMoments(np.array([part.mean() for part in parts]), np.array([part.std() for part in parts]))


def gain(found: CallOutcomes, before: ReturnMoments, rule: int) -> F8:
    """Log density of the next return under the call's normal law less that without a call, float64[rows], nats.

    A proper score of return and volatility at once: above 0 a call tells something of what comes. NaN where there is no
    call or no next horizon.
    """
    calls = found.calls[:, rule]
    place = np.where(calls > 0.0, 0, 1)
    told = _log_density(found.moved, before.mean[place], before.deviation[place])
    untold = _log_density(found.moved, before.mean[2], before.deviation[2])
    return np.where(calls == 0.0, np.nan, told - untold)


def _log_density(seen: F8, mean: F8, deviation: F8) -> F8:
    return np.asarray(-np.log(deviation) - 0.5 * ((seen - mean) / deviation) ** 2)


def turns_a_day(calls: F8) -> float:
    """How often a rule changes its mind a day, float64[rows] of one call a minute."""
    said = calls[calls != 0.0]
    return float(np.count_nonzero(np.diff(said)) * 1440 / max(len(said), 1))


BANDS = (0.0, 0.1, 0.2, 0.4)
"""Of the trend rule, tried on the training days."""
ROUNDS = 60
LEAST_STAY = 1.0 - 1.0 / STEPS
"""A regime of a horizon lasts that horizon at least, on average: what turns faster belongs to a shorter one."""
_ANY = Barriers(60, 0.005, -0.005)
_START = RegimeModel(((0.1, -0.1),) * 4, ((0.7, 1.5),) * 4, ((LEAST_STAY, LEAST_STAY),) * 4, (0.0,) * 4, ("trend",) * 4)


def observations(seen: History, known: MinuteFeatures, horizon: int) -> F8:
    """Returns of a horizon's steps in units of their usual deviation, float64[steps], as the filter takes them."""
    length = HORIZONS[horizon] // STEPS
    step = (seen.minutes + 1) // length
    ends = np.flatnonzero(np.diff(step) > 0) + 1
    logs, usual = np.log(seen.bars[ends, 2]), np.maximum(known.windows[ends, _WEEK, windows.VOLATILITY], 1e-6)
    moved = np.diff(logs) / (usual[1:] * np.sqrt(np.diff(step[ends]) * length))
    return np.asarray(np.clip(moved, -8.0, 8.0))


@allocating_kernel
def expected(seen: F8, mean: F8, deviation: F8, stay: F8) -> F8:
    """Sums of the forward-backward pass (Rabiner 1989) over one series, float64[2, 4]: of each state its weight, the
    returns, their squares, and its stays. mean, deviation, stay : float64[2]
    """
    rows = len(seen)
    ahead, scale, density = np.empty((rows, 2)), np.empty(rows), np.empty((rows, 2))
    chance = np.array([0.5, 0.5])
    for row in range(rows):
        for state in range(2):
            away = (seen[row] - mean[state]) / deviation[state]
            density[row, state] = np.exp(-0.5 * away * away) / deviation[state] + 1e-300
        prior = stay * chance + ((1.0 - stay) * chance)[::-1] if row else chance
        chance = prior * density[row]
        scale[row] = chance.sum()
        chance = chance / scale[row]
        ahead[row] = chance
    sums = np.zeros((2, 4))
    behind = np.ones(2)
    for row in range(rows - 1, -1, -1):
        share = ahead[row] * behind
        share = share / share.sum()
        sums[:, 0] += share
        sums[:, 1] += share * seen[row]
        sums[:, 2] += share * seen[row] * seen[row]
        if row:
            weighed = density[row] * behind / scale[row]
            sums[:, 3] += ahead[row - 1] * stay * weighed
            behind = stay * weighed + (1.0 - stay) * weighed[::-1]
    return sums


def fitted(series: Sequence[F8]) -> tuple[F8, F8, F8]:
    """Mean, deviation and chance to stay of bull and bear that make the series likeliest, float64[2] each.

    Bull is the calmer state (as in Maheu & McCurdy 2000, Identifying bull and bear markets in stock returns).
    """
    mean, deviation, stay = (np.array(each[0]) for each in (_START.mean, _START.deviation, _START.stay))
    for _ in range(ROUNDS):
        weight, total, squares, stays = np.sum([expected(seen, mean, deviation, stay) for seen in series], axis=0).T
        mean = total / weight
        deviation = np.sqrt(squares / weight - mean * mean)
        stay = np.clip(stays / weight, LEAST_STAY, 0.995)
    order = np.argsort(deviation)
    return mean[order], deviation[order], stay[order]


def train(histories: Sequence[History], card: Card) -> RegimeModel:
    """Fit every horizon to all histories; the trend's band, then the rule in force, by what a call tells of the next
    horizon.
    """
    plain = [watched(seen, _ANY, _START.regimes()) for seen in histories]
    fits = [
        fitted([observations(seen, known, place) for seen, known in zip(histories, plain, strict=True)])
        for place in range(len(HORIZONS))
    ]
    mean, deviation, stay = (tuple(map(_pair, column)) for column in zip(*fits, strict=True))
    model = RegimeModel(mean, deviation, stay, (0.0,) * 4, ("trend",) * 4)
    by_band = [gains(histories, msgspec.structs.replace(model, band=(band,) * 4)) for band in BANDS]
    best = [int(np.argmax([found[place]["trend"] for found in by_band])) for place in range(len(HORIZONS))]
    chosen = [by_band[band][place] for place, band in enumerate(best)]
    rows = {seen.name: len(seen.minutes) for seen in sorted(histories, key=lambda one: one.name)}
    return msgspec.structs.replace(
        model,
        band=tuple(BANDS[band] for band in best),
        in_force=tuple(max(RULES[:2], key=lambda rule: found[rule]) for found in chosen),
        card=msgspec.structs.replace(card, rows=rows, metrics=dict(sorted(_metrics(chosen).items()))),
    )


def _pair(values: F8) -> Pair:
    bull, bear = rounded(values)
    return bull, bear


def gains(histories: Sequence[History], model: RegimeModel) -> list[dict[str, float]]:
    """By horizon and rule: `judged.gain` within the histories, their mean."""
    known = [watched(seen, _ANY, model.regimes()) for seen in histories]
    found = []
    for place in range(len(HORIZONS)):
        parts = [after(seen, each, place) for seen, each in zip(histories, known, strict=True)]
        found.append(
            {
                rule: float(np.mean([np.nanmean(gain(part, learnt([part], at), at)) for part in parts]))
                for at, rule in enumerate(RULES)
            }
        )
    return found


def _metrics(chosen: Sequence[dict[str, float]]) -> dict[str, float]:
    return {
        f"training days, {hours} h, {rule}: nats that a call tells of the next return": float(f"{found[rule]:.3g}")
        for hours, found in zip(HOURS, chosen, strict=True)
        for rule in RULES
    }
