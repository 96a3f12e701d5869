"""Figures with intervals that were measured of shipped models: data beside the models, each named by its model's hash.

A model's file holds its card and gives the hash; what is measured of it later, or with counts that the card does not
hold, cannot stand there. `python -m benchmarks.card_figures` writes the data.
"""

from functools import cache
from importlib import resources

import msgspec


class Figure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One figure. low, high : its 95 % interval; interval : how that was found; source : where the figure comes from"""

    name: str
    value: float
    low: float
    high: float
    interval: str
    source: str


class ModelFigures(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was measured of one model. model : content hash"""

    model: str
    figures: tuple[Figure, ...]


@cache
def recorded() -> dict[str, ModelFigures]:
    """By detector, as shipped."""
    data = (resources.files("detectors") / "figures.json").read_bytes()
    return msgspec.json.decode(data, type=dict[str, ModelFigures])


def section(detector: str, model: str) -> str:
    """The part of a card with the figures of a model; empty where none are recorded of that hash."""
    found = recorded().get(detector)
    if found is None or found.model != model or not found.figures:
        return ""
    lines = ["", "## Measured, with 95 % intervals", ""]
    lines += ["| figure | value | interval | by | from |", "|---|--:|---|---|---|"]
    lines += [
        f"| {each.name} | {each.value:.4g} | {each.low:.3g} to {each.high:.3g} | {each.interval} | {each.source} |"
        for each in found.figures
    ]
    return "\n".join(lines) + "\n"
