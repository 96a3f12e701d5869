"""An Inception model's card as a page: the images it was trained on, how well it does, and what it cannot do."""

from detectors.card_page import counted, limits, measured, named, origin, page
from detectors.forecast.inception.images import AHEAD, DAYS
from detectors.forecast.inception.model import InceptionModel


def markdown(model: InceptionModel) -> str:
    """The card of a model, generated from its file alone."""
    card, of = model.card, model.described
    facts = {
        "Detector": f"`{model.detector}`",
        "Content hash": f"`{model.hash}`",
        "Asked": f"whether `{of.channels[0]}` closes higher {AHEAD} bars later",
        "Channels": named(of.channels),
        "Image": f"{DAYS} days x {len(of.factors)} factors: {named(of.factors)}",
        "Calibration": f"log odds drawn towards {of.base:.4f} by a slope of {of.slope:g}",
        **origin(card, counted(card.images), "images"),
        "Windows lost": ", ".join(f"{name} {ratio:.1%}" for name, ratio in card.lost.items()),
    }
    return page("Inception model", facts, [measured(card.metrics), limits(card.limits)])
