"""Kiwoom's minute chart: signs, order, names of columns, times of Seoul, refused rows and failures."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from producers.recordings.kiwoom_minutes import KOREAN, REST, RowError, bar_of, names_among, opened_at, unsigned
from producers.venues.bars import Bar
from producers.venues.kiwoom.client import PageError, parse_page
from tapewatch.clock import NANOS


def utc(text: str) -> int:
    """UTC nanoseconds of a UTC time."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * NANOS


def row(time: str = "20250917132000", **more: str) -> dict[str, str]:
    values = {"cur_prc": "-78800", "open_pric": "-78850", "high_pric": "-78900", "low_pric": "-78800"}
    return {**values, "trde_qty": "7913", "cntr_tm": time, **more}


def page(*rows: dict[str, str], **more: Any) -> bytes:
    return json.dumps({"stk_cd": "005930", "stk_min_pole_chart_qry": list(rows), **more}).encode()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("-78800", 78800.0),
        ("--30433", 30433.0),
        ("+1,234", 1234.0),
        (" 78800 ", 78800.0),
        ("0.5", 0.5),
        (-78800, 78800.0),
    ],
)
def test_direction_signs_are_taken_off(text: Any, value: float) -> None:
    assert unsigned(text) == value


@pytest.mark.parametrize("text", ["", "-", "7e", "nan", "7 8", "1.00000000000000000001"])
def test_what_is_no_exact_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        unsigned(text)


def test_row_becomes_the_bar_that_begins_at_its_time_in_seoul() -> None:
    assert bar_of(row(), REST) == Bar(utc("2025-09-17T04:20:00"), 78850.0, 78900.0, 78800.0, 78800.0, 7913.0)
    assert opened_at("202509171320") == opened_at("20250917132000")
    assert opened_at("132000") == 0
    assert opened_at("20250230132000") == 0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"cur_prc": ""}, "missing_column"),
        ({"cntr_tm": "13:20"}, "malformed_time"),
        ({"trde_qty": "many"}, "not_exact_float"),
        ({"high_pric": "-78000"}, "bad_bar"),
        ({"low_pric": "0"}, "bad_bar"),
    ],
)
def test_row_that_is_no_bar_says_why(change: dict[str, str], reason: str) -> None:
    with pytest.raises(RowError) as caught:
        bar_of({**row(), **change}, REST)
    assert caught.value.reason == reason


def test_korean_names_of_opt10080_are_known() -> None:
    columns = ["현재가", "거래량", "체결시간", "시가", "고가", "저가", "수정주가구분"]
    assert names_among(columns) == KOREAN
    assert names_among(["price"]) is None


def test_page_comes_oldest_first_and_each_time_once() -> None:
    found = parse_page(page(row("20250917132100"), row("20250917132000"), row("20250917132000", trde_qty="1")))
    assert [bar.opened for bar in found.bars] == [utc("2025-09-17T04:20:00"), utc("2025-09-17T04:21:00")]
    assert found.bars[0].volume == 7913.0
    assert (found.code, found.repeated, found.refused) == ("005930", 1, ())


def test_bad_row_of_a_page_is_refused_and_the_others_stay() -> None:
    found = parse_page(page(row("20250917132100"), row(cur_prc="x")))
    assert len(found.bars) == 1
    (refused,) = found.refused
    assert refused[0] == "not_exact_float"
    assert b'"cur_prc":"x"' in refused[1]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"<html></html>", "not_json"),
        (b'{"stk_min_pole_chart_qry": {}}', "malformed_page"),
        (b'{"return_code":3,"return_msg":"[8005:Token]"}', "token_expired"),
        (b'{"return_code":5,"return_msg":"[1700:limit]"}', "rate_limited"),
        (b'{"return_code":2,"return_msg":"[1511:input]"}', "venue_error"),
    ],
)
def test_body_without_a_page_says_why(body: bytes, reason: str) -> None:
    with pytest.raises(PageError) as caught:
        parse_page(body)
    assert caught.value.reason == reason
