"""Processes of a stack: all that one started, and that all of them end."""

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from tapewatch.settings.stack import started_at
from tests.eventually import eventually


def tapewatch(data: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "import sys; from tapewatch.cli import main; sys.exit(main())"]
    return subprocess.run([*command, "--data", str(data), *words], capture_output=True, text=True, timeout=600)


def processes() -> dict[int, int]:
    """Parent of every process."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    return parents


def family(pid: int) -> dict[int, int]:
    """A process and all its descendants, each with its start time."""
    parents, found = processes(), {pid}
    while grown := {child for child, parent in parents.items() if parent in found} - found:
        found |= grown
    return {member: started for member in found if (started := started_at(member)) is not None}


def working_in(data: Path) -> list[int]:
    """Processes whose working folder lies below the data folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (path / "cwd").resolve().is_relative_to(data) and started_at(int(path.name)) is not None:
                found.append(int(path.name))
    return found


def assert_all_end(members: dict[int, int], data: Path) -> None:
    """Wait until none of these processes is left, nor any other that works in the data folder."""

    def all_ended() -> bool:
        left = [pid for pid, started in members.items() if started_at(pid) == started]
        assert (left, working_in(data)) == ([], [])
        return True

    eventually(all_ended, what="no process is left", seconds=15)
