"""Service times: what a row, a second of an instrument and a byte cost, from committed results and one calibration."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from producers.feed import LiveWriter
from producers.synthetic import SyntheticConfig, SyntheticMarket
from streams.driver import Driver
from tapewatch.clock import NANOS
from tapewatch.errors import TapewatchError
from tapewatch.market_log.registry import FixedRegistry

Say = Callable[[str], None]

_INSTRUMENTS, _SECONDS = 500, 150
_FEW, _MANY = 1.0, 20.0
"""Rows a second and instrument of the two markets that tell a row's cost from a second's."""
_BATCH_FRAMES = 600
"""Frames of a micro-batch, as the engine takes them."""
_START_NS = 1_750_000_000 * NANOS


class ServiceTimes(msgspec.Struct, frozen=True):
    """What the model rests on.

    row_ns, second_ns : main thread of an engine, a row taken in and an instrument's second closed, judged and written
    bench_main_ns : main thread of an engine a row of `bench scale`, each of which closes a second
    client_ns, broker_ns : the engine's client threads and the broker, a row of `bench scale` (one in, its rows out)
    rows_per_transaction : there
    log_bytes, written_bytes : a row in the log, and what the engine writes of an instrument's second
    message_us : producer, a message, sockets left out; sink_rows_s : PostgreSQL sink, one process with its server
    """

    row_ns: float
    second_ns: float
    bench_main_ns: float
    client_ns: float
    broker_ns: float
    rows_per_transaction: float
    log_bytes: float
    written_bytes: float
    message_us: float
    sink_rows_s: float


def service_times(results: Path, say: Say) -> ServiceTimes:
    """From `bench-scale.json`, `bench-feeds.json` and `bench-sinks.json` in a folder, and a calibration here."""
    scale, feeds, sinks = (_document(results / f"bench-{name}.json") for name in ("scale", "feeds", "sinks"))
    one = next((point for point in scale["points"] if point["processes"] == 1), None)
    if one is None:
        raise TapewatchError(
            "bench-scale.json has no run with one process", "Run `tapewatch bench scale --processes 1 2 4`."
        )
    rows = scale["input"]["rows"]
    row_ns, second_ns = calibrated(say)
    main = one["main_ns"]["median"]
    return ServiceTimes(
        row_ns=round(row_ns, 1),
        second_ns=round(second_ns, 1),
        bench_main_ns=main,
        client_ns=round(one["engine_ns"]["median"] - main, 1),
        broker_ns=one["broker_ns"]["median"],
        rows_per_transaction=round(rows / max(one["transactions"], 1)),
        log_bytes=scale["log_bytes"],
        written_bytes=scale["written_bytes"],
        message_us=feeds["total_us"]["median"],
        sink_rows_s=sinks["postgres_rows_per_s"]["median"],
    )


def _document(path: Path) -> Any:
    if not path.exists():
        raise TapewatchError(
            f"there is no {path.name}", f"Run `tapewatch bench {path.stem.removeprefix('bench-')} --out {path}`."
        )
    return msgspec.json.decode(path.read_bytes())


def calibrated(say: Say) -> tuple[float, float]:
    """Nanoseconds a row and a second of an instrument take in one task, with everything on, by two markets of different
    density: quotes, trades and books as the synthetic market mixes them.
    """
    few, many = _spent(_FEW), _spent(_MANY)
    seconds = _INSTRUMENTS * _SECONDS
    (few_ns, few_rows), (many_ns, many_rows) = few, many
    row = (many_ns - few_ns) / (many_rows - few_rows)
    second = (few_ns - row * few_rows) / seconds
    say(f"calibrated: {row:,.0f} ns a row, {second:,.0f} ns an instrument's second")
    return row, second


def _spent(rows_per_second: float) -> tuple[int, int]:
    """Least CPU time of a task over a market, of three times (ns), and its rows."""
    config = SyntheticConfig(
        instruments=_INSTRUMENTS, rows_per_second=_INSTRUMENTS * rows_per_second, seconds=_SECONDS, warmup_s=0.0
    )
    market = SyntheticMarket(config, 1, _START_NS)
    records = _MockProducer()
    live = LiveWriter(records.writer(market))
    for chunk in market.chunks():
        for rows in chunk.rows:
            live.add(rows)
        live.flush(chunk.end_ns - 1)
    live.close(_START_NS + _SECONDS * NANOS)
    return min(_fed(records, market) for _ in range(3))


def _fed(records: "_MockProducer", market: SyntheticMarket) -> tuple[int, int]:
    driver = Driver(FixedRegistry(market.instruments))
    begun = time.process_time_ns()
    for number, (value, headers) in enumerate(records.kept, 1):
        driver.record(value, headers)
        if number % _BATCH_FRAMES == 0:
            driver.task.take()
    driver.task.take()
    return time.process_time_ns() - begun, sum(driver.task.tally.rows.values())


class _MockProducer:
    """Takes frames where a Kafka producer would."""

    def __init__(self) -> None:
        self.kept: list[tuple[bytes, Any]] = []

    def writer(self, market: SyntheticMarket) -> Any:
        """A feed writer of one partition that sends here."""
        from producers.feed import FeedWriter

        return FeedWriter(self, "capacity", "capacity", 1, 1, [each.id for each in market.instruments])

    def produce(
        self, topic: str, value: bytes, *, partition: int, headers: Any, on_delivery: Callable[[Any, Any], None]
    ) -> None:
        """Keep a frame."""
        self.kept.append((value, headers))
        on_delivery(None, None)

    def poll(self, timeout: float) -> int:
        """Nothing waits."""
        return 0

    def flush(self, timeout: float) -> int:
        """Nothing waits."""
        return 0
