"""A policy as a file: safetensors whose metadata hold what weights do not say, named by its content's hash.

The card of a policy as a page, from its file alone.
"""

from typing import Any

import msgspec
import numpy as np

from detectors.card_page import limits, measured, named, origin, page
from detectors.ddqn.score import Network
from detectors.ddqn.virtual import PRIVATE
from detectors.model_file import Origin, TensorFile, decode_model, first_problem, foreign

DETECTOR = "ddqn"
LAYERS = ("w1", "b1", "w2", "b2", "w", "b")
SCALING = ("center", "scale")
"""Further arrays of a policy whose inputs begin with features: how it sees each (detectors.ddqn.virtual.scaled)."""
_QUAD = 4


class Card(Origin, frozen=True, forbid_unknown_fields=True):
    """Where a policy comes from and how far it can be trusted.

    steps : decisions it has learnt from; recipe : how; metrics : figures on rows that training never saw
    limits : what it cannot do
    """

    steps: int = 0
    recipe: dict[str, Any] = msgspec.field(default_factory=dict)
    metrics: dict[str, float] = msgspec.field(default_factory=dict)
    limits: str = ""


class PolicyMetadata(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of a policy but its weights.

    environment : whose states these are; inputs, actions : names, in the order of the network's columns and rows
    """

    environment: str
    inputs: tuple[str, ...]
    actions: tuple[str, ...]
    card: Card = Card()
    detector: str = DETECTOR
    version: str = "1.0"

    def problem(self) -> str:
        """What is wrong; empty where nothing is."""
        found = {
            "no inputs or fewer than two actions": not self.inputs or len(self.actions) < 2,
            "a name stands twice": len({*self.inputs}) + len({*self.actions}) < len(self.inputs) + len(self.actions),
        }
        return first_problem(foreign(self.detector, self.version, DETECTOR) | found)


class Policy(TensorFile[PolicyMetadata], frozen=True):
    """A policy: its description, and its arrays by name (LAYERS, perhaps SCALING), float32."""

    @property
    def card(self) -> Card:
        """Where it comes from."""
        return self.described.card

    def network(self) -> Network:
        """As the kernel takes it: inputs filled up to a multiple of four with weights of zero."""
        missing = -len(self.described.inputs) % _QUAD
        arrays = self.arrays | {"w1": np.pad(self.arrays["w1"], ((0, 0), (0, missing)))}
        return Network(**{name: np.ascontiguousarray(arrays[name]) for name in LAYERS})

    def problem(self) -> str:
        """What is wrong with the policy as a whole; empty where nothing is."""
        if sorted(self.arrays) not in (sorted(LAYERS), sorted((*LAYERS, *SCALING))) or not self.finite:
            return f"arrays are not {', '.join(LAYERS)} of finite float32"
        one, two = len(self.arrays["b1"]), len(self.arrays["b2"])
        inputs, actions = len(self.described.inputs), len(self.described.actions)
        shapes = ((one, inputs), (one,), (two, one), (two,), (actions, two), (actions,))
        if tuple(self.arrays[name].shape for name in LAYERS) != shapes or one % _QUAD or two % _QUAD:
            return "arrays do not fit together, or a hidden layer is no multiple of four"
        if any(self.arrays[name].shape != (inputs - len(PRIVATE),) for name in SCALING if name in self.arrays):
            return "the scaling does not fit the inputs"
        return self.described.problem()


def decode(data: bytes) -> Policy:
    """Read a policy file; ValueError names what is wrong in it (msgspec.ValidationError is one)."""
    return decode_model(data, Policy, PolicyMetadata)


def summary(policy: Policy) -> dict[str, Any]:
    """What a listing shows."""
    return {
        "detector": policy.described.detector,
        "environment": policy.described.environment,
        "hash": policy.hash,
        "inputs": len(policy.described.inputs),
        "actions": list(policy.described.actions),
        "weights": policy.weights,
        "rows": policy.card.steps,
        "data": policy.card.data,
    }


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
