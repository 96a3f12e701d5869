"""The one way we compile: numba in nopython mode, without fastmath, so that results are the same bits everywhere.

Machine code is cached in the user's cache folder under a hash of every source file that a package's kernels can call: a
changed kernel is compiled anew together with all that call it, and an unchanged build compiles nothing twice.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numba

P = ParamSpec("P")
R = TypeVar("R")

_CALLS = {
    "producers": ("tapewatch", "producers"),
    "detectors": ("tapewatch", "detectors"),
    "streams": ("tapewatch", "detectors", "streams"),
}
"""Whose kernels a package's kernels may call; every other package has those of tapewatch/ only."""


@cache
def source_hash(packages: tuple[str, ...], marker: bytes = b"") -> str:
    """sha256 over names and contents of the packages' source files that contain `marker` (all of them by default)."""
    return files_hash((name, content) for name, content in _sources(packages) if marker in content)


def files_hash(files: Iterable[tuple[str, bytes]]) -> str:
    """sha256 over names and contents of files, in the order given."""
    digest = hashlib.sha256()
    for name, content in files:
        digest.update(name.encode() + b"\0" + content)
    return digest.hexdigest()


def source_hashes(packages: tuple[str, ...]) -> dict[str, str]:
    """sha256 of each source file of the packages, by its path."""
    return {name: hashlib.sha256(content).hexdigest() for name, content in _sources(packages)}


def _sources(packages: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    """Path and content of the packages' source files, in order."""
    root = Path(__file__).resolve().parent.parent
    for package in packages:
        for path in sorted((root / package).rglob("*.py")):
            yield str(path.relative_to(root)), path.read_bytes()


def cache_folder() -> Path:
    """The user's cache folder of this product."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tapewatch"


def _choose_cache(function: Callable[..., Any]) -> None:
    """Let numba cache this function where everything it may call is as it was."""
    if "NUMBA_CACHE_DIR" not in os.environ:
        package = function.__module__.partition(".")[0]
        wanted = source_hash(_CALLS.get(package, ("tapewatch",)), b"tapewatch.kernels")
        numba.config.CACHE_DIR = str(cache_folder() / "kernels" / f"{package}-{wanted[:16]}")


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compile `function`: nopython, releases the GIL, cached on disk, IEEE semantics (division by zero gives inf or
    NaN).

    Without numba's counting of references, which costs a row more than its arithmetic: a kernel takes arrays and parts
    of them, it never makes one (scratch is an argument).
    """
    _choose_cache(function)
    compiled: Callable[P, R] = numba.njit(cache=True, nogil=True, error_model="numpy", _nrt=False)(function)
    return compiled


def allocating_kernel(function: Callable[P, R]) -> Callable[P, R]:
    """As `kernel`, for one that makes arrays: of whole tables or of random numbers, never called for each row."""
    _choose_cache(function)
    compiled: Callable[P, R] = numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    return compiled


def inlined(function: Callable[P, R]) -> Callable[P, R]:
    """As `kernel`, for a part of one: compiled into its callers, since passing state by value costs more than most
    parts do.
    """
    compiled: Callable[P, R] = numba.njit(nogil=True, error_model="numpy", forceinline=True, _nrt=False)(function)
    return compiled


def spliced(function: Callable[P, R]) -> Callable[P, R]:
    """As `inlined`, for a part that gives back a piece of an array: its text becomes its caller's."""
    compiled: Callable[P, R] = numba.njit(error_model="numpy", inline="always", _nrt=False)(function)
    return compiled
