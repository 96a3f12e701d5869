"""Layers of the networks twice over, in torch to learn and in NumPy to predict, with SAME padding throughout.

A network is written once, over `Layers`; a test holds both to the same figures.
"""

from collections.abc import Sequence
from typing import Any, Protocol

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
