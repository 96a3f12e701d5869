"""Real recordings: every record accounted for, books equal to what the venue said."""

import ast
import csv
import gzip
import json
import os
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from producers.recordings import Recording, RecordingOptions, merged_order, open_recording
from producers.recordings.order import joined
from tapewatch.contract.rows import Rows, RowType

DATA = Path(os.environ.get("TAPEWATCH_TEST_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"no recorded data at {DATA}; set TAPEWATCH_TEST_DATA")
SPOT = ("binance/spot_btcusdt_20240808.gz", "binance/spot_btcusdt_20240809.gz")
AMZN_COMBINED = "lobster/AMZN_2012-06-21_1222-1600_message_and_L1.csv.gz"
AMZN_BOOKS = "lobster/AMZN_2012-06-21_orderbook_1.csv.gz"


def recording(*names: str, chunk_rows: int = 16_384) -> Recording:
    return open_recording([DATA / name for name in names], options=RecordingOptions(chunk_rows=chunk_rows))


def read(source: Recording) -> dict[RowType, Rows]:
    """All rows by type, with the order of chunks and rows checked on the way."""
    found: dict[RowType, list[Rows]] = {}
    end = 0
    for chunk in source.chunks():
        last = (end, -1)
        for run in merged_order(chunk.rows):
            assert (int(run.ts_recv[0]), run.type) >= last
            assert np.all(np.diff(run.ts_recv) >= 0)
            last = (int(run.ts_recv[-1]), int(run.type))
        assert last[0] < chunk.end_ns
        end = chunk.end_ns
        for row_type in {part.type for part in chunk.rows}:
            whole = joined([part for part in chunk.rows if part.type is row_type])
            found.setdefault(row_type, []).append(whole.take(np.argsort(whole.ts_recv, kind="stable")))
    return {row_type: joined(parts) for row_type, parts in found.items()}


def final_book_ticker(name: str) -> list[float]:
    """Best bid price and quantity, best ask price and quantity of the recording's last bookTicker."""
    lines = gzip.decompress((DATA / name).read_bytes()).splitlines()
    data = next(json.loads(line.split(b" ", 1)[1])["data"] for line in reversed(lines) if b"@bookTicker" in line)
    return [float(data[key]) for key in ("b", "B", "a", "A")]


def touch(rows: Rows) -> list[float]:
    return [float(rows.columns[name][-1, 0]) for name in ("bid_price", "bid_qty", "ask_price", "ask_qty")]


def never_crossed(books: Rows) -> bool:
    return bool(np.all(books.columns["bid_price"][:, 0] < books.columns["ask_price"][:, 0]))


def test_two_spot_files_are_one_recording_with_every_record_accounted_for() -> None:
    source = recording(*SPOT)
    rows = read(source)
    report = source.report
    assert report.records == {"depth": 6_495, "book_ticker": 73_174, "trade": 19_904, "snapshot": 1}
    assert report.lines == 41_249 + 58_325
    assert report.reasons == {"before_snapshot": 2}
    assert report.rows == {"book": 6_495 - 2 + 1, "quote": 73_174, "trade": 19_904}
    assert touch(rows[RowType.BOOK]) == final_book_ticker(SPOT[1])
    assert never_crossed(rows[RowType.BOOK])
    quotes, trades = rows[RowType.QUOTE], rows[RowType.TRADE]
    before = trades.columns["qty"][trades.ts_recv <= quotes.ts_recv[-1]]
    assert quotes.columns["volume"][-1] == round(float(before.sum()), 8)


def test_futures_recording_rebuilds_its_final_book() -> None:
    name = "binance/usdm_btcusdt_20240808.gz"
    source = recording(name)
    books = read(source)[RowType.BOOK]
    assert source.report.records == {"depth": 6_551, "book_ticker": 66_089, "trade": 21_313, "snapshot": 1}
    assert source.report.rows["book"] + source.report.reasons["before_snapshot"] == 6_551 + 1
    assert set(source.report.reasons) == {"before_snapshot"}
    assert touch(books) == final_book_ticker(name)
    assert never_crossed(books)


def test_spot_and_futures_together_are_the_two_alone_in_receipt_order() -> None:
    merged = read(recording(SPOT[0], "binance/usdm_btcusdt_20240808.gz", chunk_rows=5_000))
    spot, futures = read(recording(SPOT[0])), read(recording("binance/usdm_btcusdt_20240808.gz"))
    for row_type, rows in merged.items():
        for code, name in enumerate(rows.instruments):
            alone = (futures if "PERP" in name else spot)[row_type]
            np.testing.assert_array_equal(rows.take(rows.columns["instrument"] == code).ts_recv, alone.ts_recv)


@pytest.mark.parametrize(("name", "count"), [("AST_2018-09-07T15.30", 47_665), ("ICN_2018-09-11T15.30", 26_004)])
def test_every_raw_pump_trade_is_given_out(name: str, count: int) -> None:
    source = recording(f"pumps/{name}.csv.gz")
    trades = read(source)[RowType.TRADE]
    assert len(trades) == source.report.lines == count
    assert not source.report.reasons
    assert set(trades.columns["aggressor_side"].tolist()) == {1, -1}


def test_lobster_pair_gives_orders_trades_and_ten_levels() -> None:
    pair = [f"lobster/AAPL_2012-06-21_first_{part}_10.csv" for part in ("message", "orderbook")]
    rows = read(recording(*pair))
    assert {row_type.label: len(part) for row_type, part in rows.items() if row_type is not RowType.QUOTE} == {
        "order": 938,
        "trade": 159,
        "book": 999,
    }
    last = [float(cell) for cell in (DATA / pair[1]).read_text().splitlines()[-1].split(",")]
    assert rows[RowType.BOOK].columns["ask_price"][-1].tolist() == [price / 10_000 for price in last[0::4]]
    assert rows[RowType.BOOK].columns["bid_qty"][-1].tolist() == last[3::4]
    start = datetime(2012, 6, 21, 9, 30, tzinfo=ZoneInfo("America/New_York")).timestamp()
    assert int(rows[RowType.BOOK].ts_recv[0]) == int(start) * 1_000_000_000 + 4_241_176


def test_timed_amzn_rows_are_the_last_of_the_day_s_books() -> None:
    both = recording(AMZN_COMBINED, AMZN_BOOKS)
    books = read(both)[RowType.BOOK]
    alone = read(recording(AMZN_BOOKS))[RowType.BOOK]
    assert both.report.records == {"book": 25_200, "book_repeated": 32_315, "combined": 32_315}
    assert len(books) == len(alone) == 57_515
    for name in ("bid_price", "bid_qty", "ask_price", "ask_qty"):
        np.testing.assert_array_equal(books.columns[name], alone.columns[name])
    assert not both.report.reasons
    assert both.report.stepped_back == 0


@pytest.mark.parametrize("year", ["2008_186B", "2024_190B"])
def test_dsp_books_equal_the_parsed_file_beside_them(year: str) -> None:
    rows = read(recording(f"twse/dsp_{year}.txt"))
    books, quotes = rows[RowType.BOOK], rows[RowType.QUOTE]
    with (DATA / f"twse/dsp_{year[:4]}_parsed.csv").open(newline="") as stream:
        parsed = list(csv.DictReader(stream))
    assert len(books) == len(parsed)
    for index, row in enumerate(parsed):
        assert books.instruments[books.columns["instrument"][index]] == f"{row['securities_code']}.XTAI"
        local = datetime.fromisoformat(f"{row['display_date']}T{row['display_time']}+08:00")
        assert int(books.ts_recv[index]) // 1_000_000_000 == int(local.timestamp())
        assert quotes.columns["volume"][index] == int(row["transaction_volume"]) * 1_000
        assert np.nan_to_num(quotes.columns["last_price"][index]) == float(row["trade_price"])
        for side, text in (("bid", row["buy_5_price_volume"]), ("ask", row["sell_5_price_volume"])):
            levels = [(level["price"], level["volume"]) for level in ast.literal_eval(text) if level["price"]]
            shown = ~np.isnan(books.columns[f"{side}_price"][index])
            assert books.columns[f"{side}_price"][index][shown].tolist() == [price for price, _ in levels]
            assert books.columns[f"{side}_qty"][index][shown].tolist() == [lots * 1_000 for _, lots in levels]
    matches = sum(row["match_flag"] == "Y" for row in parsed)
    assert len(rows[RowType.TRADE]) == matches


@pytest.mark.parametrize(
    ("name", "count", "instrument"),
    [("btc_perp_1m_20211231_20220201", 45_031, "BTC-PERP.XXXX"), ("6EH4_1m_202401", 29_996, "6EH4.XXXX")],
)
def test_every_minute_bar_is_received_at_its_end(name: str, count: int, instrument: str) -> None:
    source = recording(f"minute/{name}.csv.gz")
    bars = read(source)[RowType.BAR]
    assert len(bars) == count
    assert bars.instruments == (instrument,)
    assert set(bars.columns["interval_s"].tolist()) == {60}
    np.testing.assert_array_equal(bars.ts_recv, bars.columns["ts_open"] + 60_000_000_000)
    assert not source.report.reasons
