"""The fingerprint of the running program: what an alert names as its build."""

from functools import cache

from tapewatch.kernels import source_hash


@cache
def build_hash() -> str:
    """First 16 hex digits of the sha256 over the source files that decide what the engine writes."""
    return source_hash(("tapewatch", "detectors", "streams"))[:16]
