"""A feed of two partitions whose market passes midnight, and an engine that works on it."""

import threading
import uuid

import msgspec

from streams.engine.process import Engine
from tapewatch.clock import NANOS
from tapewatch.settings import Settings
from tests.faults.engine_runs import write_market

DAYS = ("2025-06-15", "2025-06-16")
_MIDNIGHT_NS = 1_750_032_000 * NANOS
PARTITIONS = 2


def of_group(settings: Settings, feed: str, group: str = "", **engine: object) -> Settings:
    """Settings of a group that works on one feed; its name is the feed's where none is given."""
    name = group or feed
    chosen = msgspec.structs.replace(settings.engine, group=name, instance=name, feeds=(feed,), **engine)
    return msgspec.structs.replace(settings, engine=chosen)


def written(settings: Settings, seconds: int = 660, midnight_after: int = 640) -> str:
    """Send a market; the feed's name."""
    feed = f"t{uuid.uuid4().hex[:10]}"
    go_on(settings, feed, seconds, midnight_after)
    return feed


def go_on(settings: Settings, feed: str, seconds: int, midnight_after: int, epoch: int = 1) -> None:
    """Send a market's seconds. epoch : of the writer; each begins where the one before ended"""
    since_ns = _MIDNIGHT_NS - midnight_after * NANOS
    write_market(settings, feed, seconds, PARTITIONS, 6, flushes=2, epoch=epoch, since_ns=since_ns, pump_per_hour=240.0)


def work(settings: Settings) -> Engine:
    """Let a live engine process all there is."""
    engine = Engine(settings)
    engine.run(threading.Event(), 1.0)
    return engine
