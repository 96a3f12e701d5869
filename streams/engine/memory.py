"""What an engine process asks of the C library and of the garbage collector, for its pace."""

import ctypes
import gc

_MALLOC = {-1: 256 * 1024 * 1024, -2: 16 * 1024 * 1024, -3: 32 * 1024 * 1024}
"""glibc's M_TRIM_THRESHOLD (free memory kept), M_TOP_PAD (steps in which more is asked for) and M_MMAP_THRESHOLD."""


def keep() -> None:
    """Let the C library keep what is freed: frames of half a megabyte come and go, and pages given back have to be
    cleared by the kernel when they are next asked for (a twentieth of the CPU time). Where it has no such setting,
    nothing changes.
    """
    choose = getattr(ctypes.CDLL(None), "mallopt", None)
    if choose is not None:
        for option, size in _MALLOC.items():
            choose(option, size)


def spare_collector() -> None:
    """Take what was imported and compiled so far out of the garbage collector's sight, which would walk through all of
    it every few hundred frames (a tenth of the CPU time), and let it look less often at the rest.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
