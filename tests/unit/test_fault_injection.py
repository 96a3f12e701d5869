"""What goes wrong on purpose between a writer and Kafka, and what the engine makes of it: every row is accounted."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from producers.feed import FeedWriter, LiveWriter
from producers.feed.fault_injection import FaultInjector
from streams.driver import Driver, table
from tapewatch.clock import NANOS
from tapewatch.contract import topics
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.rows import Rows, RowType
from tapewatch.errors import TapewatchError
from tapewatch.market_log.registry import FixedRegistry

NAME = "A.SIMX"
START_S = 1_700_000_000


@dataclass
class Log:
    """A producer whose records lie in a list; `room` of them before its queue is full for one call."""

    records: list[tuple[int, bytes, Any]] = field(default_factory=list)
    delivered: int = 0
    room: int = 1_000_000

    def produce(self, topic: str, value: bytes, *, partition: int, headers: Any, on_delivery: Any) -> None:
        if self.room <= 0:
            raise BufferError
        self.room -= 1
        self.records.append((partition, value, headers))
        on_delivery(None, None)

    def poll(self, timeout: float) -> int:
        self.room = 1_000_000
        return 0

    def flush(self, timeout: float) -> int:
        return 0


class Feed:
    """A live writer with mischief on its way, second by second."""

    def __init__(self, folder: Path) -> None:
        self.orders, self.log = folder / "orders", Log()
        self.mischief = FaultInjector(self.log, self.orders)
        self.writer = FeedWriter(self.mischief, "test", "test", 1, 1, [NAME])
        self.live = LiveWriter(self.writer)
        self.rows = 0

    def order(self, **words: Any) -> None:
        with self.orders.open("a") as file:
            file.write(json.dumps(words) + "\n")
        self.mischief.look()
        self.live.clock_error_ns = self.mischief.clock_error_ns

    def send(self, second: float, rows: int = 2) -> None:
        times = int((START_S + second) * NANOS) + np.arange(rows, dtype=np.int64)
        price = np.full(rows, 100.0)
        sizes = {"bid_qty": np.ones(rows), "ask_qty": np.ones(rows), "volume": np.ones(rows)}
        columns: dict[str, np.ndarray] = {
            "instrument": np.zeros(rows, dtype=np.int32),
            "ts_event": times,
            "ts_recv": times,
            "bid_price": price,
            "bid_qty": sizes["bid_qty"],
            "ask_price": price + 1,
            "ask_qty": sizes["ask_qty"],
            "last_price": price,
            "volume": sizes["volume"],
        }
        self.live.add(Rows(RowType.QUOTE, [NAME], columns))
        self.live.flush(int(times[-1]))
        self.rows += rows

    def close(self, second: float) -> None:
        self.live.close(int((START_S + second) * NANOS))

    def done(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.orders.parent / "orders.done").read_text().splitlines()]

    def driven(self) -> Driver:
        driver = Driver(FixedRegistry([Instrument(NAME)]), topics.market("test"))
        for _, value, headers in self.log.records:
            driver.record(value, headers)
        return driver


@pytest.fixture
def feed(tmp_path: Path) -> Feed:
    return Feed(tmp_path)


def reasons(driver: Driver) -> list[str]:
    letters = driver.collect().get("market.test.dlq", [])
    return [dict(letter.headers)["reason"].decode() for letter in letters]


def test_without_orders_every_frame_passes_as_it_is(feed: Feed, tmp_path: Path) -> None:
    plain = Log()
    live = LiveWriter(FeedWriter(plain, "test", "test", 1, 1, [NAME]))
    feed.send(0.1)
    other, feed.live = feed.live, live
    feed.send(0.1)
    feed.live = other
    assert [value for _, value, _ in feed.log.records] == [value for _, value, _ in plain.records]


def test_frames_sent_twice_are_dropped_the_second_time_and_counted(feed: Feed) -> None:
    feed.order(do="duplicate", id="d", frames=3)
    for tick in range(5):
        feed.send(0.1 + tick / 10)
    feed.close(2)
    tally = feed.driven().task.tally
    assert tally.duplicates == 3
    assert tally.rows["quote"] == feed.rows
    assert feed.writer.sent.acknowledged == feed.writer.sent.frames
    assert [(done["id"], len(done["frames"])) for done in feed.done()] == [("d", 3)]


def test_a_frame_that_was_overtaken_within_its_second_counts_and_nothing_is_a_duplicate(feed: Feed) -> None:
    feed.send(0.05)
    feed.order(do="reorder", id="r", frames=2)
    for tick in range(6):
        feed.send(0.1 + tick / 10)
    feed.close(2)
    sequences = [int(dict(headers)["sequence"]) for _, _, headers in feed.log.records]
    assert sequences != sorted(sequences)
    tally = feed.driven().task.tally
    assert (tally.duplicates, tally.rows["quote"], dict(tally.refused)) == (0, feed.rows, {})
    assert [done["frames"] for done in feed.done()] == [[[0, 1, 2], [0, 1, 4]]]


def test_rows_overtaken_by_the_end_of_their_second_are_dead_letters_and_the_only_ones(feed: Feed) -> None:
    feed.send(0.1)
    feed.order(do="reorder", id="r", frames=1)
    feed.send(0.9)
    feed.send(1.1)
    feed.close(3)
    driver = feed.driven()
    assert reasons(driver) == ["late"] * 2
    assert driver.task.tally.rows["quote"] == feed.rows - 2


def test_a_frame_held_back_at_the_end_is_sent_by_the_flush(feed: Feed) -> None:
    feed.send(0.1)
    feed.order(do="reorder", id="r", frames=1)
    feed.live.flush(START_S * NANOS + NANOS)
    assert feed.done() == []
    feed.live.writer.flush()
    assert feed.driven().task.tally.rows["quote"] == feed.rows
    assert len(feed.done()) == 1


@pytest.mark.parametrize("by_s", [-3.5, 3.5])
def test_rows_of_a_clock_that_jumps_are_all_taken(feed: Feed, by_s: float) -> None:
    for tick in range(20):
        feed.send(tick / 2)
    feed.order(do="clock", id="there", by_s=by_s)
    for tick in range(20, 40):
        feed.send(tick / 2)
    feed.order(do="clock", id="back", by_s=-by_s)
    for tick in range(40, 60):
        feed.send(tick / 2)
    feed.close(40)
    driver = feed.driven()
    assert reasons(driver) == []
    assert driver.task.tally.rows["quote"] == feed.rows
    assert [done["id"] for done in feed.done()] == ["there", "back"]
    ends = table(driver.collect()[topics.FEATURES], "sealed")["ts"]
    assert (np.diff(ends) > 0).all()


def test_poison_reaches_the_dead_letters_with_its_reason_and_costs_no_other_row(feed: Feed) -> None:
    feed.order(do="poison", id="p", frames=4)
    for tick in range(8):
        feed.send(0.1 + tick / 10)
    feed.close(2)
    driver = feed.driven()
    assert reasons(driver) == ["bad_headers", "unreadable", "bad_headers", "unregistered_instrument"]
    assert driver.task.tally.rows["quote"] == feed.rows
    assert [done["records"] for done in feed.done()] == [4]


def test_a_full_queue_delays_what_is_ordered_and_doubles_nothing(feed: Feed) -> None:
    feed.send(0.1)
    feed.order(do="duplicate", frames=1)
    feed.order(do="reorder", frames=1)
    feed.order(do="poison", frames=1)
    for tick in range(8):
        feed.log.room = 1
        feed.send(0.2 + tick / 10)
    feed.close(2)
    tally = feed.driven().task.tally
    assert (tally.duplicates, tally.rows["quote"]) == (1, feed.rows)
    assert [done["do"] for done in feed.done()] == ["duplicate", "reorder", "poison"]


def test_orders_from_before_the_start_and_half_a_line_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "orders").write_text('{"do": "clock", "by_s": 5}\n')
    feed = Feed(tmp_path)
    with feed.orders.open("a") as file:
        file.write('{"do": "clock", ')
    feed.mischief.look()
    assert feed.mischief.clock_error_ns == 0
    with feed.orders.open("a") as file:
        file.write('"by_s": 2}\n')
    feed.mischief.look()
    assert feed.mischief.clock_error_ns == 2 * NANOS


def test_a_line_that_is_no_order_is_refused_by_name(feed: Feed) -> None:
    with pytest.raises(TapewatchError, match="explode"):
        feed.order(do="explode")
