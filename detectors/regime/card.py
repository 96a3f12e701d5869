"""The regime rules' card as a page: what they were fitted to, what each horizon goes by, and what they cannot do."""

from detectors.card_page import counted, limits, measured, origin, page
from detectors.regime.model import RegimeModel
from detectors.regime.rules import HOURS


def markdown(model: RegimeModel) -> str:
    """The card of a model, generated from its file alone."""
    card = model.card
    facts = {
        "Detector": f"`{model.detector}`",
        "Content hash": f"`{model.hash}`",
        **origin(card, counted(card.rows), kind="minutes"),
    }
    head = [
        "| hours | in force | mean of a step, bull / bear | deviation | chance to stay | band of the trend |",
        "|---|---|---|---|---|---|",
    ]
    columns = zip(HOURS, model.in_force, model.mean, model.deviation, model.stay, model.band, strict=True)
    rows = [
        f"| {hours} | {rule} | {_both(m)} | {_both(d)} | {_both(s)} | {b:g} |" for hours, rule, m, d, s, b in columns
    ]
    table = "\n".join(["## Horizons", "", *head, *rows])
    return page("Regime rules", facts, [table, measured(card.metrics), limits(card.limits)])


def _both(pair: tuple[float, float]) -> str:
    return f"{pair[0]:.3g} / {pair[1]:.3g}"
