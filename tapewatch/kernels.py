"""The one way we compile: numba in nopython mode, cached on disk, without fastmath, so that results are the same bits everywhere."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import numba

P = ParamSpec("P")
R = TypeVar("R")


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compile `function` with numba: nopython, releases the GIL, cached on disk, IEEE semantics (division by zero gives inf or NaN)."""
    compiled: Callable[P, R] = numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    return compiled
