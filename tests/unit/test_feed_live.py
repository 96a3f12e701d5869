"""Live writing: flushes, heartbeats and receipt times follow the rules of the market log, whatever comes in."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.feed import FeedWriter, LiveWriter
from producers.live import ChunkPrefetcher, Runner, SyntheticFeed
from producers.synthetic import PlannedEvent, SyntheticConfig, SyntheticMarket
from streams.driver import Driver
from tapewatch.clock import NANOS, ManualClock
from tapewatch.contract import frames
from tapewatch.contract.frames import FrameHeaders
from tapewatch.contract.rows import Chunk, Rows, RowType, StatusKind
from tapewatch.errors import TapewatchError
from tapewatch.market_log.registry import FixedRegistry
from tests.unit.live_feed import AT, Records, opened, rows_of


def is_beat(rows: Rows) -> bool:
    return rows.type is RowType.STATUS and int(rows.columns["kind"][0]) == StatusKind.HEARTBEAT


def test_flush_orders_status_trades_orders_quotes_books_bars() -> None:
    records, live = opened()
    for row_type in (RowType.BAR, RowType.QUOTE, RowType.BOOK, RowType.STATUS, RowType.ORDER, RowType.TRADE):
        live.add(rows_of(row_type, [AT + 5]))
    live.flush(AT + 6)
    assert [rows.type for rows in records.log(0)] == [RowType.STATUS, *RowType]
    assert is_beat(records.log(0)[0])


def test_flush_never_crosses_a_second() -> None:
    records, live = opened()
    live.add(rows_of(RowType.QUOTE, [AT + 1, AT + NANOS - 1, AT + NANOS, AT + NANOS + 7]))
    live.add(rows_of(RowType.TRADE, [AT + 9, AT + NANOS + 3]))
    live.flush(AT + NANOS + 9)
    got = [("beat" if is_beat(rows) else rows.type.label, (rows.ts_recv - AT).tolist()) for rows in records.log(0)]
    assert got == [
        ("beat", [0]),
        ("trade", [9]),
        ("quote", [1, NANOS - 1]),
        ("beat", [NANOS]),
        ("trade", [NANOS + 3]),
        ("quote", [NANOS, NANOS + 7]),
    ]


def test_every_partition_has_a_heartbeat_in_every_second_of_an_open_session() -> None:
    records, live = opened(partitions=3)
    for tenth in range(31):
        live.flush(AT + tenth * NANOS // 10)
    for partition in range(3):
        assert [int(rows.ts_recv[0] - AT) // NANOS for rows in records.log(partition)] == [0, 1, 2, 3]


def test_stalled_writer_makes_up_no_heartbeats_for_what_it_did_not_watch() -> None:
    records, live = opened()
    live.flush(AT)
    live.flush(AT + 10 * NANOS)
    assert [int(rows.ts_recv[0] - AT) // NANOS for rows in records.log(0)] == [0, 10]


def test_row_older_than_the_log_is_raised_to_its_newest() -> None:
    records, live = opened(newest_ns=AT + 3 * NANOS + 5)
    live.add(rows_of(RowType.TRADE, [AT, AT + 3 * NANOS + 9]))
    live.flush(AT + 3 * NANOS + 10)
    (only,) = records.log(0)
    assert only.ts_recv.tolist() == [AT + 3 * NANOS + 5, AT + 3 * NANOS + 9]
    assert only.columns["ts_event"].tolist() == [AT, AT + 3 * NANOS + 9]
    assert live.raised == 1


adds = st.lists(
    st.tuples(
        st.sampled_from(list(RowType)),
        st.lists(st.integers(0, 4_000), min_size=1, max_size=5).map(sorted),
        st.integers(0, 2),
        st.booleans(),
    ),
    max_size=20,
)


@pytest.mark.slow
@settings(max_examples=80, deadline=None)
@given(adds)
def test_receipt_time_never_goes_back_from_flush_to_flush_and_no_row_is_late(drawn: list[Any]) -> None:
    records, live = opened(partitions=2)
    newest: list[int] = [0, 0]
    seen = 0
    now = AT
    for row_type, millis, code, flushes in drawn:
        live.add(rows_of(row_type, [AT + ms * 1_000_000 for ms in millis], code))
        now = max(now, AT + millis[-1] * 1_000_000)
        if not flushes:
            continue
        live.flush(now)
        for partition, value, _ in records.records[seen:]:
            assert int(frames.to_rows(value).ts_recv.min()) >= newest[partition] // NANOS * NANOS
        floor = max(newest)
        for partition, value, _ in records.records[seen:]:
            times = frames.to_rows(value).ts_recv
            assert int(times.min()) >= floor
            newest[partition] = max(newest[partition], int(times.max()))
        seen = len(records.records)
    live.close(now)
    for partition in range(2):
        seconds = [int(ts) // NANOS for rows in records.log(partition) for ts in rows.ts_recv]
        assert seconds == sorted(seconds)
    total = sum(len(millis) for _, millis, _, _ in drawn)
    assert live.writer.sent.rows.total() == total


def show_of(tmp_path: Path, seconds: int) -> SyntheticFeed:
    config = SyntheticConfig(
        instruments=5, sectors=2, rows_per_second=60.0, warmup_s=20.0, plan=(PlannedEvent("pump_and_dump", 1.0),)
    )
    labels, look_alikes = tmp_path / "labels.csv", tmp_path / "look-alikes.csv"
    return SyntheticFeed(config, 3, "t", 20, seconds, labels, look_alikes)


def run_show(tmp_path: Path, seconds: int = 8) -> tuple[Records, Runner, SyntheticMarket, list[str]]:
    show, clock, records, said = show_of(tmp_path, seconds), ManualClock(AT), Records(), list[str]()
    start = AT - show.back_date_s * NANOS
    market = SyntheticMarket(show.config, show.seed, start)
    ids = [instrument.id for instrument in market.instruments]
    live = LiveWriter(FeedWriter(records, "t", "synthetic", 1, 1, ids, clock))
    runner = Runner(show, market, live, start, clock, say=said.append)
    runner.run(threading.Event())
    return records, runner, market, said


@pytest.mark.slow
def test_synthetic_market_is_back_dated_then_follows_the_clock(tmp_path: Path) -> None:
    records, runner, _, said = run_show(tmp_path)
    summary = runner.summary(1.0)
    beats = [int(rows.ts_recv[0]) // NANOS - AT // NANOS for rows in records.log(0) if is_beat(rows)]
    assert beats == list(range(-20, 9)), "the last one closes the last second"
    assert summary.back_dated_s == 20
    assert "following the clock" in said[0]
    live = [(FrameHeaders.from_kafka(headers), frames.to_rows(value)) for _, value, headers in records.records]
    lags = [head.produced_at - int(rows.ts_recv[-1]) for head, rows in live if int(rows.ts_recv[-1]) > AT]
    assert all(0 <= lag <= 11_000_000 for lag in lags)


def test_synthetic_log_is_admitted_whole_by_the_engine(tmp_path: Path) -> None:
    records, runner, market, _ = run_show(tmp_path)
    driver = Driver(FixedRegistry(market.instruments))
    for _, value, headers in records.records:
        driver.record(value, headers)
    assert not driver.task.tally.refused
    assert driver.task.tally.duplicates == 0
    sent = runner.summary(1.0)
    assert sum(driver.task.tally.rows.values()) == sum(sent.rows.values()) + sent.heartbeats


def test_label_files_hold_what_has_begun_by_the_end(tmp_path: Path) -> None:
    run_show(tmp_path)
    lines = (tmp_path / "labels.csv").read_text().splitlines()
    assert lines[0] == "scenario,instrument,start,end"
    assert [line.split(",")[0] for line in lines[1:]] == ["pump_and_dump"]
    assert (tmp_path / "look-alikes.csv").exists()
    assert not list(tmp_path.glob(".*.new"))


def test_failing_simulation_is_reported_with_its_reason() -> None:
    class BrokenSource:
        def chunks(self) -> Iterator[Chunk]:
            raise ValueError("no such state")
            yield

    ahead = ChunkPrefetcher(BrokenSource())  # type: ignore[arg-type]
    with pytest.raises(TapewatchError, match="no such state"):
        list(ahead)
    ahead.close()
