"""The three networks: residual convolutions, convolution before self-attention, and self-attention of dense days.

Each takes [rows, STEPS, features], oldest day first, and gives [rows, 8]: a logit for each class, and the next return
in units of its spread. All weights are two-dimensional, [in, out], but for positions and biases.

What the networks are written in, so that numpy tells from a model file the same as torch did in training.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from detectors.forecast.classes import CLASSES

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


STEPS = 32
"""Days of a window."""
WIDTH = 24
OUTPUTS = len(CLASSES) + 1
_STEM, _STRIDE = 4, 2
TOKENS = (STEPS - _STEM) // _STRIDE + 1
_KERNELS = (5, 3, 3)
"""Lengths of the residual blocks' convolutions."""

NAMES = ("attention", "dense_attention", "resnet")

Shapes = dict[str, tuple[int, ...]]
Weights = Mapping[str, Any]


def _dense(name: str, inputs: int, outputs: int) -> Shapes:
    return {f"{name}_w": (inputs, outputs), f"{name}_b": (outputs,)}


def _attending(tokens: int) -> Shapes:
    return {
        "position": (tokens, WIDTH),
        **_dense("query", WIDTH, WIDTH),
        **_dense("key", WIDTH, WIDTH),
        **_dense("value", WIDTH, WIDTH),
        **_dense("after", WIDTH, WIDTH),
        **_dense("wide", WIDTH, 2 * WIDTH),
        **_dense("narrow", 2 * WIDTH, WIDTH),
    }


def shapes(name: str, features: int) -> Shapes:
    """Shape of each array of a network, by its name. features : inputs of a day"""
    head = _dense("head", 2 * WIDTH, OUTPUTS) | _dense("direct", features, OUTPUTS)
    if name == "dense_attention":
        return _dense("first", features, WIDTH) | _dense("second", WIDTH, WIDTH) | _attending(STEPS) | head
    stem = _dense("stem", _STEM * features, WIDTH)
    if name == "attention":
        return stem | _attending(TOKENS) | head
    found = stem
    for number, kernel in enumerate(_KERNELS):
        found = found | _dense(f"a{number}", kernel * WIDTH, WIDTH) | _dense(f"b{number}", kernel * WIDTH, WIDTH)
    return found | head


def begin(key: str) -> float:
    """How large an array begins, as a share of Kaiming's bound: what is added to a way around, and the head, small; the
    direct way at nothing.
    """
    if key == "direct_w":
        return 0.0
    return 0.2 if key[0] == "b" or key in ("after_w", "narrow_w", "head_w") else 1.0


def outputs(name: str, ops: Arithmetic, weights: Weights, x: Any) -> Any:
    """What a network says of windows, [rows, 8]. name : of the network; x : [rows, STEPS, features] without NaN"""
    told = {"attention": _attention, "dense_attention": _dense_attention, "resnet": _resnet}[name](ops, weights, x)
    return told + _linear(weights, "direct", x[:, -1])


def _attention(ops: Arithmetic, weights: Weights, x: Any) -> Any:
    """Conv1D + self-attention: a token for each two days, told from four."""
    return _head(ops, weights, _attended(ops, weights, _stem(ops, weights, x)))


def _dense_attention(ops: Arithmetic, weights: Weights, x: Any) -> Any:
    """Dense self-attention: every day a token, through two dense layers of its own."""
    first = ops.relu(_linear(weights, "first", x))
    return _head(ops, weights, _attended(ops, weights, first + ops.relu(_linear(weights, "second", first))))


def _resnet(ops: Arithmetic, weights: Weights, x: Any) -> Any:
    """ResNet-1D (Wang, Yan & Oates 2017) without batch normalisation: second convolutions begin small instead."""
    h = _stem(ops, weights, x)
    for number, kernel in enumerate(_KERNELS):
        inner = ops.relu(_convolved(ops, weights, f"a{number}", ops.padded(h, kernel - 1), kernel))
        inner = _convolved(ops, weights, f"b{number}", ops.padded(inner, kernel - 1), kernel)
        h = ops.relu(h + inner)
    return _head(ops, weights, h)


def _linear(weights: Weights, name: str, x: Any) -> Any:
    return x @ weights[f"{name}_w"] + weights[f"{name}_b"]


def _convolved(ops: Arithmetic, weights: Weights, name: str, x: Any, length: int, stride: int = 1) -> Any:
    """A convolution as a product, [rows, stretches, out]; a stretch's channels lie one behind the other."""
    found = ops.windows(x, length, stride)
    return _linear(weights, name, found.reshape(found.shape[0], found.shape[1], -1))


def _stem(ops: Arithmetic, weights: Weights, x: Any) -> Any:
    return ops.relu(_convolved(ops, weights, "stem", x, _STEM, _STRIDE))


def _normal(x: Any) -> Any:
    """Layer normalisation without parameters (Ba, Kiros & Hinton 2016)."""
    apart = x - x.mean(axis=-1, keepdims=True)
    return apart / ((apart * apart).mean(axis=-1, keepdims=True) + 1e-5) ** 0.5


def _attended(ops: Arithmetic, weights: Weights, tokens: Any) -> Any:
    """One block of self-attention, normalised before (Vaswani et al. 2017; Xiong et al. 2020)."""
    h = tokens + weights["position"]
    before = _normal(h)
    query, key, value = (_linear(weights, name, before) for name in ("query", "key", "value"))
    shares = ops.softmax(query @ key.swapaxes(1, 2) * WIDTH**-0.5)
    h = h + _linear(weights, "after", shares @ value)
    return h + _linear(weights, "narrow", ops.relu(_linear(weights, "wide", _normal(h))))


def _head(ops: Arithmetic, weights: Weights, h: Any) -> Any:
    """The mean of all tokens and the newest one, to classes and return."""
    pooled = ops.joined([h.mean(axis=1), h[:, -1]])
    return _linear(weights, "head", ops.kept(pooled))
