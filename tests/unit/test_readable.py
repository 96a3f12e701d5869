"""Any record made readable: frames as tables, JSON as trees, hostile bytes made harmless."""

import json

import numpy as np
import pyarrow as pa

from tapewatch.contract import readable
from tapewatch.contract.frames import encode, write_stream
from tapewatch.contract.rows import Rows, RowType

SECOND = 1_000_000_000
AT = 1_700_000_000 * SECOND


def books() -> bytes:
    levels = np.full((3, 10), np.nan)
    levels[:, 0], levels[:, 1] = 101.25, 101.0
    times = np.array([AT, AT + 1, AT + 2], dtype=np.int64)
    columns: dict[str, np.ndarray] = {
        "instrument": np.array([0, 1, 0], dtype=np.int32),
        "ts_event": times,
        "ts_recv": times,
        "sequence": np.arange(3, dtype=np.int64),
        "bid_price": levels,
        "bid_qty": levels,
        "ask_price": levels,
        "ask_qty": levels,
    }
    return encode(Rows(RowType.BOOK, ["2330.XTAI", "0050.XTAI"], columns))


def test_frame_becomes_rows_with_exact_times_and_absent_levels_as_none() -> None:
    content = readable.read(books())
    assert content is not None
    assert (content.kind, content.total, len(content.rows)) == ("frame", 3, 3)
    assert content.rows[1]["ts_recv"] == "2023-11-14T22:13:20.000000001Z"
    assert content.rows[0]["bid_price"] == [101.25, 101.0] + [None] * 8
    json.dumps(content.rows, allow_nan=False)


def test_instrument_keeps_only_its_rows_and_messages() -> None:
    content = readable.read(books(), "2330.XTAI")
    assert content is not None
    assert [row["sequence"] for row in content.rows] == [0, 2]
    assert readable.read(books(), "AAPL.XNAS") is None
    assert readable.read(b'{"instrument":"AAPL.XNAS"}', "AAPL.XNAS") is not None
    assert readable.read(b'{"instruments":["AAPL.XNAS"]}', "AAPL.XNAS") is not None
    assert readable.read(b'{"instrument":"MSFT.XNAS"}', "AAPL.XNAS") is None
    assert readable.read(b"\x00\x01", "AAPL.XNAS") is None


def test_limit_keeps_the_first_rows_and_says_how_many_more() -> None:
    content = readable.read(books(), limit=1)
    assert content is not None
    assert (len(content.rows), content.total) == (1, 3)
    assert readable.lines(content, 400)[-1] == "  ... 2 more rows"


def test_table_shows_nan_as_a_dash_and_aligns() -> None:
    batch = pa.record_batch(
        {"instrument": ["台積電", "AAPL"], "x": pa.array([float("nan"), 0.1], pa.float32()), "n": [1, 22]}
    )
    content = readable.read(write_stream(batch))
    assert content is not None
    assert readable.lines(content, 80) == [
        "  instrument    x   n",
        "  台積電        -   1",
        "  AAPL        0.1  22",
    ]


def test_detector_codes_of_scores_are_shown_by_name() -> None:
    batch = pa.record_batch({"instrument": ["A", "A"], "detector": pa.array([1, 9], pa.int8())})
    content = readable.read(write_stream(batch.replace_schema_metadata({"tapewatch.detectors": "classic,kmeans"})))
    assert content is not None
    assert [row["detector"] for row in content.rows] == ["kmeans", 9]


def test_columns_that_do_not_fit_go_into_further_blocks() -> None:
    rows = [{"instrument": "AAPL.XNAS", **{f"feature_{n}": float(n) for n in range(12)}}]
    lines = readable.table(rows, 60)
    assert all(len(line) <= 60 for line in lines)
    assert sum(line.startswith("  AAPL.XNAS") for line in lines) > 1


def test_no_control_character_reaches_the_terminal() -> None:
    hostile = "A\x1b[2J\x9b\u202e\nB"
    values = [
        write_stream(pa.record_batch({"instrument": [hostile], hostile: [hostile]})),
        json.dumps({"instrument": hostile, hostile: hostile}, ensure_ascii=False).encode(),
        json.dumps({"instrument": hostile}).encode(),
        hostile.encode(),
        b"\xff\xff\xff\xff" + hostile.encode(),
    ]
    for value in values:
        content = readable.read(value)
        assert content is not None
        for line in readable.lines(content, 80):
            assert not set(line) & set("\x1b\x9b\u202e\n")


def test_unknown_bytes_show_size_and_beginning() -> None:
    content = readable.read(bytes(range(200)))
    assert content is not None
    (line,) = readable.lines(content, 80)
    assert line.startswith("  200 bytes: 00010203 04050607")


def test_damaged_frame_shows_why_it_is_shown_as_bytes() -> None:
    content = readable.read(books()[:100])
    assert content is not None
    assert (content.kind, "Arrow" in content.note) == ("binary", True)


def test_deleted_record_of_a_compacted_topic_says_so() -> None:
    content = readable.read(None)
    assert content is not None
    assert readable.lines(content, 80) == ["  (deleted)"]
