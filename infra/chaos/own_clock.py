"""`tapewatch` on a machine whose clock somebody sets: `python own_clock.py FILE WORDS...`.

FILE holds by how many nanoseconds the clock of ours (tapewatch.clock) is off. It is read at every look at the clock, so
`set_clock` counts at once, and for a process that is started again too. What the system and libraries take for the time
of day stays as it is.
"""

import mmap
import runpy
import sys
from pathlib import Path

from tapewatch.clock import NANOS, WallClock

WIDTH = 8


def set_clock(path: Path, seconds: float) -> None:
    """Let the clock of whoever runs by this file be off by so many seconds."""
    with path.open("r+b" if path.exists() else "wb") as file:  # in place: it is mapped
        file.write(int(seconds * NANOS).to_bytes(WIDTH, "little", signed=True))


def main() -> None:
    """Run `tapewatch WORDS` by that clock."""
    path, right = Path(sys.argv.pop(1)), WallClock.now
    with path.open("rb") as file:
        off = mmap.mmap(file.fileno(), WIDTH, access=mmap.ACCESS_READ)

    def now(self: WallClock) -> int:
        return right(self) + int.from_bytes(off[:], "little", signed=True)

    WallClock.now = now  # type: ignore[method-assign]
    runpy.run_module("tapewatch", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
