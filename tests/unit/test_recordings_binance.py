"""Binance recordings: the book by the exchange's rules, and every line accounted for."""

import gzip
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from producers.recordings import Recording, open_recording
from tapewatch.contract.rows import Rows, RowType, StatusKind
from tapewatch.errors import TapewatchError
from tests.unit.binance_lines import START, diff, line, snapshot, ticker, trade


def write(path: Path, lines: Iterable[bytes]) -> Path:
    path.write_bytes(gzip.compress(b"\n".join(lines) + b"\n"))
    return path


def recording(tmp_path: Path, *messages: dict[str, Any]) -> Recording:
    return open_recording([write(tmp_path / "market.gz", [line(i, message) for i, message in enumerate(messages)])])


def read(source: Recording, row_type: RowType) -> list[dict[str, Any]]:
    """Every row of the type as a dictionary of Python values."""
    parts: list[Rows] = [rows for chunk in source.chunks() for rows in chunk.rows if rows.type is row_type]
    return [
        {name: values[index] for name, values in part.columns.items()} for part in parts for index in range(len(part))
    ]


def test_waiting_diffs_newer_than_the_snapshot_are_applied_when_it_comes(tmp_path: Path) -> None:
    source = recording(
        tmp_path,
        diff(1, 5, [["98", "1"]], []),
        diff(6, 10, [["99", "3"]], [["101", "0"]]),
        snapshot(7, [["99", "1"]], [["101", "1"], ["102", "4"]]),
        diff(11, 12, [], [["100.5", "7"]]),
    )
    books = read(source, RowType.BOOK)
    assert [int(book["sequence"]) for book in books] == [7, 10, 12]
    assert [int(book["ts_recv"]) for book in books] == [START + 2_000_000, START + 2_000_000, START + 3_000_000]
    assert [books[1]["bid_price"][0], books[1]["bid_qty"][0], books[1]["ask_price"][0]] == [99, 3, 102]
    assert books[2]["ask_price"][:2].tolist() == [100.5, 102]
    assert math.isnan(books[2]["ask_price"][2])
    assert source.report.reasons == {"before_snapshot": 1}
    assert source.report.refused[0].line == 1


def test_gap_empties_the_book_until_the_next_snapshot(tmp_path: Path) -> None:
    source = recording(
        tmp_path,
        snapshot(5, [["99", "1"]], [["101", "1"]]),
        diff(7, 8, [["98", "1"]], []),
        diff(9, 9, [["97", "1"]], []),
        diff(10, 12, [["89", "1"]], []),
        snapshot(9, [["90", "1"]], [["91", "1"]]),
        diff(20, 21, [], []),
    )
    status = read(source, RowType.STATUS)
    kinds = [StatusKind(int(row["kind"])) for row in status]
    assert kinds == [StatusKind.GAP, StatusKind.RESYNC, StatusKind.GAP]
    assert status[0]["detail"] == "update 7 after 5"
    books = read(source, RowType.BOOK)
    assert [int(book["sequence"]) for book in books] == [5, 9, 12]
    assert books[2]["bid_price"][:2].tolist() == [90, 89]
    assert source.report.reasons == {"gap": 3}


def test_diff_already_in_the_book_is_refused_as_stale(tmp_path: Path) -> None:
    source = recording(tmp_path, snapshot(5, [], []), diff(6, 6, [["9", "1"]], []), diff(4, 6, [["9", "5"]], []))
    assert read(source, RowType.BOOK)[-1]["bid_qty"][0] == 1
    assert source.report.reasons == {"stale_diff": 1}


def test_snapshot_older_than_the_oldest_waiting_diff_is_refused(tmp_path: Path) -> None:
    source = recording(tmp_path, diff(10, 11, [], []), snapshot(8, [], []), snapshot(9, [["1", "1"]], []))
    assert [int(book["sequence"]) for book in read(source, RowType.BOOK)] == [9, 11]
    assert source.report.reasons == {"stale_snapshot": 1}


def test_futures_chain_is_checked_by_the_previous_event_s_id(tmp_path: Path) -> None:
    source = recording(
        tmp_path,
        snapshot(100, [["99", "1"]], [["101", "1"]]),
        diff(90, 110, [["99", "2"]], [], pu=80, T=1723161254005),
        diff(150, 160, [["99", "3"]], [], pu=110),
        diff(161, 170, [["99", "4"]], [], pu=159),
    )
    books = read(source, RowType.BOOK)
    assert [instrument.id for instrument in source.instruments] == ["BTCUSDT-PERP.BINANCE"]
    assert [int(book["sequence"]) for book in books] == [100, 110, 160]
    assert int(books[1]["ts_event"]) == 1_723_161_254_005_000_000
    assert [int(row["kind"]) for row in read(source, RowType.STATUS)] == [StatusKind.GAP]


def test_quote_carries_last_price_and_traded_volume(tmp_path: Path) -> None:
    source = recording(
        tmp_path, ticker(), trade(1, "100.10000000", "0.1"), trade(2, "100.2", "0.2", m=False), ticker(ask="102")
    )
    quotes = read(source, RowType.QUOTE)
    assert math.isnan(quotes[0]["last_price"])
    assert (quotes[0]["volume"], quotes[1]["last_price"], quotes[1]["volume"]) == (0, 100.2, 0.3)
    assert quotes[1]["ts_event"] == quotes[1]["ts_recv"]
    trades = read(source, RowType.TRADE)
    assert [(row["aggressor_side"], row["trade_id"]) for row in trades] == [(-1, "1"), (1, "2")]
    assert int(trades[0]["ts_event"]) == 1_723_161_254_000_000_000


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"no line at all", "malformed_line"),
        (b"17231612540000000x0 {}", "malformed_line"),
        (b"1723161254000000000 {broken", "malformed_json"),
        (b'1723161254000000000 {"x":' + b"[" * 100_000, "malformed_json"),
        (b'1723161254000000000 {"result":null,"id":1}', "unsupported_record"),
        (line(0, trade(1, "100.12345678901234567", "1")), "not_exact_float"),
        (line(0, trade(1, "nan", "1")), "not_exact_float"),
        (line(0, trade(1, "1", "1", T=10**18)), "malformed_record"),
        (line(0, trade(1, "1", "1", s="ETHUSDT")), "other_symbol"),
        (line(0, diff(1, 2**70, [], [])), "malformed_record"),
        (line(0, {"stream": "btcusdt@aggTrade", "data": {"a": 1}}), "unsupported_record"),
    ],
)
def test_bad_line_is_refused_with_its_reason_and_text(tmp_path: Path, text: bytes, reason: str) -> None:
    source = open_recording([write(tmp_path / "market.gz", [line(0, ticker()), text, line(1, ticker())])])
    assert len(read(source, RowType.QUOTE)) == 2
    assert source.report.reasons == {reason: 1}
    (refusal,) = source.report.refused
    assert (refusal.file, refusal.line, refusal.raw) == ("market.gz", 2, text[:65_536])


def test_futures_trade_that_is_no_market_trade_is_refused(tmp_path: Path) -> None:
    source = recording(tmp_path, ticker(e="bookTicker", T=1723161254000), trade(1, "0", "0", X="NA"))
    assert not read(source, RowType.TRADE)
    assert source.report.reasons == {"not_market_trade": 1}


def test_receipt_time_never_steps_back(tmp_path: Path) -> None:
    path = write(tmp_path / "market.gz", [line(5, ticker()), line(3, ticker()), line(6, ticker())])
    source = open_recording([path])
    assert [int(row["ts_recv"]) - START for row in read(source, RowType.QUOTE)] == [5_000_000, 5_000_000, 6_000_000]
    assert source.report.stepped_back == 1


def test_book_goes_on_over_the_end_of_a_file_whatever_order_they_are_given_in(tmp_path: Path) -> None:
    early = write(tmp_path / "a.gz", [line(0, ticker()), line(1, snapshot(5, [["99", "1"]], [["101", "1"]]))])
    late = write(tmp_path / "b.gz", [line(2, diff(6, 7, [["98", "2"]], []))])
    source = open_recording([late, early])
    assert read(source, RowType.BOOK)[-1]["bid_price"][:2].tolist() == [99, 98]


def test_truncated_gzip_gives_what_it_still_holds(tmp_path: Path) -> None:
    whole = gzip.compress(b"\n".join(line(place, trade(place, str(place + 1), "1")) for place in range(5_000)))
    (tmp_path / "cut.gz").write_bytes(whole[: len(whole) // 2])
    source = open_recording([tmp_path / "cut.gz"])
    assert len(read(source, RowType.TRADE)) > 1_000
    assert source.report.reasons["truncated_file"] == 1


def test_recording_without_a_symbol_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(TapewatchError, match="names no symbol"):
        open_recording([write(tmp_path / "market.gz", [line(0, snapshot(1, [], []))])])
