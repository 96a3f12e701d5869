"""Captured answers of MIS, through the live decoder: rows against expectations written by hand."""

import asyncio
import math
import os
from pathlib import Path

import pytest

from producers.base.collector import Collector
from producers.base.decoder import DecoderRequest
from producers.simulators.twse import RecordedMis
from producers.venues.twse.decoder import TaiwanDecoder
from producers.venues.twse.mis import instruments_of
from producers.venues.twse.reports import local_ns
from tapewatch.contract.frames import encode
from tapewatch.contract.rows import RowType
from tests.integration.taiwan_run import taiwan

DATA = Path(os.environ.get("TAPEWATCH_TEST_DATA", "/nonexistent")) / "samples"

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="recordings absent: set TAPEWATCH_TEST_DATA")


def decoded(body: bytes, *instruments: str, received: int) -> TaiwanDecoder:
    """A decoder after one answer."""
    decoder = TaiwanDecoder(Collector())
    decoder.watch(instruments)
    decoder.opened(["batch"], received)
    decoder.answer(DecoderRequest("mis", "batch"), body, received)
    collector = decoder.collector
    ended = decoder.given.total() + collector.dropped.total() + collector.refused.total()
    assert collector.messages.total() == ended
    return decoder


def test_close_of_29_december_2025_as_seen_right_after_it() -> None:
    body = (DATA / "twse_mis_2330_20251229.json").read_bytes()
    close = local_ns("20251229", "13:30:00")
    received = local_ns("20251229", "13:30:03")
    collector = decoded(body, "2330.XTAI", received=received).collector
    (quote,) = collector.quotes
    assert quote[1:] == (close, received, 1525.0, 493_000.0, 1530.0, 3_056_000.0, 1530.0, 20_920_000.0)
    (book,) = collector.books
    assert book[1:4] == (close, received, 1_766_989_800_000)
    assert book[4][:5] == [1525.0, 1520.0, 1515.0, 1510.0, 1505.0]
    assert book[5][:5] == [493_000.0, 1_686_000.0, 1_283_000.0, 1_393_000.0, 1_419_000.0]
    assert book[6][:5] == [1530.0, 1535.0, 1540.0, 1545.0, 1550.0]
    assert book[7][:5] == [3_056_000.0, 2_072_000.0, 1_747_000.0, 1_077_000.0, 2_264_000.0]
    assert not collector.statuses
    for rows in collector.take():
        assert rows.type in (RowType.QUOTE, RowType.BOOK) and encode(rows)


def test_same_answer_hours_later_gives_no_row() -> None:
    body = (DATA / "twse_mis_2330_20251229.json").read_bytes()
    collector = decoded(body, "2330.XTAI", received=local_ns("20251229", "16:14:06")).collector
    assert not collector.quotes and collector.dropped == {"after_close": 1}


def test_limit_up_has_no_ask_and_the_counter_market_is_read_beside_the_exchange() -> None:
    body = (DATA / "twse_mis_2330_limitup_6547_20260731.json").read_bytes()
    close, received = local_ns("20260731", "13:30:00"), local_ns("20260731", "13:30:05")
    collector = decoded(body, "2330.XTAI", "6547.ROCO", received=received).collector
    limit_up, vaccine = collector.quotes
    assert limit_up[1:5] == (close, received, 2425.0, 1_989_000.0)
    assert math.isnan(limit_up[5]) and limit_up[6:] == (0.0, 2425.0, 56_896_000.0)
    assert vaccine[1:] == (close, received, 45.75, 5_000.0, 45.8, 3_000.0, 45.8, 1_584_000.0)
    full, counter = collector.books
    assert full[4][:5] == [2425.0, 2420.0, 2415.0, 2410.0, 2405.0] and all(math.isnan(price) for price in full[6])
    assert counter[6][:5] == [45.8, 45.85, 45.9, 45.95, 46.0]
    assert counter[7][:5] == [3_000.0, 3_000.0, 3_000.0, 8_000.0, 9_000.0]


def test_reference_data_of_the_samples() -> None:
    share, vaccine = instruments_of((DATA / "twse_mis_2330_limitup_6547_20260731.json").read_bytes())
    assert (share.id, share.name, share.price_limit, share.lot) == ("2330.XTAI", "台積電", 0.1, 1000.0)
    assert (vaccine.id, vaccine.name, vaccine.currency) == ("6547.ROCO", "高端疫苗", "TWD")


def test_unknown_symbol_and_empty_query_are_refused() -> None:
    unknown, empty = (DATA / "twse_mis_errors.jsonl").read_bytes().splitlines()
    received = local_ns("20181122", "13:25:20")
    assert decoded(unknown, "2330.XTAI", received=received).collector.refused == {"unknown_symbol": 1}
    assert decoded(empty, "2330.XTAI", received=received).collector.refused == {"rtcode_5001": 1}


def test_samples_go_through_the_live_connector() -> None:
    recorded = RecordedMis([(DATA / "twse_mis_2330_limitup_6547_20260731.json").read_bytes()])

    async def work() -> list[tuple[object, ...]]:
        async with taiwan(recorded.channels, recorded=recorded, asked=["2330.XTAI", "6547.ROCO"]) as run:
            await run.until(lambda: len(run.rows(RowType.QUOTE)) >= 2)
            return run.rows(RowType.QUOTE, "bid_price", "bid_qty", "last_price", "volume")

    quotes = asyncio.run(work())
    assert ("2330.XTAI", 2425.0, 1_989_000.0, 2425.0, 56_896_000.0) in quotes
    assert ("6547.ROCO", 45.75, 5_000.0, 45.8, 1_584_000.0) in quotes
