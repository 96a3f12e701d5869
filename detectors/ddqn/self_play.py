"""Self-play: the champion acts, now and then by chance, and a challenger learns from what comes of it (off-policy)."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from detectors.ddqn.model import Policy

if TYPE_CHECKING:
    from detectors.ddqn.learner import Recipe

ASTRAY = 0.25
"""Share of the champion's decisions that are left to chance, from first to last: what it never does, nobody can learn
to do better.
"""


def fit(champion: Policy, environment: str, inputs: Sequence[str], actions: Sequence[str]) -> Policy:
    """The same champion; ValueError where it is of another environment, so that it cannot act in this one."""
    described = champion.described
    if (described.environment, described.inputs, described.actions) != (environment, tuple(inputs), tuple(actions)):
        raise ValueError(f"policy {champion.hash} is for another environment, {described.environment!r}")
    return champion


def challenging(recipe: "Recipe") -> "Recipe":
    """The recipe to learn by from another's experience.

    Returns of one step only: those of several would value what the champion did after the first, not what the
    challenger would have done. Chance is the same throughout instead of falling from all to little.
    """
    return replace(recipe, n_step=1, epsilon_end=ASTRAY, epsilon_share=0.0)
