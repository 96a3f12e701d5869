"""The card of an autoencoder, an isolation forest or a fusion as a page, from its file alone."""

from detectors.autoencoder.model import DAILY, AutoencoderModel
from detectors.autoencoder.score import CHANNELS, CODE, HIDDEN, PATCH, WINDOW
from detectors.card_page import by_kind, limits, measured, named, origin, page
from detectors.fusion import FusionModel
from detectors.isolation.model import IsolationModel

Model = AutoencoderModel | IsolationModel | FusionModel

_TITLES = {
    "autoencoder": "Autoencoder over windows of feature rows",
    "autoencoder_crypto": "Autoencoder over windows of feature rows, for coins",
    "autoencoder_daily": "Autoencoder over windows of daily bars",
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
        **origin(card, f"{card.rows:,}"),
        "Probability": card.calibration,
        "Alert limit": f"{described.alert:g}: {card.budget}",
        **_by_feed(model),
        "p-values": f"split conformal, from {described.conformal_rows:,} held-out rows",
    }
    apart = "Out of sample, over seeds: [calibration](../calibration.md)."
    return page(_TITLES[described.detector], facts, [measured(card.metrics), apart, limits(card.limits)])


def _by_feed(model: Model) -> dict[str, str]:
    """Alert limits by kind of feed; the fusion has one."""
    if isinstance(model, FusionModel):
        return {}
    described = model.described if isinstance(model, AutoencoderModel) else model
    return by_kind(described.alerts)


def _made_of(model: Model) -> dict[str, str]:
    """What the model consists of."""
    if isinstance(model, AutoencoderModel):
        shape = (
            f"{PATCH} s x 16 inputs to {CHANNELS}, 4 patches to {CHANNELS}, 2 to a code of {CODE}; {HIDDEN}; {PATCH} s"
        )
        step = "days" if model.described.instrument_class == DAILY else "s"
        shape = shape.replace(" s", f" {step}")
        return {
            "Class": model.described.instrument_class,
            "Network": f"causal temporal convolution over {WINDOW} {step}: {shape}",
            "Inputs": named(model.described.inputs),
        }
    if isinstance(model, IsolationModel):
        return {
            "Trees": f"{model.trees} of depth {model.depth}",
            "Inputs": named(model.inputs),
        }
    pairs = zip(model.inputs, model.weights, model.models, strict=True)
    return {"Weights of log odds": "; ".join(f"{name} {weight:g} (model `{of}`)" for name, weight, of in pairs)}
