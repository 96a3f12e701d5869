"""How much processor time a process has taken so far."""

from pathlib import Path

import psutil


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, s (clock ticks are hundredths on Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100.0


def tree_seconds(pid: int) -> float:
    """The same of a process and all that it has started: a JVM and its Python workers."""
    below = psutil.Process(pid).children(recursive=True)
    return cpu_seconds(pid) + sum(cpu_seconds(each.pid) for each in below if each.is_running())
