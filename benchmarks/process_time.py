"""How much processor time a process has taken so far."""

from pathlib import Path


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, s (clock ticks are hundredths on Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100.0
