"""A process's CPU, memory and files under the names Prometheus' own clients give them, and room in the data folder."""

import os
import resource
from collections.abc import Callable, Mapping
from pathlib import Path
from time import process_time

from tapewatch.clock import NANOS, WALL
from tapewatch.runtime.monitoring.metric import Metric, counter, gauge

CPU = counter("process_cpu_seconds_total", "CPU time, user and system.")
MEMORY = gauge("process_resident_memory_bytes", "Resident memory.")
FILES = gauge("process_open_fds", "Open file descriptors.")
MOST_FILES = gauge("process_max_fds", "Largest number of open file descriptors.")
BEGAN = gauge("process_start_time_seconds", "When the process began, s since the epoch.")
FREE = gauge("tapewatch_data_free_bytes", "Room that is left on the data folder's file system.")
SIZE = gauge("tapewatch_data_size_bytes", "Size of the data folder's file system.")

_PAGE = os.sysconf("SC_PAGE_SIZE")
_BEGAN = WALL.now() / NANOS

Show = Callable[[Metric, Callable[[], Mapping[tuple[str, ...], float]]], None]


def show(shown: Show, data: Path) -> None:
    """Hand every figure's reading to `shown`. data : the data folder"""
    for metric, read in {
        CPU: process_time,
        MEMORY: _memory,
        FILES: lambda: sum(1 for _ in Path("/proc/self/fd").iterdir()),
        MOST_FILES: lambda: resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        BEGAN: lambda: _BEGAN,
    }.items():
        shown(metric, _alone(read))
    shown(FREE, lambda: _room(data, 0))
    shown(SIZE, lambda: _room(data, 1))


def _alone(read: Callable[[], float]) -> Callable[[], Mapping[tuple[str, ...], float]]:
    """A reading without labels; none where this machine does not tell."""

    def reading() -> Mapping[tuple[str, ...], float]:
        try:
            return {(): read()}
        except OSError:
            return {}

    return reading


def _memory() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE


def _room(data: Path, which: int) -> Mapping[tuple[str, ...], float]:
    """Free or whole bytes of the file system of the data folder; nothing where there is no such folder."""
    try:
        found = os.statvfs(data)
    except OSError:
        return {}
    return {(): (found.f_bavail, found.f_blocks)[which] * found.f_frsize}
