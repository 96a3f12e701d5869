"""Memory of an instrument: how a process grows with the instruments its engine task holds, all windows full."""

import os
import subprocess
import sys

import numpy as np

from benchmarks.engine_run import START_NS, Shape, frames_of, partition_rows
from infra.chaos.server import resident_bytes
from streams.driver import Driver
from streams.engine.state import RING_PRICE
from tapewatch.clock import NANOS
from tapewatch.contract.rows import Rows, heartbeat_rows
from tapewatch.errors import TapewatchError
from tapewatch.market_log.registry import FixedRegistry

FEW, MANY = 2_000, 20_000


def held_bytes(instruments: int) -> int:
    """Resident memory of this process, bytes, with a task whose every window of that many instruments is full."""
    shape = Shape(instruments, 2, 1)
    driver = Driver(FixedRegistry(shape.reference_data()))
    for rows in frames_of(partition_rows(shape, 0, shape.names)):
        driver.send(rows)
    last = shape.seconds + RING_PRICE + 1
    for second in range(shape.seconds, last + 1):
        # What is not written costs no time; the last seconds are, so that writing's own memory counts.
        driver.task.silent = second < last - 3
        driver.send(_heartbeat(second))
        driver.task.take()
    return resident_bytes(os.getpid())


def _heartbeat(second: int) -> Rows:
    return heartbeat_rows(np.array([START_NS + second * NANOS], dtype=np.int64))


def bytes_per_instrument() -> float:
    """The slope of resident memory between 2,000 and 20,000 instruments, each measured in a new process."""
    return (_measured(MANY) - _measured(FEW)) / (MANY - FEW)


def _measured(instruments: int) -> int:
    words = [sys.executable, "-P", "-m", "benchmarks.memory", str(instruments)]
    done = subprocess.run(words, stdout=subprocess.PIPE, check=False)  # noqa: S603 - our own words
    if done.returncode != 0:
        raise TapewatchError(
            f"the memory of {instruments} instruments could not be measured", "Its messages stand above."
        )
    return int(done.stdout)


if __name__ == "__main__":
    print(held_bytes(int(sys.argv[1])))
