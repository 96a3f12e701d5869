"""Recordings in CSV: pump trades, bars, LOBSTER."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from producers.recordings import Recording, RecordingOptions, announcement_ns, open_recording
from producers.recordings.order import joined
from tapewatch.contract.rows import Rows, RowType, StatusKind
from tapewatch.errors import TapewatchError
from tests.unit.recorded_lines import PUMP_HEADER


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def read(source: Recording) -> dict[RowType, Rows]:
    """All rows by type."""
    found: dict[RowType, list[Rows]] = {}
    for chunk in source.chunks():
        for part in chunk.rows:
            found.setdefault(part.type, []).append(part)
    return {row_type: joined(parts) for row_type, parts in found.items()}


def utc(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000_000


def test_pump_trades_keep_side_price_and_millisecond(tmp_path: Path) -> None:
    path = write(
        tmp_path / "AST_2018-09-07T15.30.csv",
        PUMP_HEADER,
        "AST/BTC,1535297434173,x,buy,1.435e-05,4.0,0.013753999999999999",
        "AST/BTC,1535297434173,x,sell,1.5e-05,2.0,0",
    )
    source = open_recording([path])
    trades = read(source)[RowType.TRADE]
    assert [instrument.id for instrument in source.instruments] == ["ASTBTC.BINANCE"]
    assert source.instruments[0].currency == "BTC"
    assert trades.columns["price"].tolist() == [1.435e-05, 1.5e-05]
    assert trades.columns["aggressor_side"].tolist() == [1, -1]
    assert trades.ts_recv.tolist() == [1_535_297_434_173_000_000] * 2
    assert announcement_ns(path) == utc("2018-09-07T15:30")
    assert announcement_ns(tmp_path / "AST.csv") is None


def test_bad_pump_trades_are_refused_each_with_its_reason(tmp_path: Path) -> None:
    good = "AST/BTC,1535297434173,x,buy,1.435e-05,4.0,0"
    bad = {
        "AST/BTC,1535297434173,x,buy,1.435e-05": "malformed_line",
        "AST/BTC,never,x,buy,1.435e-05,4.0,0": "malformed_line",
        "ETH/BTC,1535297434173,x,buy,1.435e-05,4.0,0": "other_symbol",
        "AST/BTC,1535297434173,x,hold,1.435e-05,4.0,0": "malformed_record",
        "AST/BTC,1535297434173,x,buy,1.23456789012345678,4.0,0": "not_exact_float",
        "AST/BTC,1535297434173,x,buy,,4.0,0": "not_exact_float",
        "AST/BTC,1535297434173,x,buy,nan,4.0,0": "not_exact_float",
    }
    lines = [text for one in bad for text in (good, one)]
    source = open_recording([write(tmp_path / "trades.csv", PUMP_HEADER, *lines)])
    assert len(read(source)[RowType.TRADE]) == len(bad)
    assert {refusal.raw.decode(): refusal.reason for refusal in source.report.refused} == bad
    assert [refusal.line for refusal in source.report.refused] == list(range(3, 3 + 2 * len(bad), 2))


def test_file_of_bad_trades_alone_gives_no_row_and_no_crash(tmp_path: Path) -> None:
    path = write(tmp_path / "trades.csv", PUMP_HEADER, "AST/BTC,1535297434173,x,buy,1,1,0")
    source = open_recording([path])
    write(path, PUMP_HEADER, *["AST/BTC,broken"] * 20)
    assert read(source) == {}
    assert source.report.reasons == {"malformed_line": 20}


def test_bar_is_received_at_its_end_in_the_zone_of_its_file(tmp_path: Path) -> None:
    path = write(
        tmp_path / "2330.XTAI_5m.csv",
        "Date,Time,Open,High,Low,Close,Volume",
        "2024/01/02,09:00,590,593,589,592,1000",
        "2024/01/02,09:05,592,592,591,591.5,2000",
        "2024/01/02,noon,592,592,591,591.5,2000",
        "2024/01/02,09:15,592,592,591,,2000",
    )
    source = open_recording([path], options=RecordingOptions(timezone="Asia/Taipei"))
    bars = read(source)[RowType.BAR]
    assert bars.instruments == ("2330.XTAI",)
    assert bars.columns["ts_open"].tolist() == [utc("2024-01-02T01:00"), utc("2024-01-02T01:05")]
    assert bars.ts_recv.tolist() == [utc("2024-01-02T01:05"), utc("2024-01-02T01:10")]
    assert bars.columns["interval_s"].tolist() == [300, 300]
    assert bars.columns["close"].tolist() == [592, 591.5]
    assert source.report.reasons == {"malformed_time": 1, "not_exact_float": 1}


@pytest.mark.parametrize(
    "text", ["2024-01-02T01:00:00Z", "2024-01-02 09:00:00+08:00", "20240102010000", "1704157200", "1704157200000"]
)
def test_bar_times_are_read_in_every_usual_form(tmp_path: Path, text: str) -> None:
    path = write(tmp_path / "bars.csv", "timestamp,open,high,low,close,volume", f"{text},1,1,1,1,1")
    source = open_recording([path], options=RecordingOptions(instrument="AAPL.XNAS"))
    assert read(source)[RowType.BAR].columns["ts_open"].tolist() == [utc("2024-01-02T01:00")]


def test_bars_newest_first_and_unknown_zones_are_clear_errors(tmp_path: Path) -> None:
    header = "timestamp,open,high,low,close,volume"
    path = write(tmp_path / "bars.csv", header, "2024-01-02T01:01,1,1,1,1,1", "2024-01-02T01:00,1,1,1,1,1")
    with pytest.raises(TapewatchError, match="newest first"):
        open_recording([path])
    with pytest.raises(TapewatchError, match="no time zone"):
        open_recording([path], options=RecordingOptions(timezone="Mars/Olympus"))
    with pytest.raises(TapewatchError, match="not an instrument id"):
        RecordingOptions(instrument="bitcoin")


LOBSTER_BOOK = ["1010000,5,1000000,7", "1010000,5,1000000,9", "1010000,4,1000000,9", "1010000,4,1000000,9"] + [
    "9999999999,0,-9999999999,0"
] * 3


def lobster_pair(tmp_path: Path) -> list[Path]:
    messages = write(
        tmp_path / "TEST_2012-06-21_34200000_57600000_message_1.csv",
        "34200.000000001,1,11,7,1000000,1",
        "34200.5,2,11,3,1000000,1",
        "34201,4,12,1,1010000,-1",
        "34201.25,5,0,50,1005000,1",
        "34202,7,0,0,-1,-1",
        "34203,9,0,0,1,1",
        "34204,7,0,0,1,-1",
    )
    return [messages, write(tmp_path / "TEST_2012-06-21_34200000_57600000_orderbook_1.csv", *LOBSTER_BOOK)]


def test_lobster_messages_become_orders_trades_and_halts(tmp_path: Path) -> None:
    source = open_recording(lobster_pair(tmp_path))
    rows = read(source)
    assert rows[RowType.ORDER].columns["action"].tolist() == [1, 2, 4]
    assert rows[RowType.ORDER].columns["order_id"].tolist() == ["11", "11", "12"]
    assert rows[RowType.ORDER].ts_recv[0] == utc("2012-06-21T13:30") + 1
    trades = rows[RowType.TRADE].columns
    assert [trades["price"].tolist(), trades["qty"].tolist()] == [[101, 100.5], [1, 50]]
    assert trades["aggressor_side"].tolist() == [1, 0]
    assert rows[RowType.STATUS].columns["kind"].tolist() == [StatusKind.HALT, StatusKind.RESUME]
    assert source.report.reasons == {
        "unknown_message_type": 1,
    }
    assert rows[RowType.BOOK].columns["sequence"].tolist() == [1, 2, 3, 4, 5, 7]


def test_lobster_quote_comes_when_the_touch_or_the_last_trade_changes(tmp_path: Path) -> None:
    quotes = read(open_recording(lobster_pair(tmp_path)))[RowType.QUOTE].columns
    assert quotes["bid_qty"].tolist()[:4] == [7, 9, 9, 9]
    assert quotes["last_price"].tolist()[2:] == [101, 100.5, 100.5]
    assert quotes["volume"].tolist() == [0, 0, 1, 51, 51]
    assert np.isnan([quotes["bid_price"][-1], quotes["ask_qty"][-1]]).all()


def test_lobster_message_without_its_book_is_refused(tmp_path: Path) -> None:
    messages, books = lobster_pair(tmp_path)
    write(books, LOBSTER_BOOK[0], "broken", LOBSTER_BOOK[2])
    source = open_recording([messages, books])
    rows = read(source)
    assert rows[RowType.BOOK].columns["sequence"].tolist() == [1, 3]
    assert source.report.reasons["unpaired_message"] == 4
    assert source.report.reasons["malformed_line"] == 1


def test_lobster_books_alone_are_spread_evenly_over_the_session(tmp_path: Path) -> None:
    lines = ["ASK_1_PRICE,ASK_1_QTY,BID_1_PRICE,BID_1_QTY", *LOBSTER_BOOK[:4]]
    books = read(open_recording([write(tmp_path / "TEST_2012-06-21_orderbook_1.csv", *lines)]))[RowType.BOOK]
    step = (57_600 - 34_200) * 1_000_000_000 // 4
    assert books.ts_recv.tolist() == [utc("2012-06-21T13:30") + place * step for place in range(4)]


def test_lobster_books_before_a_combined_file_are_spread_up_to_its_first_message(tmp_path: Path) -> None:
    header = "Secs,Type,OrderID,Size,Price,TradeDirection,Askp1,Asks1,Bidp1,Bids1"
    combined = [f"{40000 + place},1,{place},1,1000000,1,{LOBSTER_BOOK[2 + place]}" for place in range(2)]
    paths = [
        write(tmp_path / "TEST_2012-06-21_message_and_L1.csv", header, *combined),
        write(
            tmp_path / "TEST_2012-06-21_orderbook_1.csv",
            "ASK_1_PRICE,ASK_1_QTY,BID_1_PRICE,BID_1_QTY",
            *LOBSTER_BOOK[:4],
        ),
    ]
    source = open_recording(paths)
    seconds = ((read(source)[RowType.BOOK].ts_recv - utc("2012-06-21T04:00")) // 1_000_000_000).tolist()
    assert seconds == [34_200, 37_100, 40_000, 40_001]
    assert source.report.records == {"book": 2, "book_repeated": 2, "combined": 2}
    assert source.report.lines == 6
