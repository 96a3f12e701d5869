"""A small training of the LSTM, which two processes make the same of."""

import numpy as np

from detectors.forecast.lstm.training import Recipe

RECIPE = Recipe(epochs=2, batch=32, units=16, dropout=0.2, seed=3)
ROWS = 200


def sample() -> tuple[np.ndarray, np.ndarray]:
    """Windows, and targets that follow them."""
    random = np.random.default_rng(5)
    windows = random.standard_normal((ROWS, 50, 8)).astype(np.float32)
    return windows, windows[:, -1, 0].astype(np.float64) + 0.1 * random.standard_normal(ROWS)
