"""The pump model's card as a page: what it was trained on, how well it does, and what it cannot do."""

from detectors.pumps.model import PumpModel


def markdown(model: PumpModel) -> str:
    """The card of a model, generated from its file alone."""
    card = model.card
    windows = ", ".join(f"{len(booster.roots)} trees at {booster.window_s} s" for booster in model.boosters)
    facts = {
        "Detector": f"`{model.detector}`",
        "Content hash": f"`{model.hash}`",
        "Inputs": ", ".join(f"`{name}`" for name in model.inputs),
        "Trees": f"gradient boosting, {windows}; log odds averaged",
        "Gate": f"volume {model.least_volume:g} times the mean chunk's and a rise of {model.least_rise:.1%}",
        "Data": card.data,
        "Data hash": f"`{card.data_hash}`",
        "Training rows": ", ".join(f"{count:,} {name}" for name, count in card.rows.items()),
        "Made by": f"`{card.command}`",
        "Seed": str(card.seed),
        "Alert probability": f"{model.alert:g}: {card.threshold}",
    }
    lines = ["# Pump detector", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in facts.items()]
    if card.metrics:
        lines += ["", "## Measured", "", "| figure | value |", "|---|---|"]
        lines += [f"| {name} | {value:g} |" for name, value in card.metrics.items()]
    if card.limits:
        lines += ["", "## Limits", "", card.limits]
    return "\n".join(lines) + "\n"
