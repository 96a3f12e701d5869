"""Getting the kernels ready before the first record: loaded from the cache, or compiled on a machine's first start."""

import threading

import numpy as np

from streams.engine.build import build_hash
from streams.engine.models import ActiveModels, ModelStore
from streams.engine.task import Task
from tapewatch import logs
from tapewatch.contract import frames
from tapewatch.contract.frames import FrameHeaders
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.rows import heartbeat_rows
from tapewatch.market_log.registry import FixedRegistry

_NAME = "WARM.XXXX"
_LOADED_S = 5.0
"""Longer than loading them takes: they are being compiled."""

_log = logs.get("engine")


def warm_up() -> None:
    """Run one heartbeat through a task of its own; every kernel of the engine is compiled or loaded by that. Where it
    takes longer than loading does, that is logged.
    """
    told = threading.Timer(_LOADED_S, _log.info, ("compiling kernels: once for a build, about a minute of a core",))
    told.daemon = True
    told.start()
    try:
        _run_once()
    finally:
        told.cancel()


def _run_once() -> None:
    task = Task(
        "market.warm-up", 0, FixedRegistry([Instrument(_NAME)]), ActiveModels.default(ModelStore()), build_hash()
    )
    rows = heartbeat_rows(np.full(1, 1_000_000_000, dtype=np.int64))
    for sequence in range(2):
        task.feed(sequence, frames.encode(rows), FrameHeaders("status", "warm", 0, sequence, 0).to_kafka(), 0)
    task.take()


if __name__ == "__main__":
    warm_up()
