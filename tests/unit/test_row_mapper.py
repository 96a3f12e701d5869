"""Map files: records of tables, topics and files as rows of the contract."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from producers.base.collector import Collector
from producers.base.row_mapper import RowError, RowMap, RowMapper, checked, read_map
from tapewatch.clock import NANOS
from tapewatch.errors import TapewatchError

KOREA = RowMap(preset="opt10080", instrument_column="종목코드", instrument_form="{}.XKRX")
RECORD = {
    "종목코드": "005930",
    "체결시간": "20250917132000",
    "시가": "-78850",
    "고가": "-78900",
    "저가": "--78800",
    "현재가": "-78800",
    "거래량": "7913",
}
TRADE = RowMap(
    type="trade",
    instrument="A.XNAS",
    columns={"time": "t", "price": "p", "qty": "q", "aggressor_side": "s", "trade_id": "id"},
    timezone="America/New_York",
)


def utc(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * NANOS


def test_opt10080_row_becomes_a_bar_without_signs_that_begins_at_its_time_in_seoul() -> None:
    collector = Collector()
    RowMapper(KOREA).add(collector, RECORD, 5)
    code = collector.code("005930.XKRX")
    end, begin = utc("2025-09-17T04:21:00"), utc("2025-09-17T04:20:00")
    assert collector.bars == [(code, end, 5, begin, 60, 78850.0, 78900.0, 78800.0, 78800.0, 7913.0, 0)]


def test_map_goes_before_its_preset() -> None:
    changed = checked(RowMap(preset="ka10080", instrument="A.XKRX", columns={"time": "when"}, timezone="UTC"))
    assert changed.columns["time"] == "when"
    assert changed.columns["close"] == "cur_prc"
    assert changed.timezone == "UTC"


def test_time_may_be_a_bars_end() -> None:
    mapper = RowMapper(RowMap(preset="opt10080", instrument="A.XKRX", ends=True))
    assert mapper.event_time(RECORD) == utc("2025-09-17T04:20:00")


@pytest.mark.parametrize(
    "value",
    [
        datetime(2026, 3, 9, 9, 30),  # noqa: DTZ001 - as a database without time zones gives it
        datetime(2026, 3, 9, 13, 30, tzinfo=UTC),
        datetime(2026, 3, 9, 22, 30, tzinfo=timezone(timedelta(hours=9))),
        "2026-03-09 09:30:00",
        "2026-03-09T13:30:00Z",
        1773063000,
        "1773063000000",
    ],
)
def test_times_of_drivers_and_texts_become_utc(value: Any) -> None:
    assert RowMapper(TRADE).event_time({"t": value}) == utc("2026-03-09T13:30:00")


def test_date_and_time_may_stand_apart() -> None:
    mapper = RowMapper(RowMap(preset="opt10080", instrument="A.XKRX", columns={"time": "d"}, time_more="t", ends=True))
    assert mapper.event_time({"d": "2025-09-17", "t": "13:20:00"}) == utc("2025-09-17T04:20:00")


def test_trade_takes_decimals_and_named_sides() -> None:
    collector = Collector()
    record = {"t": "2026-03-09 09:30:00", "p": Decimal("230.490"), "q": 5, "s": "S", "id": 77}
    RowMapper(TRADE).add(collector, record, 5)
    assert collector.trades == [(1, utc("2026-03-09T13:30:00"), 5, 230.49, 5.0, -1, 0, "77")]


def test_quote_without_last_price_has_none() -> None:
    collector = Collector()
    names = {"time": "t", "bid_price": "b", "bid_qty": "bq", "ask_price": "a", "ask_qty": "aq"}
    record = {"t": 1773063000, "b": 1.5, "bq": 10, "a": "1.6", "aq": 0}
    RowMapper(RowMap(type="quote", instrument="A.XNAS", columns=names)).add(collector, record, 5)
    assert collector.quotes[0][3:7] == (1.5, 10.0, 1.6, 0.0)
    assert collector.quotes[0][7] != collector.quotes[0][7]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"현재가": None}, "null_value"),
        ({"체결시간": "noon"}, "malformed_time"),
        ({"체결시간": datetime(1970, 1, 1, tzinfo=UTC)}, "malformed_time"),
        ({"종목코드": "삼성"}, "malformed_instrument"),
        ({"거래량": "much"}, "not_exact_float"),
        ({"시가": Decimal("1.00000000000000000001")}, "not_exact_float"),
        ({"시가": float("nan")}, "not_exact_float"),
        ({"고가": "1"}, "bad_bar"),
    ],
)
def test_record_that_is_no_row_says_why_and_adds_nothing(change: dict[str, Any], reason: str) -> None:
    collector = Collector()
    with pytest.raises(RowError) as caught:
        RowMapper(KOREA).add(collector, {**RECORD, **change}, 5)
    assert caught.value.reason == reason
    assert collector.waiting == 0


def test_unknown_side_and_bad_numbers_of_a_trade_are_refused() -> None:
    record = {"t": 1773063000, "p": 1, "q": 1, "s": "B", "id": 1}
    for change, reason in (({"s": "X"}, "unknown_code"), ({"p": 0}, "price_not_positive"), ({"q": -1}, "bad_quantity")):
        with pytest.raises(RowError) as caught:
            RowMapper(TRADE).add(Collector(), {**record, **change}, 5)
        assert caught.value.reason == reason


def test_column_that_is_not_there_is_named_with_the_one_that_may_be_meant() -> None:
    with pytest.raises(TapewatchError) as caught:
        RowMapper(TRADE).require(["t", "p", "qq", "s", "id"])
    assert "'q'" in caught.value.message
    assert "'qq'" in caught.value.hint


@pytest.mark.parametrize(
    ("row_map", "words"),
    [
        (RowMap(instrument="A.XNAS"), "no column for time, open"),
        (RowMap(preset="opt10080"), "names no instrument"),
        (RowMap(preset="opt10080", instrument="A.XKRX", instrument_column="c"), "names no instrument, or two"),
        (RowMap(preset="opt10080", instrument="x"), "not an instrument id"),
        (RowMap(preset="other", instrument="A.XKRX"), "no preset"),
        (RowMap(preset="opt10080", instrument="A.XKRX", columns={"price": "p"}), "has no column price"),
        (RowMap(preset="opt10080", instrument="A.XKRX", timezone="Seoul"), "no time zone"),
        (RowMap(preset="opt10080", instrument_column="c", instrument_form="X"), "needs one"),
    ],
)
def test_map_that_says_too_little_or_too_much_is_refused(row_map: RowMap, words: str) -> None:
    with pytest.raises(TapewatchError, match=words):
        RowMapper(row_map)


def test_map_file_with_an_unknown_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "map.toml"
    path.write_text('type = "bar"\nsurprise = 1\n')
    with pytest.raises(TapewatchError, match="surprise"):
        read_map(path, RowMap)
    path.write_text("type = ")
    with pytest.raises(TapewatchError, match="not valid TOML"):
        read_map(path, RowMap)
    with pytest.raises(TapewatchError, match="cannot read"):
        read_map(tmp_path / "none.toml", RowMap)
