"""The card of a policy as a page, from its file alone."""

from detectors.card_page import limits, measured, named, origin, page
from detectors.ddqn.model import Policy


def markdown(policy: Policy) -> str:
    """The card."""
    described, card = policy.described, policy.card
    one, two = len(policy.arrays["b1"]), len(policy.arrays["b2"])
    recipe = ", ".join(f"{name} {value}" for name, value in card.recipe.items())
    facts = {
        "Detector": f"`{described.detector}`",
        "Content hash": f"`{policy.hash}`",
        "File": f"{len(policy.encoded()):,} bytes",
        "Environment": described.environment,
        "Network": f"{len(described.inputs)} inputs, {one}, {two}, {len(described.actions)} actions",
        "Inputs": named(described.inputs),
        "Actions": named(described.actions),
        **origin(card, f"{card.steps:,}", "decisions"),
        "Recipe": recipe,
    }
    return page("Double DQN policy", facts, [measured(card.metrics), limits(card.limits)])
