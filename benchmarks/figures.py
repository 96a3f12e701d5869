"""What every result states: figures as {min, median, max}, the machine, the versions."""

import os
import platform
import statistics
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

import msgspec

PACKAGES = ("tapewatch", "confluent-kafka", "numba", "numpy", "pyarrow")


class Figure(msgspec.Struct, frozen=True):
    """A figure over several runs."""

    min: float
    median: float
    max: float

    @classmethod
    def of(cls, values: Iterable[float], digits: int = 1) -> "Figure":
        """Rounded to `digits` decimals; ValueError without values."""
        kept = sorted(round(float(value), digits) for value in values)
        return cls(kept[0], statistics.median(kept), kept[-1])


class Machine(msgspec.Struct, frozen=True):
    """Where something was measured. memory_gib : in all; load_before : one-minute load average when the run began."""

    cpu: str
    cores: int
    memory_gib: float
    kernel: str
    python: str
    load_before: float


def machine() -> Machine:
    """The machine as it is now."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Machine(
        cpu=_cpu_model(),
        cores=len(os.sched_getaffinity(0)),
        memory_gib=round(memory / 2**30, 1),
        kernel=platform.release(),
        python=platform.python_version(),
        load_before=round(os.getloadavg()[0], 2),
    )


def versions(packages: Iterable[str] = PACKAGES) -> dict[str, str]:
    """Installed versions by distribution name."""
    return {name: metadata.version(name) for name in packages}


def _cpu_model() -> str:
    """The processor's name as the kernel gives it."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())
