"""How likely a price without drift touches one line before another in a given time."""

import math

from tapewatch.kernels import inlined

_TERMS = 64


@inlined
def touch_probability(up: float, down: float, spread: float) -> float:
    """Probability that a Brownian motion from 0 reaches `up` before `-down`, by the time its deviation is `spread`.

    up, down : positive distances in log price; spread : volatility times the square root of the time, in log price
    The series of Borodin & Salminen 2002, part II, 1.3; absolute error below 1e-9.
    """
    width = up + down
    scale = spread / width
    if not scale > 0.03:
        # Either line lies at least sixteen deviations from the other: the nearer edge alone counts.
        return math.erfc(up / (spread * math.sqrt(2.0))) if spread > 0.0 else 0.0
    total = down / width
    for n in range(1, _TERMS + 1):
        decay = math.exp(-0.5 * (n * math.pi * scale) ** 2)
        sign = -1.0 if n % 2 == 1 else 1.0
        total += sign * 2.0 / (n * math.pi) * math.sin(n * math.pi * down / width) * decay
        if decay < 1e-12:
            break
    return min(max(total, 0.0), 1.0)
