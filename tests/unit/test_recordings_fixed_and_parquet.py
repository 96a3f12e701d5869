"""Recordings of fixed width (TWSE dsp) and in Parquet."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from producers.recordings import Recording, RecordingOptions, merged_order, open_recording
from producers.recordings.order import joined
from tapewatch.contract.rows import Condition, Rows, RowType, StatusKind, schema
from tapewatch.errors import TapewatchError
from tests.unit.recorded_lines import dsp

NINE = int(datetime(2024, 11, 11, 1, tzinfo=UTC).timestamp()) * 1_000_000_000


def read(source: Recording) -> dict[RowType, Rows]:
    found: dict[RowType, list[Rows]] = {}
    for chunk in source.chunks():
        for part in chunk.rows:
            found.setdefault(part.type, []).append(part)
    return {row_type: joined(parts) for row_type, parts in found.items()}


def dsp_source(tmp_path: Path, *lines: str) -> Recording:
    path = tmp_path / "dsp.txt"
    path.write_text("\n".join(lines) + "\n")
    return open_recording([path])


def test_dsp_match_is_the_increase_of_the_cumulative_lots(tmp_path: Path) -> None:
    source = dsp_source(
        tmp_path,
        dsp("0050", "083000000000", "T   ", 0, 0, 19900, 20000),
        dsp("0050", "090000500000", "  Y ", 19950, 30, 19900, 20000),
        dsp("0050", "090005000000", "    ", 19950, 30, 19900, 20000),
        dsp("0050", "090010000000", "  Y ", 20000, 37, 19900, 0),
    )
    rows = read(source)
    assert rows[RowType.STATUS].columns["kind"].tolist() == [StatusKind.AUCTION, StatusKind.OPEN]
    trades = rows[RowType.TRADE].columns
    assert [trades["price"].tolist(), trades["qty"].tolist()] == [[199.5, 200], [30_000, 7_000]]
    assert trades["condition"].tolist() == [Condition.AUCTION, Condition.REGULAR]
    quotes = rows[RowType.QUOTE].columns
    assert np.isnan(quotes["last_price"][0])
    assert np.isnan(quotes["ask_price"][3])
    assert quotes["volume"].tolist() == [0, 30_000, 30_000, 37_000]
    assert rows[RowType.BOOK].columns["bid_qty"][0].tolist()[0] == 3_000
    assert np.isnan(rows[RowType.BOOK].columns["bid_price"][:, 1:]).all()
    assert rows[RowType.BOOK].ts_recv[1] == NINE + 500_000_000
    assert source.instruments[0].lot == 1_000


def test_dsp_rows_written_code_after_code_are_given_by_time(tmp_path: Path) -> None:
    times = ("090000000000", "090010000000")
    lines = [dsp(code, time, "    ", 100, 1, 99, 101) for code in ("1101", "1102") for time in times]
    books = read(dsp_source(tmp_path, *lines))[RowType.BOOK]
    names = [books.instruments[code] for code in books.columns["instrument"]]
    assert names == ["1101.XTAI", "1102.XTAI", "1101.XTAI", "1102.XTAI"]
    assert books.ts_recv.tolist() == [NINE, NINE, NINE + 10_000_000_000, NINE + 10_000_000_000]


def test_dsp_recording_that_starts_in_mid_session_makes_no_trade_of_earlier_volume(tmp_path: Path) -> None:
    first = dsp("1101", "100000000000", "    ", 100, 500, 99, 101)
    rows = read(dsp_source(tmp_path, first, dsp("1101", "100005000000", "  Y ", 100, 502, 99, 101)))
    assert rows[RowType.TRADE].columns["qty"].tolist() == [2_000]


def test_malformed_dsp_rows_are_refused(tmp_path: Path) -> None:
    good = dsp("1101", "090000000000", "    ", 100, 1, 99, 101)
    bad = [good[:-3], good.replace("000099", "00 099", 1), good[:6] + "256000" + good[12:], good[:180] + "20241399AA"]
    source = dsp_source(tmp_path, good, *bad)
    assert len(read(source)[RowType.BOOK]) == 1
    assert source.report.reasons == {"wrong_length": 1, "malformed_line": 3}
    assert [refusal.line for refusal in source.report.refused if refusal.reason == "malformed_line"] == [3, 4, 5]


def test_old_dsp_row_has_its_time_in_hundredths(tmp_path: Path) -> None:
    row = dsp("2033", "090001300000", "    ", 2900, 23, 2860, 2900)
    old = row[:14] + row[18:]
    assert len(old) == 186
    assert read(dsp_source(tmp_path, old))[RowType.BOOK].ts_recv.tolist() == [NINE + 1_300_000_000]


def trades_table(times: list[int], **other: object) -> pa.Table:
    count = len(times)
    columns: dict[str, object] = {
        "instrument": pa.array(["AAPL.XNAS"] * count).dictionary_encode(),
        "ts_event": pa.array(times, pa.timestamp("ns", "UTC")),
        "ts_recv": pa.array(times, pa.timestamp("ns", "UTC")),
        "price": [1.0] * count,
        "qty": [2.0] * count,
        "aggressor_side": pa.array([1] * count, pa.int8()),
        "condition": pa.array([0] * count, pa.int8()),
    }
    return pa.table(columns | other)


def books_table(times: list[int]) -> pa.Table:
    levels = [[3.0, None, 2.5], [], [1.0] * 12][: len(times)]
    common = {"instrument": ["AAPL.XNAS"] * len(times), "ts_event": times, "ts_recv": times, "sequence": times}
    return pa.table(common | dict.fromkeys(("bid_price", "bid_qty", "ask_price", "ask_qty"), levels))


def test_parquet_folder_is_one_source_in_the_order_of_the_log(tmp_path: Path) -> None:
    pq.write_table(trades_table([10, 20, 20]), tmp_path / "trades.parquet", row_group_size=2)
    pq.write_table(books_table([10, 20, 30]), tmp_path / "books.parquet")
    source = open_recording([tmp_path])
    assert [instrument.id for instrument in source.instruments] == ["AAPL.XNAS"]
    runs = [run for chunk in source.chunks() for run in merged_order(chunk.rows)]
    order = [(int(time), run.type) for run in runs for time in run.ts_recv]
    trade, book = RowType.TRADE, RowType.BOOK
    assert order == [(10, trade), (10, book), (20, trade), (20, trade), (20, book), (30, book)]
    bids = read(source)[RowType.BOOK].columns["bid_price"]
    assert bids[0][[0, 2]].tolist() == [3, 2.5]
    assert np.isnan(bids[0][[1, 3]]).all()
    assert np.isnan(bids[1]).all()
    assert bids[2].tolist() == [1.0] * 10


def test_parquet_in_the_contract_s_own_schema_is_read_with_its_optional_columns(tmp_path: Path) -> None:
    table = trades_table([10, 20], trade_id=["a", None])
    pq.write_table(table.cast(schema(RowType.TRADE, ["trade_id"])), tmp_path / "mine.parquet")
    trades = read(open_recording([tmp_path / "mine.parquet"]))[RowType.TRADE]
    assert trades.columns["trade_id"].tolist() == ["a", None]
    assert trades.columns["aggressor_side"].dtype == np.int8


def test_parquet_null_price_is_nan_and_null_time_is_refused(tmp_path: Path) -> None:
    table = trades_table([10, 20, 30], price=[1.0, None, 2.0])
    place = table.schema.get_field_index("ts_event")
    table = table.set_column(place, "ts_event", pa.array([10, 20, None], pa.timestamp("us")))
    pq.write_table(table, tmp_path / "trades.parquet")
    source = open_recording([tmp_path / "trades.parquet"])
    trades = read(source)[RowType.TRADE]
    assert trades.columns["ts_event"].tolist() == [10_000, 20_000]
    assert np.isnan(trades.columns["price"][1])
    assert source.report.reasons == {"null_value": 1}


@pytest.mark.parametrize("times", [[10, 30, 20], [10, 20, 15]])
def test_unsorted_parquet_is_an_error_that_names_the_file(tmp_path: Path, times: list[int]) -> None:
    pq.write_table(trades_table(times), tmp_path / "trades.parquet")
    source = open_recording([tmp_path / "trades.parquet"], options=RecordingOptions(chunk_rows=2))
    with pytest.raises(TapewatchError, match=r"trades\.parquet is not sorted by ts_recv"):
        list(source.chunks())


def test_parquet_without_the_contract_s_columns_is_an_error_that_names_them(tmp_path: Path) -> None:
    pq.write_table(trades_table([1]).drop_columns(["qty"]), tmp_path / "trades.parquet")
    with pytest.raises(TapewatchError, match="lacks the columns qty"):
        open_recording([tmp_path / "trades.parquet"])
    pq.write_table(trades_table([1], price=["high"]), tmp_path / "trades.parquet")
    with pytest.raises(TapewatchError, match="column price of type string"):
        list(open_recording([tmp_path / "trades.parquet"]).chunks())
    (tmp_path / "trades.parquet").write_bytes(b"PAR1 broken PAR1")
    with pytest.raises(TapewatchError, match="no readable Parquet"):
        open_recording([tmp_path / "trades.parquet"])
