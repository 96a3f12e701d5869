"""Self-play: the champion acts, now and then by chance, and a challenger learns from what comes of it (off-policy)."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from detectors.ddqn.model import Policy, decode
from tapewatch.errors import TapewatchError

if TYPE_CHECKING:
    from detectors.ddqn.learner import Recipe

ASTRAY = 0.25
"""Share of the champion's decisions that are left to chance, from first to last: what it never does, nobody can learn
to do better.
"""


def named(path: Path, environment: str, inputs: Sequence[str], actions: Sequence[str]) -> Policy:
    """The champion in a file; TapewatchError where there is none, or one that cannot act in this environment."""
    try:
        champion = decode(path.read_bytes())
    except (OSError, ValueError) as error:
        raise TapewatchError(f"{path} is no policy: {error}", "Name a policy file with --champion.") from error
    described = champion.described
    if (described.environment, described.inputs, described.actions) != (environment, tuple(inputs), tuple(actions)):
        raise TapewatchError(
            f"policy {champion.hash} is no champion here: it acts in {described.environment!r} or sees other inputs",
            f"Name one of {environment!r} with --champion.",
        )
    return champion


def challenging(recipe: "Recipe") -> "Recipe":
    """The recipe to learn by from another's experience.

    Returns of one step only: those of several would value what the champion did after the first, not what the
    challenger would have done. Chance is the same throughout instead of falling from all to little.
    """
    return replace(recipe, n_step=1, epsilon_end=ASTRAY, epsilon_share=0.0)
