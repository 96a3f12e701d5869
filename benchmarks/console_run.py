"""A console of the bench's own: a stack, 2,000 instruments that are written live, the server as its own process."""

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.quotes import Shape
from benchmarks.stack import command, environment
from infra import migrations
from producers.feed import FeedWriter, feed_producer, open_feed
from tapewatch import kafka, topics
from tapewatch.clock import NANOS, WALL
from tapewatch.errors import TapewatchError
from tapewatch.rows import Column, Rows, RowType
from tapewatch.settings import Settings

ACCOUNT = "bench"
PARTITIONS = 4
SLICES = 8
"""Frames of a partition in the time in which each instrument is written once: a feed does not send all at once."""


@dataclass(frozen=True, slots=True)
class ConsoleProcess:
    """A running console. url : its address without a slash at the end"""

    url: str
    password: str
    pid: int


@contextmanager
def served(settings: Settings) -> Iterator[ConsoleProcess]:
    """The console as a process of its own, on a free port, with an analyst's account."""
    migrations.migrate(settings.postgres_url())
    specs = [*topics.shared_topics(settings.topics), *topics.case_topics(settings.topics)]
    kafka.create_topics(settings, specs)
    words = command("console", "--port", "0", "--json", "--open-account", f"{ACCOUNT}:analyst")
    process = subprocess.Popen(words, env=environment(settings), stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own
    try:
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            raise TapewatchError("the console did not start", "Read its messages above.")
        told = json.loads(line)
        yield ConsoleProcess(told["url"].rstrip("/"), told["accounts"][0]["password"], process.pid)
    finally:
        process.terminate()
        process.wait(30)


class LiveQuotes:
    """Writes every instrument `rate` times a second, spread over time, in a thread of its own."""

    def __init__(self, settings: Settings, instruments: int, rate: float) -> None:
        self._shape = Shape(instruments, 2, PARTITIONS)
        open_feed(settings, "bench-tape", self._shape.reference_data(), PARTITIONS)
        producer = feed_producer(settings, linger_ms=5)
        self._writer = FeedWriter(producer, "bench-tape", "bench", 0, PARTITIONS, self._shape.names)
        self._pause_s = 1 / rate / SLICES
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="quotes", daemon=True)
        self._generator = np.random.default_rng(1)
        self._prices = self._generator.uniform(10, 1000, instruments).round(2)
        self.rows = 0

    @contextmanager
    def written(self) -> Iterator["LiveQuotes"]:
        """Write for the length of the block."""
        self._thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            self._thread.join()
            self._writer.flush()

    def _run(self) -> None:
        places = {name: place for place, name in enumerate(self._shape.names)}
        parts = [np.array([places[name] for name in names]) for names in self._shape.by_partition()]
        turn, due = 0, WALL.elapsed()
        while not self._stop.is_set():
            for partition, codes in enumerate(parts):
                chosen = codes[turn % SLICES :: SLICES]
                if len(chosen):
                    self._writer.send(partition, self._quotes(chosen))
                    self.rows += len(chosen)
            turn += 1
            due += int(self._pause_s * NANOS)
            self._stop.wait(max(due - WALL.elapsed(), 0) / NANOS)

    def _quotes(self, codes: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Rows:
        """One quote of each, every price moved."""
        moved = self._prices[codes] * (1 + self._generator.normal(0, 1e-3, len(codes)))
        price = self._prices[codes] = np.maximum(moved, 1.0).round(2)
        qty = self._generator.integers(1, 500, len(codes)).astype(np.float64)
        times = np.full(len(codes), WALL.now(), dtype=np.int64)
        touch = {"bid_price": price - 0.01, "bid_qty": qty, "ask_price": price + 0.01, "ask_qty": qty}
        whole = {"last_price": price, "volume": np.full(len(codes), float(self.rows))}
        columns: dict[str, Column] = {
            "instrument": codes.astype(np.int32),
            "ts_event": times,
            "ts_recv": times,
            **touch,
            **whole,
        }
        return Rows(RowType.QUOTE, self._shape.names, columns)


def resident_mb(pid: int) -> float:
    """Resident memory of a process, MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) * 1024 / 1e6
