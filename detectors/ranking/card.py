"""The ranking model's card as a page: what it was trained on, how well it does, and what it cannot do."""

from detectors.card_page import counted, limits, measured, named, origin, page
from detectors.ranking.model import RankingModel


def markdown(model: RankingModel) -> str:
    """The card of a model, generated from its file alone."""
    card = model.card
    facts = {
        "Detector": f"`{model.detector}`",
        "Content hash": f"`{model.hash}`",
        "Inputs": named(model.inputs),
        "Kind": f"logistic regression, isotonic calibration with {len(model.knots)} knots",
        "Asked by default": f"{model.target:+.2%} before {model.stop:+.2%} within {model.horizon} minutes",
        **origin(card, counted(card.rows)),
        "Calibrated": card.threshold,
    }
    return page("Ranking model", facts, [measured(card.metrics), limits(card.limits)])
