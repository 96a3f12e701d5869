"""f-AnoGAN over windows of daily bars: what a generator of usual windows cannot tell again is strange.

A Wasserstein GAN with gradient penalty (Gulrajani et al. 2017), then an encoder into its latent space (f-AnoGAN,
Schlegl et al. 2019). Inputs and scaling are those of the daily autoencoder; torch is needed to fit alone.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.autoencoder import daily
from detectors.autoencoder.inputs import COUNT
from detectors.autoencoder.score import WINDOW
from detectors.kmeans.fitting import scaling_of
from detectors.pytorch import require_torch

F4 = npt.NDArray[np.float32]
F8 = npt.NDArray[np.float64]

DAYS, LATENT, HIDDEN = 8, 12, 64
BATCH = 256
CRITIC_STEPS = 3
"""Of the critic for each of the generator."""
PENALTY = 10.0
_SIZE = DAYS * COUNT
_LEAK = 0.2
_RATE = 5e-4
_SIZES = {
    "generator": (LATENT, HIDDEN, HIDDEN, _SIZE),
    "critic": (_SIZE, HIDDEN, HIDDEN, 1),
    "encoder": (_SIZE, HIDDEN, HIDDEN, LATENT),
}
Layers = list[tuple[Any, Any]]


def windows(values: F8, scaling: F4) -> F4:
    """The newest 8 days at each row, scaled, float32[rows - 7, 128], oldest first. values : float64[rows, 16]"""
    rows = daily.scaled(values, scaling)
    found = np.lib.stride_tricks.sliding_window_view(rows, DAYS, axis=0)
    return np.ascontiguousarray(found.swapaxes(1, 2)).reshape(-1, _SIZE)


def fit(parts: list[daily.Days], steps: int, seed: int) -> dict[str, F4]:
    """Weights of all three networks and the scaling, from the days of several instruments.

    steps : of the generator, and of the encoder after it; ValueError where there are fewer than 1,000 windows
    """
    usable = [part.values for part in parts if len(part.values) >= DAYS]
    if sum(len(values) - DAYS + 1 for values in usable) < 1000:
        raise ValueError("fewer than 1,000 windows of daily bars")
    torch = require_torch()
    scaling = np.array(scaling_of(np.concatenate(usable), "robust"), dtype=np.float32)
    real = torch.from_numpy(np.concatenate([windows(values, scaling) for values in usable]))
    generator = torch.Generator().manual_seed(seed)
    networks = {name: _initial(torch, sizes, generator) for name, sizes in _SIZES.items()}
    _adversarial(torch, networks, real, steps, generator)
    _encoding(torch, networks, real, steps, generator)
    arrays = {
        f"{name}_{kind}{number}": each.detach().numpy()
        for name, layers in networks.items()
        for number, layer in enumerate(layers)
        for kind, each in zip("wb", layer, strict=True)
    }
    return arrays | {"scaling": scaling}


def _initial(torch: Any, sizes: tuple[int, ...], generator: Any) -> Layers:
    found = []
    for inputs, outputs in pairwise(sizes):
        drawn = (2.0 * torch.rand((inputs, outputs), generator=generator) - 1.0) * (3.0 / inputs) ** 0.5
        found.append((drawn.requires_grad_(), torch.zeros(outputs, requires_grad=True)))
    return found


def _through(torch: Any, layers: Layers, x: Any) -> Any:
    for weight, bias in layers[:-1]:
        x = torch.nn.functional.leaky_relu(x @ weight + bias, _LEAK)
    return x @ layers[-1][0] + layers[-1][1]


def _optimiser(torch: Any, layers: Layers) -> Any:
    return torch.optim.Adam([each for layer in layers for each in layer], lr=_RATE, betas=(0.5, 0.9))


def _step(optimiser: Any, wrong: Any) -> None:
    optimiser.zero_grad()
    wrong.backward()
    optimiser.step()


def _adversarial(torch: Any, networks: Mapping[str, Layers], real: Any, steps: int, generator: Any) -> None:
    """The critic learns to tell windows from made ones, the generator to make such as it cannot tell."""
    critic, maker = networks["critic"], networks["generator"]
    judging, making = _optimiser(torch, critic), _optimiser(torch, maker)
    for _ in range(steps):
        for _ in range(CRITIC_STEPS):
            taken = real[torch.randint(len(real), (BATCH,), generator=generator)]
            with torch.no_grad():
                made = _through(torch, maker, torch.randn((BATCH, LATENT), generator=generator))
            share = torch.rand((BATCH, 1), generator=generator)
            between = (share * taken + (1.0 - share) * made).requires_grad_()
            (slope,) = torch.autograd.grad(_through(torch, critic, between).sum(), between, create_graph=True)
            penalty = ((slope.square().sum(1) + 1e-12).sqrt() - 1.0).square().mean()
            apart = _through(torch, critic, made).mean() - _through(torch, critic, taken).mean()
            _step(judging, apart + PENALTY * penalty)
        made = _through(torch, maker, torch.randn((BATCH, LATENT), generator=generator))
        _step(making, -_through(torch, critic, made).mean())


def _encoding(torch: Any, networks: Mapping[str, Layers], real: Any, steps: int, generator: Any) -> None:
    """The encoder learns a latent from which the generator, now fixed, tells the window again."""
    encoder, features = networks["encoder"], networks["critic"][:-1]
    optimiser = _optimiser(torch, encoder)
    for _ in range(steps):
        taken = real[torch.randint(len(real), (BATCH,), generator=generator)]
        told = _through(torch, networks["generator"], _through(torch, encoder, taken))
        seen = _through(torch, features, told) - _through(torch, features, taken)
        _step(optimiser, (told - taken).square().mean() + seen.square().mean())


def scores(arrays: Mapping[str, F4], part: daily.Days) -> F8:
    """How strange every day is, float64[rows]: mean squared error of the window told again, and of what the critic sees
    in it; NaN in the first WINDOW - 1 rows, as the autoencoder's.
    """
    found = np.full(len(part.values), np.nan)
    if len(found) < WINDOW:
        return found
    given = windows(part.values, arrays["scaling"])[WINDOW - DAYS :]
    told = _told(arrays, "generator", _told(arrays, "encoder", given, 3), 3)
    seen = _told(arrays, "critic", told, 2) - _told(arrays, "critic", given, 2)
    found[WINDOW - 1 :] = np.square(told - given).mean(axis=1) + np.square(seen).mean(axis=1)
    return found


def _told(arrays: Mapping[str, F4], name: str, x: F4, layers: int) -> F4:
    """As `_through`, by numpy. layers : how many of the network's, the last of them linear"""
    for number in range(layers):
        x = x @ arrays[f"{name}_w{number}"] + arrays[f"{name}_b{number}"]
        if number < layers - 1:
            x = np.where(x > 0.0, x, np.float32(_LEAK) * x)
    return x
