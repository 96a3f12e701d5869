"""The feed writer: what it sends, where, with which headers, and what it does when Kafka does not take it."""

from collections.abc import Callable
from io import StringIO
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from rich.console import Console

from producers.feed import MAX_FRAME_ROWS, FeedWriter, FrameEncoder, LogTail, Rate, Splitter
from producers.feed.encoder import DICTIONARY_LIMIT
from tapewatch.clock import NANOS, ManualClock
from tapewatch.contract import frames
from tapewatch.contract.frames import FrameHeaders
from tapewatch.contract.partitioner import partition_for
from tapewatch.contract.rows import Rows, RowType, StatusKind, heartbeat_rows
from tapewatch.errors import TapewatchError

AT = 1_700_000_000 * NANOS
NAMES = tuple(f"S{n}.SIMX" for n in range(20))


class Records:
    """A producer that keeps what it is given."""

    def __init__(self, room: int = 1_000_000) -> None:
        self.records: list[tuple[int, bytes, FrameHeaders]] = []
        self.room = room
        self.error: str | None = None
        self._reports: list[Callable[[Any, Any], None]] = []

    def produce(self, topic: str, value: bytes, *, partition: int, headers: Any, on_delivery: Any) -> None:
        if len(self._reports) >= self.room:
            raise BufferError("queue full")
        self.records.append((partition, value, FrameHeaders.from_kafka(headers)))
        self._reports.append(on_delivery)

    def poll(self, timeout: float) -> int:
        reports, self._reports = self._reports, []
        for report in reports:
            report(self.error, None)
        return len(reports)

    def flush(self, timeout: float) -> int:
        self.poll(0)
        return 0


def trades(codes: list[int], ts: list[int] | None = None, ids: bool = False) -> Rows:
    count = len(codes)
    times = np.array(ts if ts is not None else [AT + n for n in range(count)], dtype=np.int64)
    columns: dict[str, Any] = {
        "instrument": np.array(codes, dtype=np.int32),
        "ts_event": times,
        "ts_recv": times,
        "price": np.arange(1, count + 1) / 8,
        "qty": np.full(count, 2.0),
        "aggressor_side": np.ones(count, dtype=np.int8),
        "condition": np.zeros(count, dtype=np.int8),
    }
    if ids:
        columns["trade_id"] = np.array([str(n) for n in range(count)], dtype=object)
    return Rows(RowType.TRADE, NAMES, columns)


def writer(records: Records, partitions: int = 1, names: tuple[str, ...] = NAMES) -> FeedWriter:
    return FeedWriter(records, "test", "unit", 7, partitions, names, ManualClock(AT))


def texts(rows: Rows) -> list[tuple[str, float]]:
    named = [rows.instruments[code] for code in rows.columns["instrument"]]
    return list(zip(named, rows.columns["price"].tolist(), strict=True))


def test_rows_go_to_the_partition_of_the_java_client_and_keep_their_order() -> None:
    rows = trades([n % 20 for n in range(200)])
    split = dict(Splitter(4).split(rows))
    for partition, own in split.items():
        expected = [pair for pair in texts(rows) if partition_for(pair[0], 4) == partition]
        assert texts(own) == expected
    assert sum(len(own) for own in split.values()) == 200


def test_rows_of_every_instrument_go_to_every_partition() -> None:
    split = list(Splitter(3).split(heartbeat_rows(np.array([AT]))))
    assert [(partition, len(rows)) for partition, rows in split] == [(0, 1), (1, 1), (2, 1)]


@pytest.mark.parametrize("ids", [False, True])
@pytest.mark.parametrize("count", [1, 5, 64, 65, 300])
def test_frames_are_the_bytes_that_arrow_writes(count: int, ids: bool) -> None:
    encoder = FrameEncoder(NAMES)
    rows = trades([n % 20 for n in range(count)], ids=ids)
    shared = pa.array(["*", *NAMES], type=pa.utf8())
    for _ in range(2):
        assert encoder.encode(rows) == frames.encode_with(rows, shared, rows.columns["instrument"] + np.int32(1))


@pytest.mark.parametrize("first", [0, 7, 95, 98, 9_998, 123_456_789])
def test_ids_of_any_length_leave_a_frame_the_bytes_that_arrow_writes(first: int) -> None:
    encoder = FrameEncoder(NAMES)
    shared = pa.array(["*", *NAMES], type=pa.utf8())
    rows = trades([0, 1, 2, 3, 4])
    for ids in ([first + n for n in range(5)], [first, "", "", first, ""], ["é", 1, 2, 3, 4], ["", "", "", "", ""]):
        columns = {**rows.columns, "trade_id": np.array([str(each) for each in ids], dtype=object)}
        own = Rows(rows.type, rows.instruments, columns)
        assert encoder.encode(own) == frames.encode_with(own, shared, columns["instrument"] + np.int32(1))


def test_heartbeats_are_status_rows_of_every_instrument() -> None:
    times = (AT // NANOS + np.arange(3)) * NANOS
    for shift in (0, 100):
        rows = frames.to_rows(FrameEncoder(NAMES).heartbeats(times + shift))
        assert rows.type is RowType.STATUS
        assert rows.ts_recv.tolist() == rows.columns["ts_event"].tolist() == (times + shift).tolist()
        assert [rows.instruments[code] for code in rows.columns["instrument"]] == ["*"] * 3
        assert set(rows.columns["kind"]) == {StatusKind.HEARTBEAT}


def test_dictionary_of_a_partition_stays_the_same() -> None:
    encoder, decoder = FrameEncoder(NAMES), frames.Decoder()
    values = [encoder.encode(trades([3])), encoder.encode(trades([5, 6])), encoder.heartbeats(np.array([AT]))]
    assert len({decoder.open(value).dictionary for value in values}) == 1


def test_large_partition_names_only_the_instruments_of_the_frame() -> None:
    names = [f"N{n}.SIMX" for n in range(DICTIONARY_LIMIT + 1)]
    rows = trades([2, 2, 4])
    assert frames.to_rows(FrameEncoder(names).encode(rows)).instruments == [NAMES[2], NAMES[4]]


def test_instrument_that_was_not_announced_is_still_sent_under_its_name() -> None:
    records = Records()
    writer(records, names=NAMES[:2]).send(0, trades([0, 9]))
    assert [name for name, _ in texts(frames.to_rows(records.records[0][1]))] == [NAMES[0], NAMES[9]]


def test_sequences_count_per_partition_and_frames_hold_at_most_1024_rows() -> None:
    records = Records()
    feed = writer(records, partitions=2)
    feed.heartbeats(1, np.array([AT]))
    feed.send(0, trades([0] * (MAX_FRAME_ROWS + 1)))
    feed.send(1, trades([1]))
    assert [(at, head.type, head.epoch, head.sequence) for at, _, head in records.records] == [
        (1, "status", 7, 0),
        (0, "trade", 7, 0),
        (0, "trade", 7, 1),
        (1, "trade", 7, 1),
    ]
    assert all(head.source == "unit" and head.produced_at == AT for _, _, head in records.records)
    assert (feed.sent.rows, feed.sent.heartbeats, feed.sent.frames) == ({"trade": MAX_FRAME_ROWS + 2}, 1, 4)


def test_full_queue_makes_the_writer_wait_and_drops_nothing() -> None:
    records = Records(room=2)
    feed = writer(records)
    for n in range(9):
        feed.send(0, trades([n]))
    feed.flush()
    assert [head.sequence for _, _, head in records.records] == list(range(9))
    assert feed.sent.waits > 0
    assert feed.unacknowledged == 0


def test_failed_delivery_stops_the_writer_with_its_reason() -> None:
    records = Records()
    feed = writer(records)
    records.error = "message timed out"
    feed.send(0, trades([1]))
    with pytest.raises(TapewatchError, match=r"market\.test: message timed out"):
        feed.flush()


def test_rate_is_said_every_five_seconds_with_what_is_behind() -> None:
    clock, out = ManualClock(AT), StringIO()
    feed = FeedWriter(Records(), "test", "unit", 7, 1, NAMES, clock)
    rate = Rate(feed, clock, Console(file=out, width=200))
    feed.send(0, trades([0] * 500))
    rate.tick(AT)
    assert out.getvalue() == ""
    clock.sleep(5)
    rate.tick(AT, behind_ns=2 * NANOS)
    said = out.getvalue()
    assert said.startswith("test: 100 rows/s, 0 frames/s")
    assert "1 partitions, 1 frames unacknowledged" in said
    assert "2.0 s behind" in said


def test_new_writer_takes_an_epoch_above_every_known_one() -> None:
    tail = LogTail(epochs={"unit": AT + 5})
    assert tail.next_epoch("unit", AT) == AT + 6
    assert tail.next_epoch("unit", AT + 9) == AT + 9
    assert tail.next_epoch("other", AT) == AT


def test_writer_whose_source_is_not_among_the_last_records_begins_above_what_it_can_have_had() -> None:
    tail = LogTail(appended_ns=AT, epochs={"unit": AT - 5})
    # Its clock was five minutes ahead at most, and may have been set back since.
    assert tail.next_epoch("other", AT - 3_600 * NANOS) == AT + 300 * NANOS
    assert tail.next_epoch("other", AT + 301 * NANOS) == AT + 301 * NANOS
    assert tail.next_epoch("unit", AT - 3_600 * NANOS) == AT - 4
