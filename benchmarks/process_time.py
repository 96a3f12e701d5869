"""How much processor time a process, its threads and the whole machine have taken so far."""

import os
from contextlib import suppress
from pathlib import Path

import msgspec
import psutil

_TICKS = float(os.sysconf("SC_CLK_TCK"))


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, s (clock ticks are hundredths on Linux)."""
    return _taken(Path(f"/proc/{pid}/stat"))


def tree_seconds(pid: int) -> float:
    """The same of a process and all that it has started: a JVM and its Python workers."""
    below = psutil.Process(pid).children(recursive=True)
    return cpu_seconds(pid) + sum(cpu_seconds(each.pid) for each in below if each.is_running())


def thread_seconds(pid: int) -> dict[int, tuple[str, float]]:
    """Name and processor time (s) of each thread that lives now, by thread id; the first one's id is the process's."""
    found = {}
    for folder in Path(f"/proc/{pid}/task").iterdir():
        # A thread may end while it is looked at.
        with suppress(FileNotFoundError, ProcessLookupError):
            name = (folder / "comm").read_text().strip()
            found[int(folder.name)] = (name, _taken(folder / "stat"))
    return found


class MachineTime(msgspec.Struct, frozen=True):
    """Processor time of all cores since boot, s. stolen : taken by other guests of the same host"""

    busy: float
    idle: float
    stolen: float

    @classmethod
    def now(cls) -> "MachineTime":
        """As the kernel counts it."""
        fields = [int(word) / _TICKS for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
        user, nice, system, idle, waiting, irq, soft, stolen = fields
        return cls(user + nice + system + irq + soft, idle + waiting, stolen)

    def since(self, earlier: "MachineTime") -> "MachineTime":
        """What came after `earlier`."""
        return MachineTime(self.busy - earlier.busy, self.idle - earlier.idle, self.stolen - earlier.stolen)


def _taken(path: Path) -> float:
    fields = path.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS
