"""The book model's card as a page: what it was trained on, how well it does, and what it cannot do."""

from detectors.book.model import BookModel
from detectors.card_page import counted, limits, measured, named, origin, page


def markdown(model: BookModel) -> str:
    """The card of a model, generated from its file alone."""
    card = model.card
    trees = ", ".join(f"{len(booster.roots)} trees for {booster.scenario}" for booster in model.boosters)
    alerts = ", ".join(f"{booster.scenario} {booster.alert:g}" for booster in model.boosters)
    facts = {
        "Detector": f"`{model.detector}`",
        "Content hash": f"`{model.hash}`",
        "Inputs": named(model.inputs),
        "Trees": f"gradient boosting, {trees}; log odds calibrated by a logistic line",
        **origin(card, counted(card.rows), "seconds"),
        "Alert probabilities": f"{alerts}: {card.threshold}",
    }
    return page("Book detector", facts, [measured(card.metrics), limits(card.limits)])
