"""Seconds of a price that swings, which a policy can learn."""

import numpy as np

from detectors.ddqn.seconds import Seconds, session_of

COST = (0.0001, 0.0001)
SWING = 20


def swinging(
    seed: int, rows: int = 300, names: tuple[str, ...] = ("sine", "cosine"), shuffled: bool = False
) -> Seconds:
    """A price that rises for SWING seconds and falls for as many; features say where in the swing a second closes, or,
    shuffled, where some other second did.
    """
    rng = np.random.default_rng(seed)
    phase = (np.arange(rows) + rng.integers(0, 2 * SWING)) % (2 * SWING)
    middle = 100.0 + 0.05 * (SWING - np.abs(SWING - phase))
    before = np.concatenate([middle[:1], middle[:-1]])
    quotes = np.stack([before - 0.005, before + 0.005, middle - 0.005, middle + 0.005], axis=1)
    told = np.zeros((rows, len(names)), dtype=np.float32)
    told[:, 0], told[:, 1] = np.sin(np.pi * phase / SWING), np.cos(np.pi * phase / SWING)
    if shuffled:
        told = told[rng.permutation(rows)]
    nothing = np.full(rows, np.nan)
    second = 1_700_000_000 + np.arange(rows)
    return session_of(f"S{seed}.SIMX", names, told, second, quotes, COST, (nothing, nothing), warm_s=0)
