"""A model's card as a page: what it is, what it was trained on, how well it does, and what it cannot do."""

from detectors.card_page import by_kind, limits, measured, origin, page
from detectors.kmeans.model import KMeansModel

_TITLES = {
    "kmeans": "K-means manipulation score, many features",
    "kmeans_classic": "K-means manipulation score, the classic pair",
}


def markdown(model: KMeansModel) -> str:
    """The card of a model, generated from its file alone."""
    card = model.card
    facts = {
        "Detector": f"`{model.detector}`",
        "Content hash": f"`{model.hash}`",
        **origin(card, f"{card.rows:,}"),
        "Scaling": f"{card.scaling}, cut at {model.clip:g}",
        "Probability": card.calibration,
        "Alert distance": f"{model.alert:g}: {card.budget}",
        **by_kind(model.alerts),
    }
    clusters = (
        "## Clusters\n\nCentres in the inputs' own units; `normal` clusters are what a row's distance is taken to.\n\n"
    )
    sections = [clusters + centres_table(model), measured(card.metrics), limits(card.limits)]
    return page(_TITLES.get(model.detector, model.detector), facts, sections)


def centres_table(model: KMeansModel) -> str:
    """A Markdown table: one row an input, one column a cluster."""
    total = max(1, sum(model.sizes))
    head = [
        f"{number} ({'normal' if normal else 'abnormal'}, {size / total:.2%})"
        for number, (normal, size) in enumerate(zip(model.normal, model.sizes, strict=True))
    ]
    lines = ["| input | " + " | ".join(head) + " |", "|---|" + "---|" * len(head)]
    for name, values in zip(model.inputs, zip(*model.raw_centres(), strict=True), strict=True):
        lines.append(f"| {name} | " + " | ".join(f"{value:.4g}" for value in values) + " |")
    return "\n".join(lines)
