"""What the networks are written in, so that numpy tells from a model file the same as torch did in training."""

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

F4 = npt.NDArray[np.float32]


class Arithmetic(Protocol):
    """The few functions that numpy and torch do not spell alike; arrays are float32 of either."""

    def relu(self, x: Any) -> Any:
        """Zero where negative."""
        ...

    def softmax(self, x: Any) -> Any:
        """Shares of the last axis that sum to one."""
        ...

    def windows(self, x: Any, length: int, stride: int) -> Any:
        """Stretches of the second axis, [rows, stretches, channels, length]. x : [rows, steps, channels]"""
        ...

    def padded(self, x: Any, count: int) -> Any:
        """With that many steps of zeros before the oldest."""
        ...

    def joined(self, parts: list[Any]) -> Any:
        """One behind the other along the last axis."""
        ...

    def kept(self, x: Any) -> Any:
        """The same; in training some of it zeroed (dropout)."""
        ...


class Numpy:
    """Inference."""

    def relu(self, x: F4) -> F4:
        """Zero where negative."""
        return np.maximum(x, np.float32(0.0))

    def softmax(self, x: F4) -> F4:
        """Shares of the last axis."""
        raised = np.exp(x - x.max(axis=-1, keepdims=True))
        found: F4 = raised / raised.sum(axis=-1, keepdims=True)
        return found

    def windows(self, x: F4, length: int, stride: int) -> F4:
        """Stretches of the second axis."""
        found: F4 = np.lib.stride_tricks.sliding_window_view(x, length, axis=1)[:, ::stride]
        return found

    def padded(self, x: F4, count: int) -> F4:
        """With zeros before the oldest step."""
        return np.pad(x, ((0, 0), (count, 0), (0, 0)))

    def joined(self, parts: list[F4]) -> F4:
        """Along the last axis."""
        return np.concatenate(parts, axis=-1)

    def kept(self, x: F4) -> F4:
        """Nothing is dropped."""
        return x


class Torch:
    """Training; `dropout` is drawn by the generator, 0 to judge."""

    def __init__(self, torch: Any, dropout: float = 0.0, generator: Any = None) -> None:
        self.torch, self.dropout, self.generator = torch, dropout, generator

    def relu(self, x: Any) -> Any:
        """Zero where negative."""
        return self.torch.relu(x)

    def softmax(self, x: Any) -> Any:
        """Shares of the last axis."""
        return self.torch.softmax(x, -1)

    def windows(self, x: Any, length: int, stride: int) -> Any:
        """Stretches of the second axis."""
        return x.unfold(1, length, stride)

    def padded(self, x: Any, count: int) -> Any:
        """With zeros before the oldest step."""
        return self.torch.nn.functional.pad(x, (0, 0, count, 0))

    def joined(self, parts: list[Any]) -> Any:
        """Along the last axis."""
        return self.torch.cat(parts, -1)

    def kept(self, x: Any) -> Any:
        """Inverted dropout (Srivastava et al. 2014)."""
        if self.dropout == 0.0:
            return x
        drawn = self.torch.rand(x.shape, generator=self.generator) >= self.dropout
        return x * drawn / (1.0 - self.dropout)
