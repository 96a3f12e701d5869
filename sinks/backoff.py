"""Waits between attempts at a server that does not answer."""

import random


class Backoff:
    """Growing waits between attempts, each drawn from the upper half of its range, so that clients spread."""

    def __init__(self, first_s: float = 0.1, longest_s: float = 10.0) -> None:
        self._first, self._longest, self._next = first_s, longest_s, first_s
        self._draw = random.SystemRandom()

    def wait_s(self) -> float:
        """Seconds to wait now."""
        wait, self._next = self._next, min(self._next * 2, self._longest)
        return self._draw.uniform(wait / 2, wait)

    def reset(self) -> None:
        """Start over after a success."""
        self._next = self._first
