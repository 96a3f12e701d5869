"""The pump model's card as a page: what it was trained on, how well it does, and what it cannot do."""

from detectors.card_page import counted, limits, measured, named, origin, page
from detectors.pumps.model import PumpModel


def markdown(model: PumpModel) -> str:
    """The card of a model, generated from its file alone."""
    card = model.card
    windows = ", ".join(f"{len(booster.roots)} trees at {booster.window_s} s" for booster in model.boosters)
    facts = {
        "Detector": f"`{model.detector}`",
        "Content hash": f"`{model.hash}`",
        "Inputs": named(model.inputs),
        "Trees": f"gradient boosting, {windows}; log odds averaged",
        "Gate": f"volume {model.least_volume:g} times the mean chunk's and a rise of {model.least_rise:.1%}",
        **origin(card, counted(card.rows)),
        "Alert probability": f"{model.alert:g}: {card.threshold}",
    }
    return page("Pump detector", facts, [measured(card.metrics), limits(card.limits)])
