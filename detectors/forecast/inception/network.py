"""Two networks over factor images: Inception blocks (Szegedy et al. 2015, Going deeper with convolutions, fig. 2b), and
a plain CNN with as many weights.

Both halve the image three times and end in one linear layer that gives the log odds of a rise.

Layers of the networks twice over, in torch to learn and in NumPy to predict, with SAME padding throughout.

A network is written once, over `Layers`; a test holds both to the same figures.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

F8 = npt.NDArray[np.float64]


class Layers(Protocol):
    """What a network is made of. given : [images, channels, rows, columns], of either library"""

    def convolved(self, given: Any, weight: Any, bias: Any) -> Any:
        """Convolution of odd size, then ReLU; rows and columns stay as they are."""
        ...

    def pooled(self, given: Any, stride: int) -> Any:
        """Largest of 3 x 3; with stride 2 half the rows and columns, rounded up."""
        ...

    def joined(self, parts: Sequence[Any]) -> Any:
        """Channels of several pictures of the same size, one after the other."""
        ...

    def linear(self, given: Any, weight: Any, bias: Any) -> Any:
        """A number an image from all that is left of it, [images]; in training after dropout."""
        ...


class TorchLayers:
    """In torch. torch : the module; dropped : share of inputs of the last layer that training leaves out"""

    def __init__(self, torch: Any, dropped: float = 0.0) -> None:
        self._torch, self._of, self._dropped = torch, torch.nn.functional, dropped

    def convolved(self, given: Any, weight: Any, bias: Any) -> Any:
        """See Layers."""
        return self._torch.relu(self._of.conv2d(given, weight, bias, padding="same"))

    def pooled(self, given: Any, stride: int) -> Any:
        """See Layers."""
        return self._of.max_pool2d(given, 3, stride, 1)

    def joined(self, parts: Sequence[Any]) -> Any:
        """See Layers."""
        return self._torch.cat(list(parts), dim=1)

    def linear(self, given: Any, weight: Any, bias: Any) -> Any:
        """See Layers."""
        flat = self._of.dropout(given.flatten(1), self._dropped, training=self._dropped > 0.0)
        return flat @ weight + bias


class NumpyLayers:
    """In NumPy, float64: no torch is needed to predict."""

    def convolved(self, given: F8, weight: F8, bias: F8) -> F8:
        """See Layers."""
        windows = _windows(given, weight.shape[2], 0.0)
        found: F8 = np.tensordot(windows, weight, axes=((1, 4, 5), (1, 2, 3))).transpose(0, 3, 1, 2)
        return np.maximum(found + bias[:, None, None], 0.0)

    def pooled(self, given: F8, stride: int) -> F8:
        """See Layers."""
        found: F8 = _windows(given, 3, -np.inf)[:, :, ::stride, ::stride].max(axis=(4, 5))
        return found

    def joined(self, parts: Sequence[F8]) -> F8:
        """See Layers."""
        return np.concatenate(list(parts), axis=1)

    def linear(self, given: F8, weight: F8, bias: F8) -> F8:
        """See Layers."""
        found: F8 = given.reshape(len(given), -1) @ weight + bias
        return found


def _windows(given: F8, size: int, edge: float) -> F8:
    """The picture around each point, [images, channels, rows, columns, size, size], `edge` beyond the border."""
    beyond = size // 2
    padded = np.pad(given, ((0, 0), (0, 0), (beyond, beyond), (beyond, beyond)), constant_values=edge)
    return np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(2, 3))


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
