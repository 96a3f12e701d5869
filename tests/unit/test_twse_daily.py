"""Daily reports as factors: ROC dates, JSON and CSV in all their shapes, publication times, and what gives no value."""

import json
from datetime import date

import pytest

from producers.base.collector import Collector
from producers.venues.twse.daily import DailyDecoder, State
from producers.venues.twse.reports import (
    INSTITUTIONS,
    MARGIN,
    PRICES,
    STOCK_DAY,
    STOCK_DAY_ALL,
    Report,
    any_date,
    at,
    roc_date,
    roc_text,
)
from producers.venues.twse.tables import read_document
from tapewatch.contract.messages import Factor, decode, encode
from tapewatch.rfc3339 import to_rfc3339
from tests.unit import taiwan_reports as reports

DAY = date(2023, 1, 3)
EVENING = at(DAY, "22:00")


def decoder(*instruments: str) -> DailyDecoder:
    """A decoder of nothing so far."""
    return DailyDecoder(Collector(), instruments)


def read(report: Report, body: bytes, received: int = EVENING) -> dict[tuple[str, str], float]:
    """Values by instrument and series; everything is accounted for."""
    reader = decoder()
    found = reader.read(report, DAY, body, received)
    assert found.state is State.OUT
    accounted(reader)
    return {(factor.instrument, factor.series): factor.value for factor in found.factors}


def accounted(reader: DailyDecoder) -> None:
    """Every message ended as given, dropped or refused."""
    collector = reader.collector
    ended = reader.given.total() + collector.dropped.total() + collector.refused.total()
    assert collector.messages.total() == ended


@pytest.mark.parametrize("text", ["112/01/03", "112/1/3", " 112/01/03*", "112年01月03日", "112年1月3日", "1120103"])
def test_roc_dates_count_from_1912(text: str) -> None:
    assert roc_date(text) == DAY


def test_dates_before_the_year_100_and_western_ones_are_read_too() -> None:
    assert roc_date("99/12/31") == date(2010, 12, 31) and roc_text(date(2010, 12, 31)) == "99/12/31"
    assert any_date("20230103") == any_date("2023/01/03") == any_date("2023-01-03") == DAY


@pytest.mark.parametrize("text", ["", "112/13/01", "112/02/30", "2023", "soon"])
def test_what_is_no_date_is_not_read(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        any_date(text)


def test_market_day_gives_seven_values_an_instrument() -> None:
    values = read(PRICES, reports.prices())
    assert {name: value for (code, name), value in values.items() if code == "2330.XTAI"} == {
        "open": 1000.0,
        "high": 1010.0,
        "low": 995.0,
        "close": 1005.0,
        "volume": 34_567_890.0,
        "turnover": 34_500_000_123.0,
        "trades": 45_678.0,
    }
    assert ("9110.XTAI", "close") not in values and values["9110.XTAI", "volume"] == 0.0


def test_older_numbered_tables_are_the_same() -> None:
    old = {"stat": "OK", "date": "20230103", "fields9": reports.PRICE_FIELDS, "data9": [reports.TSMC]}
    old |= {"subtitle9": "112年01月03日 每日收盤行情", "fields1": ["指數"], "data1": [["x"]]}
    assert read(PRICES, json.dumps(old).encode())["2330.XTAI", "close"] == 1005.0


def test_big5_csv_with_formula_codes_and_footers_is_the_same() -> None:
    fund = ["0050", "元大台灣50", "1,000", "10", "110,000", "110.00", "110.50", "109.50", "110.05", "+", "0.05"]
    body = reports.csv_text(
        "112年01月03日 每日收盤行情(全部)", reports.PRICE_FIELDS, [fund, reports.TSMC, reports.QUIET]
    )
    values = read(PRICES, body)
    assert values["0050.XTAI", "close"] == 110.05 and values["2330.XTAI", "volume"] == 34_567_890.0
    assert len({code for code, _ in values}) == 3


def test_institutions_net_buying_is_signed_shares() -> None:
    for body in (
        reports.flat(reports.T86_FIELDS, [reports.T86_TSMC]),
        reports.csv_text("112年01月03日 三大法人買賣超日報", reports.T86_FIELDS, [reports.T86_TSMC]),
    ):
        values = read(INSTITUTIONS, body)
        assert values == {
            ("2330.XTAI", "foreign_net_buy"): -5_123_456.0,
            ("2330.XTAI", "foreign_dealer_net_buy"): 0.0,
            ("2330.XTAI", "trust_net_buy"): 200_000.0,
            ("2330.XTAI", "dealer_net_buy"): -7_000.0,
            ("2330.XTAI", "institutions_net_buy"): -4_930_456.0,
        }


def test_margin_lots_become_shares_though_columns_stand_twice() -> None:
    groups = ['"","","融資","","","","","","融券","","","","","","","",']
    for body in (
        reports.margin(),
        reports.csv_text("112年01月03日 融資融券彙總", reports.MARGIN_FIELDS, [reports.MARGIN_TSMC], groups),
    ):
        values = read(MARGIN, body)
        assert {name: value for (code, name), value in values.items() if code} == {
            "margin_buy": 1_200_000.0,
            "margin_sell": 1_100_000.0,
            "margin_balance": 20_050_000.0,
            "short_cover": 10_000.0,
            "short_sell": 30_000.0,
            "short_balance": 520_000.0,
            "margin_short_offset": 7_000.0,
        }
    totals = {name: value for (code, name), value in read(MARGIN, reports.margin()).items() if not code}
    assert totals == {
        "margin_loans": 200_900_000_000.0,
        "margin_balance": 7_005_000_000.0,
        "short_balance": 254_000_000.0,
    }


def test_month_of_one_instrument_has_a_day_a_row() -> None:
    fields = ["日期", "成交股數", "成交金額", "開盤價", "最高價", "最低價", "收盤價", "漲跌價差", "成交筆數"]
    rows = [
        ["112/01/03", "1,000", "448,000", "446.00", "449.50", "444.00", "448.00", "-0.50", "9"],
        ["112/01/04", "2,000", "900,000", "449.00", "455.00", "448.50", "X450.00", "X0.00", "11"],
        ["112/01/05", "3,000", "900,000", "449.00", "455.00", "448.50", "450.00", "0.00", "11"],
        ["合計", "", "", "", "", "", "", "", ""],
    ]
    reader = decoder()
    days = [date(2023, 1, 3), date(2023, 1, 4)]
    received = at(date(2023, 2, 1), "15:00")
    found = reader.read_month(STOCK_DAY, "2330.XTAI", days, reports.flat(fields, rows), received).factors
    closes = {factor.period: factor.value for factor in found if factor.series == "close"}
    assert closes == {"2023-01-03": 448.0}
    assert reader.collector.refused == {"bad_value": 1, "bad_date": 1}
    assert {factor.period: factor.published_at for factor in found}["2023-01-04"] == to_rfc3339(
        at(date(2023, 1, 4), "15:00")
    )
    assert reader.collector.dropped == {"other_day": 1}
    accounted(reader)


def test_open_data_list_is_read_by_its_roc_date() -> None:
    body = json.dumps([{"Date": "1120103", "Code": "2330", "Name": "x", "ClosingPrice": "448.00", "Transaction": "9"}])
    assert read(STOCK_DAY_ALL, body.encode()) == {("2330.XTAI", "close"): 448.0, ("2330.XTAI", "trades"): 9.0}


def test_report_of_another_day_is_refused() -> None:
    reader = decoder()
    assert reader.read(PRICES, DAY, reports.prices("20230104"), EVENING).state is State.REFUSED
    assert reader.collector.refused == {"other_day": 1}
    accounted(reader)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"<html>THE PAGE CANNOT BE ACCESSED</html>", "not_json"),
        (b'{"stat":"OK","fields":["x"],"data":[["1"]]}', "no_table"),
        (b'{"stat":"bad selectType"}', "bad_request"),
        (b'{"stat":"OK","fields":{"a":1},"data":[["1"]]}', "malformed"),
        (b"\xff\xff\xff", "not_text"),
        (b"[1, 2]", "malformed"),
    ],
)
def test_report_that_is_none_is_refused(body: bytes, reason: str) -> None:
    reader = decoder()
    assert reader.read(PRICES, DAY, body, EVENING).state is State.REFUSED
    assert reader.collector.refused == {reason: 1}
    accounted(reader)


@pytest.mark.parametrize("body", [reports.NOTHING, b"", b"\r\n", b"[]", b'{"stat":"OK","fields":[],"data":[]}'])
def test_day_without_a_report_is_no_error(body: bytes) -> None:
    reader = decoder()
    assert reader.read(PRICES, DAY, body, EVENING).state is State.ABSENT
    assert reader.collector.dropped == {"no_data": 1} and not reader.collector.refused


@pytest.mark.parametrize(
    ("report", "body", "usual"),
    [
        (PRICES, reports.prices(), "15:00"),
        (INSTITUTIONS, reports.flat(reports.T86_FIELDS, [reports.T86_TSMC]), "16:30"),
        (MARGIN, reports.margin(), "21:00"),
    ],
)
def test_values_are_public_at_the_usual_time_or_when_they_were_seen_before(
    report: Report, body: bytes, usual: str
) -> None:
    for received, expected in ((EVENING, at(DAY, usual)), (at(DAY, "14:10"), at(DAY, "14:10"))):
        found = decoder().read(report, DAY, body, received).factors
        assert found and {factor.published_at for factor in found} == {to_rfc3339(expected)}


def test_report_that_was_late_is_public_when_it_was_first_seen() -> None:
    reader = decoder()
    assert reader.read(PRICES, DAY, reports.NOTHING, at(DAY, "15:10")).state is State.ABSENT
    found = reader.read(PRICES, DAY, reports.prices(), at(DAY, "15:40")).factors
    assert found and found[0].published_at == to_rfc3339(at(DAY, "15:40"))


def test_value_fetched_again_is_the_same_message() -> None:
    first = decoder().read(PRICES, DAY, reports.prices(), EVENING).factors
    again = decoder().read(PRICES, DAY, reports.prices(), EVENING + 86_400_000_000_000).factors
    assert first and again
    assert [factor.id for factor in first] == [factor.id for factor in again]
    assert len({factor.id for factor in first}) == len(first)
    assert decode(Factor, encode(first[0])) == first[0]


def test_only_the_wanted_instruments_are_read() -> None:
    reader = decoder("2330.XTAI")
    found = reader.read(PRICES, DAY, reports.prices(), EVENING).factors
    assert found and {factor.instrument for factor in found} == {"2330.XTAI"}
    assert reader.collector.dropped == {"not_watched": 1}
    accounted(reader)


def test_csv_title_gives_the_day() -> None:
    body = reports.csv_text("112年01月03日 每日收盤行情(全部)", reports.PRICE_FIELDS, [reports.TSMC])
    assert read_document(body).day == DAY
