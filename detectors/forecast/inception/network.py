"""Two networks over factor images: Inception blocks (Szegedy et al. 2015, Going deeper with convolutions, fig. 2b), and
a plain CNN with as many weights.

Both halve the image three times and end in one linear layer that gives the log odds of a rise.
"""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from detectors.forecast.inception.layers import Layers

Kind = Literal["inception", "cnn"]
Shapes = dict[str, tuple[int, ...]]


class Block(NamedTuple):
    """Channels of an Inception block's four branches: 1x1; 1x1 then 3x3; 1x1 then 5x5; pooling then 1x1."""

    one: int
    three_reduced: int
    three: int
    five_reduced: int
    five: int
    pooled: int

    @property
    def width(self) -> int:
        """Channels that come out."""
        return self.one + self.three + self.five + self.pooled


STEM = 8
"""Channels of the first convolution, 3x3."""
BLOCKS = (Block(6, 4, 8, 2, 4, 4), Block(8, 6, 12, 3, 6, 6))
PLAIN = (6, 32)
"""Channels of the plain CNN's 3x3 convolutions after the stem: about as many weights as BLOCKS."""
HALVINGS = 3


def shapes(kind: Kind, channels: int, days: int, factors: int) -> Shapes:
    """Shape of every array of a network, by name, in the order in which they are drawn."""
    found: Shapes = _convolution("stem", channels, STEM, 3)
    width = STEM
    if kind == "inception":
        for number, block in enumerate(BLOCKS):
            found |= _block(f"block{number}", width, block)
            width = block.width
    else:
        for number, wide in enumerate(PLAIN):
            found |= _convolution(f"plain{number}", width, wide, 3)
            width = wide
    rows, columns = (-(-size // 2**HALVINGS) for size in (days, factors))
    return found | {"head.weight": (width * rows * columns,), "head.bias": ()}


def _convolution(name: str, given: int, out: int, size: int) -> Shapes:
    return {f"{name}.weight": (out, given, size, size), f"{name}.bias": (out,)}


def _block(name: str, given: int, block: Block) -> Shapes:
    return (
        _convolution(f"{name}.one", given, block.one, 1)
        | _convolution(f"{name}.three_reduced", given, block.three_reduced, 1)
        | _convolution(f"{name}.three", block.three_reduced, block.three, 3)
        | _convolution(f"{name}.five_reduced", given, block.five_reduced, 1)
        | _convolution(f"{name}.five", block.five_reduced, block.five, 5)
        | _convolution(f"{name}.pooled", given, block.pooled, 1)
    )


def log_odds(kind: Kind, layers: Layers, parameters: Mapping[str, Any], pixels: Any) -> Any:
    """Log odds of a rise before calibration, [images]. pixels : [images, channels, days, factors]"""

    def convolved(name: str, given: Any) -> Any:
        return layers.convolved(given, parameters[f"{name}.weight"], parameters[f"{name}.bias"])

    found = layers.pooled(convolved("stem", pixels), 2)
    for number in range(HALVINGS - 1):
        if kind == "inception":
            found = inception(layers, parameters, f"block{number}", found)
        else:
            found = convolved(f"plain{number}", found)
        found = layers.pooled(found, 2)
    return layers.linear(found, parameters["head.weight"], parameters["head.bias"])


def inception(layers: Layers, parameters: Mapping[str, Any], name: str, given: Any) -> Any:
    """One block: what four branches see at each point, side by side; rows and columns stay as they are."""

    def convolved(branch: str, seen: Any) -> Any:
        return layers.convolved(seen, parameters[f"{name}.{branch}.weight"], parameters[f"{name}.{branch}.bias"])

    return layers.joined([
        convolved("one", given),
        convolved("three", convolved("three_reduced", given)),
        convolved("five", convolved("five_reduced", given)),
        convolved("pooled", layers.pooled(given, 1)),
    ])  # fmt: skip
