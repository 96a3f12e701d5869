"""Fitting a network to the images of a fold: learnt on its fit rows, stopped and calibrated on its calibrate rows."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.calibration import log_loss
from detectors.forecast.inception.images import Bools
from detectors.forecast.inception.network import Kind, NumpyLayers, TorchLayers, log_odds, shapes
from detectors.forecast.walk import Fold
from detectors.pytorch import require_torch

F4 = npt.NDArray[np.float32]
F8 = npt.NDArray[np.float64]

BATCH = 64
CHECKED = 20
"""Steps from one look at the calibrate rows to the next."""
LEARNING_RATE = 1e-3
WEIGHT_DECAY = 1e-2
DROPPED = 0.4
PATIENCE = 3
"""Looks without a better loss after which a fit stops."""
STEPS = 120
_LOOKED_AT = 256
"""Calibrate rows, evenly spread, that a look takes: neighbouring images are nearly the same."""
_SLOPES = np.linspace(0.05, 1.0, 20)
_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Calibration:
    """How log odds become a probability: drawn towards the share of rises that was learnt from.

    base : log odds of that share; slope : within .05 and 1, how far to trust what departs from it
    One number from a few months of overlapping labels: with more freedom it would learn which way they went.
    """

    base: float
    slope: float

    def probabilities(self, odds: F8) -> F8:
        """Calibrated probability of a rise, float64[rows]. odds : float64[rows], log odds"""
        found: F8 = 1.0 / (1.0 + np.exp(-(self.base + self.slope * (odds - self.base))))
        return found


def calibration(odds: F8, up: Bools, share: float) -> Calibration:
    """The slope of least log loss. odds, up : of calibrate rows; share : of rises among the fit rows"""
    base = float(np.log(share / (1.0 - share)))
    losses = [log_loss(Calibration(base, float(slope)).probabilities(odds), up) for slope in _SLOPES]
    return Calibration(base, float(_SLOPES[int(np.argmin(losses))]))


@dataclass(frozen=True, slots=True)
class ImageClassifier:
    """A network that has learnt.

    parameters : float32 by name; steps : to the best look; loss : of the calibrate rows looked at
    """

    kind: Kind
    parameters: dict[str, F4]
    calibration: Calibration
    steps: int
    loss: float

    def probabilities(self, pixels: F4) -> F8:
        """Calibrated probability of a rise, float64[images]."""
        return self.calibration.probabilities(predicted(self.kind, self.parameters, pixels))


def predicted(kind: Kind, parameters: dict[str, F4], pixels: F4) -> F8:
    """Log odds in NumPy, float64[images]. pixels : float32[images, channels, days, factors]"""
    held = {name: array.astype(np.float64) for name, array in parameters.items()}
    parts = [
        log_odds(kind, NumpyLayers(), held, pixels[first : first + _AT_ONCE].astype(np.float64))
        for first in range(0, len(pixels), _AT_ONCE)
    ]
    return np.concatenate(parts) if parts else np.empty(0)


def fit(
    pixels: F4,
    up: Bools,
    fold: Fold,
    seed: int,
    kind: Kind = "inception",
    steps: int = STEPS,
    report: Callable[[str], None] | None = None,
) -> ImageClassifier:
    """A network fitted to a fold: the same rows and seed give the same weights.

    pixels : float32[images, channels, days, factors]; up : bool[images]
    report : called at each look with a line; ValueError where the fit rows do not hold both classes
    """
    share = float(up[fold.fit].mean()) if fold.fit.any() else 0.0
    if not 0.0 < share < 1.0 or not fold.calibrate.any():
        raise ValueError("too few images: rises and falls to learn from, and newer ones to calibrate on, are needed")
    torch = require_torch()
    generator = torch.Generator().manual_seed(seed)
    parameters = initial(torch, kind, pixels.shape[1:], share, generator)
    best = _learnt(torch, kind, parameters, pixels, up, fold, generator, steps, report)
    odds = _odds(torch, kind, best[0], pixels[fold.calibrate])
    # In C order: torch may keep a weight's channels last, and a file holds the bytes as they lie.
    arrays = {name: np.array(value.numpy(), dtype=np.float32, order="C") for name, value in best[0].items()}
    return ImageClassifier(kind, arrays, calibration(odds, up[fold.calibrate], share), best[1], best[2])


def initial(torch: Any, kind: Kind, shape: tuple[int, ...], share: float, generator: Any) -> dict[str, Any]:
    """Weights (Kaiming uniform, He et al. 2015), zero biases, and a head that first says the share of rises."""
    parameters: dict[str, Any] = {}
    for name, size in shapes(kind, *shape).items():
        if name == "head.bias":
            parameters[name] = torch.tensor(float(np.log(share / (1.0 - share))))
        elif name.endswith(".bias"):
            parameters[name] = torch.zeros(size)
        else:
            fan = int(np.prod(size[1:])) if len(size) > 1 else size[0] * 10
            bound = (6.0 / fan) ** 0.5
            parameters[name] = (2.0 * torch.rand(size, generator=generator) - 1.0) * bound
    return {name: value.requires_grad_() for name, value in parameters.items()}


def _learnt(
    torch: Any, kind: Kind, parameters: dict[str, Any], pixels: F4, up: Bools, fold: Fold, generator: Any, steps: int,
    report: Callable[[str], None] | None,
) -> tuple[dict[str, Any], int, float]:  # fmt: skip
    """The weights of the best look, the steps to it, and its loss."""
    rows = np.flatnonzero(fold.fit)
    looked = np.flatnonzero(fold.calibrate)
    looked = looked[np.unique(np.linspace(0, len(looked) - 1, min(len(looked), _LOOKED_AT)).astype(np.int64))]
    torch.manual_seed(int(torch.randint(0, 2**31, (1,), generator=generator)))
    optimiser = torch.optim.AdamW(list(parameters.values()), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    layers = TorchLayers(torch, DROPPED)
    best: tuple[dict[str, Any], int, float] = ({}, 0, np.inf)
    for step in range(1, steps + 1):
        drawn = rows[torch.randint(0, len(rows), (BATCH,), generator=generator).numpy()]
        odds = log_odds(kind, layers, parameters, torch.from_numpy(pixels[drawn]))
        wanted = torch.from_numpy(up[drawn].astype(np.float32))
        loss = torch.nn.functional.binary_cross_entropy_with_logits(odds, wanted)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % CHECKED and step != steps:
            continue
        seen = log_loss(1.0 / (1.0 + np.exp(-_odds(torch, kind, parameters, pixels[looked]))), up[looked])
        if report is not None:
            report(f"step {step}: loss {loss.item():.4f}, calibrate rows {seen:.4f}")
        if seen < best[2]:
            best = ({name: value.detach().clone() for name, value in parameters.items()}, step, seen)
        elif step - best[1] >= PATIENCE * CHECKED:
            break
    return best


def _odds(torch: Any, kind: Kind, parameters: dict[str, Any], pixels: F4) -> F8:
    """Log odds in torch, without dropout, float64[images]."""
    with torch.no_grad():
        parts = [
            log_odds(kind, TorchLayers(torch), parameters, torch.from_numpy(pixels[first : first + _AT_ONCE]))
            for first in range(0, len(pixels), _AT_ONCE)
        ]
        found: F8 = torch.cat(parts).numpy().astype(np.float64)
    return found
