"""How far a long step of a benchmark is, told on standard error every 10 s."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter

EVERY_S = 10.0


class Pace:
    """One step. what : its name; unit : what it counts"""

    def __init__(self, what: str, unit: str = "rows") -> None:
        self._what, self._unit = what, unit
        self._begun = self._told = perf_counter()

    def tell(self, done: int, share: float) -> None:
        """Say how much is done and how long the rest may take, unless that was said less than 10 s ago.

        share : of the whole, 0 to 1
        """
        now = perf_counter()
        if now - self._told >= EVERY_S:
            self._told = now
            left = f", about {(now - self._begun) * (1 / share - 1):,.0f} s left" if share else ""
            print(f"{self._what}: {done:,} {self._unit}, {share:.0%}{left}", file=sys.stderr, flush=True)


@contextmanager
def watched(what: str, unit: str, look: Callable[[], tuple[int, float]]) -> Iterator[None]:
    """Tell how far something is that cannot tell it itself. look : what is done, and its share; another thread asks"""
    pace, ended = Pace(what, unit), threading.Event()

    def ask() -> None:
        while not ended.wait(EVERY_S):
            pace.tell(*look())

    thread = threading.Thread(target=ask, name=f"pace of {what}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
