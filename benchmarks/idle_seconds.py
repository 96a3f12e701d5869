"""How soon an idle partition's seconds are sealed: from the writer's heartbeat to the marker that a read-committed
reader gets, on a stack of its own with a real engine process.

One instrument quotes in one partition; the others have no row. `python -m benchmarks.idle_seconds` writes
docs/results/idle-seconds.json.
"""

import argparse
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from confluent_kafka import TopicPartition

from benchmarks.engine_run import command, environment, own_stack
from benchmarks.report import DOCS
from producers.feed import FeedWriter, LiveWriter, feed_producer, open_feed
from streams.driver import table
from streams.engine.task import OutputRecord
from tapewatch import settings as configuration
from tapewatch.clock import NANOS, WALL
from tapewatch.contract import topics
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.partitioner import partition_for
from tapewatch.contract.rows import Rows, RowType
from tapewatch.errors import TapewatchError
from tapewatch.runtime import kafka
from tapewatch.settings import Settings

FEED, NAME = "idle", "ALONE.SIMX"
WARM_S = 60.0
"""How long the engine may take to seal its first second, s."""
LIMIT_S = 2.0
FLUSH_S = 0.005


class Delays(msgspec.Struct, frozen=True):
    """Heartbeat to sealed marker, s."""

    seconds: int
    median_s: float
    p95_s: float
    p99_s: float
    longest_s: float


class Idle(msgspec.Struct, frozen=True):
    """What was measured. passed : every second of every idle partition was sealed within 2 s; load : of the machine"""

    passed: bool
    partitions: int
    seconds: int
    idle: Delays
    busy: Delays
    missing: int
    load: tuple[float, float]


class Beats:
    """A live writer at work in a thread, and when it sent each second's heartbeat. sent : ns by second"""

    def __init__(self, settings: Settings, partitions: int) -> None:
        self.sent: dict[int, int] = {}
        self._stop = threading.Event()
        writer = FeedWriter(feed_producer(settings, linger_ms=1), FEED, "live", WALL.now(), partitions, [NAME])
        self._live = LiveWriter(writer)
        self._thread = threading.Thread(target=self._work)

    def __enter__(self) -> "Beats":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._stop.is_set():
            now = WALL.now()
            if now // NANOS not in self.sent:
                self.sent[now // NANOS] = now
                self._live.add(quote(now))
            self._live.flush(now)
            WALL.sleep(FLUSH_S)
        self._live.writer.flush()


def quote(now: int) -> Rows:
    """A quote of the only instrument."""
    stamp = np.array([now], dtype=np.int64)
    values = {"bid_price": 99.0, "bid_qty": 1.0, "ask_price": 101.0, "ask_qty": 1.0, "last_price": 100.0, "volume": 0.0}
    columns: dict[str, npt.NDArray[Any]] = {name: np.array([value]) for name, value in values.items()}
    columns |= {"instrument": np.zeros(1, dtype=np.int32), "ts_event": stamp, "ts_recv": stamp}
    return Rows(RowType.QUOTE, (NAME,), columns)


def measure(settings: Settings, partitions: int, seconds: int) -> Idle:
    """Run writer, engine and reader for that many seconds after the first sealed one."""
    open_feed(settings, FEED, [Instrument(NAME)], partitions)
    kafka.create_topics(settings, topics.shared_topics(settings.topics))
    variables = environment(settings, ENGINE_GROUP="idle", ENGINE_FEEDS=FEED)
    words = command("run", "engine", "--instance", "idle", "--quiet", "--json")
    with subprocess.Popen(words, env=variables, cwd=settings.data, stdout=subprocess.PIPE) as engine:  # noqa: S603 - our own
        try:
            with Beats(settings, partitions) as beats:
                seen = follow(settings, partitions, seconds)
                # A second is closed by the heartbeat of the next one.
                sent = {second - 1: at for second, at in beats.sent.items()}
        finally:
            engine.terminate()
    return summary(seen, sent, partition_for(NAME, partitions), seconds)


def follow(settings: Settings, partitions: int, seconds: int) -> dict[int, dict[int, int]]:
    """When each sealed second arrived, ns by partition and second; those after all partitions sealed their first."""
    seen: dict[int, dict[int, int]] = {partition: {} for partition in range(partitions)}
    reader = kafka.consumer(settings)
    count = kafka.existing_topics(kafka.admin(settings))[topics.FEATURES]
    reader.assign([TopicPartition(topics.FEATURES, each, 0) for each in range(count)])
    begun, deadline = 0.0, time.monotonic() + WARM_S
    try:
        while not begun or time.monotonic() < begun + seconds + LIMIT_S:
            for message in reader.consume(500, timeout=0.02):
                at, headers = WALL.now(), dict(message.headers() or ())
                if headers.get("type") == b"sealed":
                    rows = table(
                        [OutputRecord(topics.FEATURES, message.value() or b"", None, message.headers())], "sealed"
                    )
                    for second in (rows["ts"] // NANOS - 1).tolist():
                        seen[int(headers["partition"])].setdefault(second, at)
            if not begun and all(seen.values()):
                begun = time.monotonic()
                for each in seen.values():
                    each.clear()  # the engine caught up with what was sent while it started
            if not begun and time.monotonic() > deadline:
                raise TapewatchError(f"nothing was sealed in {WARM_S:.0f} s", "Look at the engine's log.")
    finally:
        reader.close()
    return seen


def summary(seen: dict[int, dict[int, int]], sent: dict[int, int], busy: int, seconds: int) -> Idle:
    """The delays of idle partitions and of the busy one; seconds that were beaten and are missing count against it."""
    firsts = [min(each) for each in seen.values() if each]
    first = max(firsts)
    wanted = range(first, first + seconds - 1)
    late: dict[bool, list[float]] = {True: [], False: []}
    missing = 0
    for partition, arrived in seen.items():
        for second in wanted:
            if second not in sent or second not in arrived:
                missing += 1
            else:
                late[partition == busy].append((arrived[second] - sent[second]) / NANOS)
    idle, of_busy = delays(late[False]), delays(late[True])
    passed = not missing and idle.longest_s <= LIMIT_S
    return Idle(passed, len(seen), len(wanted), idle, of_busy, missing, (os.getloadavg()[0], os.getloadavg()[1]))


def delays(found: list[float]) -> Delays:
    """Quantiles, s."""
    at = np.quantile(found, [0.5, 0.95, 0.99, 1.0]) if found else np.full(4, np.nan)
    return Delays(len(found), *(round(float(value), 4) for value in at))


def main(words: list[str] | None = None) -> int:
    """Measure, print, and write the result; 1 where an idle second took more than 2 s."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.idle_seconds",
        description=__doc__,
        epilog="example: python -m benchmarks.idle_seconds --seconds 120",
    )
    parser.add_argument("--seconds", type=int, default=120, help="seconds to measure (default: 120)")
    parser.add_argument("--partitions", type=int, default=8, help="of the feed, one of them busy (default: 8)")
    parser.add_argument("--out", type=Path, default=DOCS / "results" / "idle-seconds.json", metavar="FILE")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON document")
    args = parser.parse_args(words)
    with own_stack(configuration.load()) as own:
        result = measure(own, args.partitions, args.seconds)
    data = msgspec.json.encode(result)
    args.out.write_bytes(msgspec.json.format(data, indent=2) + b"\n")
    if args.json:
        print(data.decode())
    else:
        for name, each in (("idle", result.idle), ("busy", result.busy)):
            told = f"{each.median_s:.3f} s (median), {each.p99_s:.3f} s (p99), {each.longest_s:.3f} s at most"
            print(f"{name}: {each.seconds} seconds, sealed after {told}")
    return 0 if result.passed else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except TapewatchError as error:
        print(f"idle_seconds: {error.message}\n  next: {error.hint}", file=sys.stderr)
        sys.exit(1)
