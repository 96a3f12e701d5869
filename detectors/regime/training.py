"""Fitting the regime rules: a symmetric two-state hidden Markov model by expectation and maximisation, the trend rule's
band, and which rule is in force.
"""

from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from detectors.calibration import rounded
from detectors.coin_features import windows
from detectors.coin_features.batch import History, MinuteFeatures, watched
from detectors.coin_features.state import Barriers
from detectors.regime import judged
from detectors.regime.model import Card, Pair, RegimeModel
from detectors.regime.rules import HORIZONS, HOURS, RULES, STEPS
from tapewatch.kernels import allocating_kernel

F8 = npt.NDArray[np.float64]

BANDS = (0.0, 0.1, 0.2, 0.4)
"""Of the trend rule, tried on the training days."""
ROUNDS = 60
LEAST_STAY = 1.0 - 1.0 / STEPS
"""A regime of a horizon lasts that horizon at least, on average: what turns faster belongs to a shorter one."""
_ANY = Barriers(60, 0.005, -0.005)
_START = RegimeModel(((0.1, -0.1),) * 4, ((0.7, 1.5),) * 4, ((LEAST_STAY, LEAST_STAY),) * 4, (0.0,) * 4, ("trend",) * 4)
_WEEK = windows.NAMES.index("7d")


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
        parts = [judged.after(seen, each, place) for seen, each in zip(histories, known, strict=True)]
        found.append(
            {
                rule: float(np.mean([np.nanmean(judged.gain(part, judged.learnt([part], at), at)) for part in parts]))
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
