"""The regime rules' parameters as a file with its card, JSON named by its content's hash.

The regime rules' card as a page: what they were fitted to, what each horizon goes by, and what they cannot do.
"""

import math
from functools import cache
from importlib import resources
from typing import Any

import msgspec
import numpy as np

from detectors.boosted.model import Card
from detectors.card_page import counted, limits, measured, origin, page
from detectors.model_file import ModelFile, first_problem, foreign, sound
from detectors.regime.rules import HOURS, RULES, Regimes

__all__ = ["DETECTOR", "Card", "RegimeModel", "decode", "shipped", "summary"]

DETECTOR = "regime"
Pair = tuple[float, float]


class RegimeModel(ModelFile, frozen=True, forbid_unknown_fields=True):
    """One entry a horizon of 1, 6, 12 and 24 hours.

    mean, deviation : of a step's return in bull and in bear, in units of its usual deviation
    stay : chance that bull, and bear, lasts another step; band : of the trend rule, see `rules.Regimes`
    in_force : the rule that is reported
    """

    mean: tuple[Pair, ...]
    deviation: tuple[Pair, ...]
    stay: tuple[Pair, ...]
    band: tuple[float, ...]
    in_force: tuple[str, ...]
    card: Card = Card()
    detector: str = DETECTOR
    version: str = "1.0"

    def regimes(self) -> Regimes:
        """As the kernel takes it."""
        return Regimes(np.array(self.mean), np.array(self.deviation), np.array(self.stay), np.array(self.band))

    def places(self) -> tuple[int, ...]:
        """Of the rules in force, by horizon."""
        return tuple(RULES.index(name) for name in self.in_force)

    def problem(self) -> str:
        """What is wrong with the model as a whole; empty where nothing is."""
        rows = (self.mean, self.deviation, self.stay, self.band, self.in_force)
        found = foreign(self.detector, self.version, DETECTOR) | {
            f"a field has not one value a horizon of {HOURS} hours": any(len(row) != len(HOURS) for row in rows),
            "a deviation is not positive": not all(0.0 < each < math.inf for both in self.deviation for each in both),
            "a chance to stay is not within 0 and 1": not all(0.0 < each < 1.0 for both in self.stay for each in both),
            "a mean is not finite": not all(math.isfinite(each) for both in self.mean for each in both),
            "a band is negative or not finite": not all(0.0 <= each < math.inf for each in self.band),
            "a rule is unknown": any(name not in RULES for name in self.in_force),
        }
        return first_problem(found)


def decode(data: bytes) -> RegimeModel:
    """Read a model file; msgspec.ValidationError names what is wrong in it, ValueError what does not fit together."""
    return sound(msgspec.json.decode(data, type=RegimeModel))


@cache
def shipped() -> RegimeModel:
    """The model that comes with the product."""
    return decode((resources.files("detectors.regime") / "shipped" / "regime.json").read_bytes())


def summary(model: RegimeModel) -> dict[str, Any]:
    """What a listing shows."""
    return {
        "detector": model.detector,
        "hash": model.hash,
        "inputs": len(HOURS),
        "rows": sum(model.card.rows.values()),
        "data": model.card.data,
        "in_force": dict(zip(map(str, HOURS), model.in_force, strict=True)),
    }


def markdown(model: RegimeModel) -> str:
    """The card of a model, generated from its file alone."""
    card = model.card
    facts = {
        "Detector": f"`{model.detector}`",
        "Content hash": f"`{model.hash}`",
        **origin(card, counted(card.rows), kind="minutes"),
    }
    head = [
        "| hours | in force | mean of a step, bull / bear | deviation | chance to stay | band of the trend |",
        "|---|---|---|---|---|---|",
    ]
    columns = zip(HOURS, model.in_force, model.mean, model.deviation, model.stay, model.band, strict=True)
    rows = [
        f"| {hours} | {rule} | {_both(m)} | {_both(d)} | {_both(s)} | {b:g} |" for hours, rule, m, d, s, b in columns
    ]
    table = "\n".join(["## Horizons", "", *head, *rows])
    return page("Regime rules", facts, [table, measured(card.metrics), limits(card.limits)])


def _both(pair: tuple[float, float]) -> str:
    return f"{pair[0]:.3g} / {pair[1]:.3g}"
