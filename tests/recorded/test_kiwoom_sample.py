"""The captured page of Kiwoom's minute chart against values written by hand."""

import os
from pathlib import Path

import pytest

from producers.recordings import open_recording
from producers.venues.bars import Bar
from producers.venues.kiwoom.client import parse_page

DATA = Path(os.environ.get("TAPEWATCH_TEST_DATA", ""))
PAGE = DATA / "samples" / "kiwoom_ka10080_20250917.json"
pytestmark = pytest.mark.skipif(not PAGE.is_file(), reason="TAPEWATCH_TEST_DATA names no folder with the samples")

OPENED = 1_758_082_800_000_000_000
"""2025-09-17 13:20:00 in Seoul, 04:20:00 UTC."""


def test_page_holds_the_one_bar_without_signs() -> None:
    page = parse_page(PAGE.read_bytes())
    assert page.code == "005930"
    assert page.bars == (Bar(OPENED, 78850.0, 78900.0, 78800.0, 78800.0, 7913.0),)
    assert (page.refused, page.repeated) == ((), 0)


def test_page_replays_as_a_recording() -> None:
    source = open_recording([PAGE])
    (rows,) = [part for chunk in source.chunks() for part in chunk.rows]
    assert rows.instruments == ("005930.XKRX",)
    found = {name: rows.columns[name].tolist() for name in ("ts_open", "ts_recv", "interval_s", "close", "trades")}
    assert found == {
        "ts_open": [OPENED],
        "ts_recv": [OPENED + 60_000_000_000],
        "interval_s": [60],
        "close": [78800.0],
        "trades": [0],
    }
