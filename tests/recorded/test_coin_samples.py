"""Captured messages of Upbit, Coinbase and Kraken through the live decoders, against expectations written by hand."""

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

from producers.base.collector import Collector
from producers.venues.coinbase.decoder import CoinbaseDecoder
from producers.venues.kraken.decoder import KrakenDecoder
from producers.venues.upbit.decoder import UpbitDecoder
from tapewatch.contract.rows import StatusKind
from tapewatch.rfc3339 import from_rfc3339

DATA = Path(os.environ.get("TAPEWATCH_TEST_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"no recorded data at {DATA}; set TAPEWATCH_TEST_DATA")


def sample(name: str) -> bytes:
    return (DATA / "samples" / name).read_bytes()


def present(row: tuple[Any, ...], at: int) -> list[float]:
    return [value for value in row[at] if value == value]


def sides(row: tuple[Any, ...]) -> list[list[float]]:
    return [present(row, at) for at in (4, 5, 6, 7)]


def test_upbit_frames() -> None:
    made = UpbitDecoder(Collector(), ["KRW-BTC"])
    orderbook, bought, _ = sample("upbit_ws.jsonl").splitlines()
    received = 1_790_134_742_206_000_000
    made.message(orderbook, received)
    (row,) = made.collector.books
    assert row[1:4] == (1_790_134_742_106_000_000, received, 1_790_134_742_106)
    assert sides(row) == [
        [116538000.0, 116537000.0],
        [0.08120946, 0.01129382],
        [116539000.0, 116542000.0],
        [0.02054761, 0.0007772],
    ]
    assert made.collector.quotes[0][3:7] == (116538000.0, 0.08120946, 116539000.0, 0.02054761)
    made.message(bought, 1_621_697_845_000_000_000)
    assert made.collector.trades == [
        (1, 1_621_697_844_000_000_000, 1_621_697_845_000_000_000, 46769000.0, 0.00185096, 1, 0, "1621697844000001")
    ]


def test_upbit_last_trade_of_a_subscription() -> None:
    made = UpbitDecoder(Collector(), ["KRW-BTC"])
    made.message(sample("upbit_ws.jsonl").splitlines()[2], 1_650_787_279_000_000_000)
    assert made.collector.trades == []
    assert made.collector.dropped == {"snapshot_trade": 1}


def test_coinbase_book_and_trades() -> None:
    made = CoinbaseDecoder(Collector(), ["BTC-USD"])
    received = from_rfc3339("2026-04-07T14:30:03Z")
    made.message(sample("coinbase_ws_l2_data_snapshot.json"), received)
    made.message(sample("coinbase_ws_l2_data_update.json"), received)
    first, second = made.collector.books
    assert first[1] == from_rfc3339("2026-04-07T14:30:00.123456Z")
    assert sides(first) == [[68900.0, 68899.5, 68899.0], [1.5, 0.75, 2.3], [68901.0, 68901.5, 68902.0], [0.5, 1.2, 0.8]]
    assert second[1] == from_rfc3339("2026-04-07T14:30:01.456789Z")
    assert sides(second) == [[68900.0, 68899.5, 68899.0], [2.0, 0.75, 2.3], [68901.5, 68902.0], [1.2, 0.8]]
    # The sample of trades carries number 5: numbers 2 to 4 are missing, and the decoder says so.
    made.message(sample("coinbase_ws_market_trades.json"), received)
    assert [row[1:] for row in made.collector.trades] == [
        (from_rfc3339("2026-04-07T14:30:02.789012Z"), received, 68900.5, 0.0015, -1, 0, "995098700"),
        (from_rfc3339("2026-04-07T14:30:02.8Z"), received, 68900.0, 0.05, 1, 0, "995098701"),
    ]
    assert [(row[3], row[4]) for row in made.collector.statuses] == [(StatusKind.GAP, "3 messages missing")]


def test_kraken_book_whose_checksums_belong_to_another_pair_is_refused() -> None:
    made = KrakenDecoder(Collector(), ["BTC/USD"])
    received = from_rfc3339("2023-10-06T17:35:56Z")
    made.message(sample("kraken_ws_book_snapshot.json"), received)
    made.message(sample("kraken_ws_book_update.json"), received)
    assert made.collector.books == []
    assert made.collector.violations == {"checksum": 1}
    assert made.collector.refused == {"checksum": 1} and made.collector.dropped == {"before_snapshot": 1}


def test_kraken_book_with_checksums_of_its_own() -> None:
    made = KrakenDecoder(Collector(), ["BTC/USD"])
    received = from_rfc3339("2023-10-06T17:35:56Z")
    snapshot = sample("kraken_ws_book_snapshot.json").replace(b"2439117997", b"1302676013")
    made.message(snapshot, received)
    # The digits of the updated book at two and three decimals, hashed by hand.
    made.message(sample("kraken_ws_book_update.json").replace(b"2114181697", b"3213632598"), received)
    first, second = made.collector.books
    assert sides(first) == [
        [105944.2, 105935.4, 105920.1],
        [0.136, 0.024, 0.052],
        [105944.3, 105946.9, 105955.8],
        [0.136, 0.095, 0.003],
    ]
    assert second[1] == from_rfc3339("2023-10-06T17:35:55.440295Z")
    assert sides(second)[1] == [0.25, 0.024, 0.052]


def test_kraken_trades() -> None:
    made = KrakenDecoder(Collector(), ["BTC/USD"])
    received = from_rfc3339("2023-10-06T17:35:57Z")
    made.message(sample("kraken_ws_trade_update.json"), received)
    assert [row[1:] for row in made.collector.trades] == [
        (from_rfc3339("2023-10-06T17:35:55.440295Z"), received, 105944.2, 0.00027625, 1, 0, "10218208"),
        (from_rfc3339("2023-10-06T17:35:56.123456Z"), received, 105910.5, 0.0001246, -1, 0, "10218209"),
    ]


def test_every_line_of_the_coinbase_recording_is_a_book_or_leaves_the_ten_best_levels_alone() -> None:
    made = CoinbaseDecoder(Collector(), ["BTC-USD", "ETH-USD"])
    lines = gzip.decompress((DATA / "coinbase" / "coinbase_l2_btc_eth_20220713.jsonl.gz").read_bytes()).splitlines()
    received = from_rfc3339("2022-07-13T18:58:53Z")
    plain: dict[str, dict[str, dict[float, float]]] = {}
    for line in lines:
        made.message(line, received)
        apply(plain, json.loads(line))
    counted = made.collector
    assert counted.messages == {"book": 16} and counted.refused == {} and counted.statuses == []
    assert made.given["book"] + counted.dropped["unchanged_book"] == 16
    for code, product in ((1, "BTC-USD"), (2, "ETH-USD")):
        row = [row for row in counted.books if row[0] == code][-1]
        bids = sorted(plain[product]["buy"].items(), reverse=True)[:10]
        asks = sorted(plain[product]["sell"].items())[:10]
        assert sides(row) == [list(column) for column in (*zip(*bids, strict=True), *zip(*asks, strict=True))]


def apply(books: dict[str, dict[str, dict[float, float]]], line: dict[str, Any]) -> None:
    """The level2 rules once more, as plainly as they can be written."""
    if line["type"] == "snapshot":
        books[line["product_id"]] = {
            side: {float(price): float(size) for price, size in line[name]}
            for side, name in (("buy", "bids"), ("sell", "asks"))
        }
        return
    for side, price, size in line["changes"]:
        levels = books[line["product_id"]][side]
        levels[float(price)] = float(size)
        if float(size) == 0.0:
            del levels[float(price)]
