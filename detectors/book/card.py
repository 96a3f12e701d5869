"""The book model's card as a page: what it was trained on, how well it does, and what it cannot do."""

from detectors.book.model import BookModel


def markdown(model: BookModel) -> str:
    """The card of a model, generated from its file alone."""
    card = model.card
    trees = ", ".join(f"{len(booster.roots)} trees for {booster.scenario}" for booster in model.boosters)
    alerts = ", ".join(f"{booster.scenario} {booster.alert:g}" for booster in model.boosters)
    facts = {
        "Detector": f"`{model.detector}`",
        "Content hash": f"`{model.hash}`",
        "Inputs": ", ".join(f"`{name}`" for name in model.inputs),
        "Trees": f"gradient boosting, {trees}; log odds calibrated by a logistic line",
        "Data": card.data,
        "Data hash": f"`{card.data_hash}`",
        "Training seconds": ", ".join(f"{count:,} {name}" for name, count in card.rows.items()),
        "Made by": f"`{card.command}`",
        "Seed": str(card.seed),
        "Alert probabilities": f"{alerts}: {card.threshold}",
    }
    lines = ["# Book detector", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in facts.items()]
    if card.metrics:
        lines += ["", "## Measured", "", "| figure | value |", "|---|---|"]
        lines += [f"| {name} | {value:g} |" for name, value in card.metrics.items()]
    if card.limits:
        lines += ["", "## Limits", "", card.limits]
    return "\n".join(lines) + "\n"
