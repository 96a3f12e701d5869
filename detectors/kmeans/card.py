"""A model's card as a page: what it is, what it was trained on, how well it does, and what it cannot do."""

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
        "Data": card.data,
        "Data hash": f"`{card.data_hash}`",
        "Training rows": f"{card.rows:,}",
        "Made by": f"`{card.command}`",
        "Seed": str(card.seed),
        "Scaling": f"{card.scaling}, cut at {model.clip:g}",
        "Probability": card.calibration,
        "Alert distance": f"{model.alert:g}: {card.budget}",
    }
    lines = [f"# {_TITLES.get(model.detector, model.detector)}", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in facts.items()]
    lines += [
        "",
        "## Clusters",
        "",
        "Centres in the inputs' own units; `normal` clusters are what a row's distance is taken to.",
        "",
    ]
    lines += [centres_table(model)]
    if card.metrics:
        lines += ["", "## Measured", "", "| figure | value |", "|---|---|"]
        lines += [f"| {name} | {value:g} |" for name, value in card.metrics.items()]
    if card.limits:
        lines += ["", "## Limits", "", card.limits]
    return "\n".join(lines) + "\n"


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
