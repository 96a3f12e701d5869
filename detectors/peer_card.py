"""The card of an autoencoder, an isolation forest or a fusion as a page, from its file alone."""

from detectors.autoencoder.model import AutoencoderModel
from detectors.autoencoder.score import CHANNELS, CODE, HIDDEN, PATCH, WINDOW
from detectors.fusion import FusionModel
from detectors.isolation.model import IsolationModel

Model = AutoencoderModel | IsolationModel | FusionModel

_TITLES = {
    "autoencoder": "Autoencoder over windows of feature rows",
    "isolation": "Isolation forest over feature rows",
    "fusion": "Fusion of K-means, autoencoder and isolation forest",
}


def markdown(model: Model) -> str:
    """The card of a model."""
    described = model.described if isinstance(model, AutoencoderModel) else model
    card = described.card
    facts = {
        "Detector": f"`{described.detector}`",
        "Content hash": f"`{model.hash}`",
        "File": f"{len(model.encoded()):,} bytes",
        **_made_of(model),
        "Data": card.data,
        "Data hash": f"`{card.data_hash}`",
        "Training rows": f"{card.rows:,}",
        "Made by": f"`{card.command}`",
        "Seed": str(card.seed),
        "Probability": card.calibration,
        "Alert limit": f"{described.alert:g}: {card.budget}",
        "p-values": f"split conformal, from {described.conformal_rows:,} held-out rows",
    }
    lines = [f"# {_TITLES[described.detector]}", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in facts.items()]
    if card.metrics:
        lines += ["", "## Measured", "", "| figure | value |", "|---|---|"]
        lines += [f"| {name} | {value:g} |" for name, value in card.metrics.items()]
    lines += ["", "Out of sample, over seeds: [calibration](../calibration.md)."]
    if card.limits:
        lines += ["", "## Limits", "", card.limits]
    return "\n".join(lines) + "\n"


def _made_of(model: Model) -> dict[str, str]:
    """What the model consists of."""
    if isinstance(model, AutoencoderModel):
        shape = (
            f"{PATCH} s x 16 inputs to {CHANNELS}, 4 patches to {CHANNELS}, 2 to a code of {CODE}; {HIDDEN}; {PATCH} s"
        )
        return {
            "Class": model.described.instrument_class,
            "Network": f"causal temporal convolution over {WINDOW} s: {shape}",
            "Inputs": ", ".join(f"`{name}`" for name in model.described.inputs),
        }
    if isinstance(model, IsolationModel):
        return {
            "Trees": f"{model.trees} of depth {model.depth}",
            "Inputs": ", ".join(f"`{name}`" for name in model.inputs),
        }
    pairs = zip(model.inputs, model.weights, model.models, strict=True)
    return {"Weights of log odds": "; ".join(f"{name} {weight:g} (model `{of}`)" for name, weight, of in pairs)}
