"""Yahoo's chart document: nulls, errors, the unfinished bar, daylight saving, splits and dividends."""

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from producers.venues.yahoo.chart import PUBLISHED_LAG_NS, Chart, ChartError, parse_chart
from producers.venues.yahoo.document import number
from producers.venues.yahoo.symbols import currency_of, instrument_of, symbol_of, yahoo_symbol
from tapewatch.clock import NANOS
from tapewatch.contract.instruments import CorporateAction
from tapewatch.errors import TapewatchError
from tests.unit.yahoo_document import at, document

NEW_YORK = ZoneInfo("America/New_York")


def minutes(count: int, start: str = "2026-03-09T09:30", **more: Any) -> Chart:
    """Bars of one minute from a New York time on."""
    times = [at(start) + 60 * place for place in range(count)]
    return parse_chart(document(times, [[10.0, 11.0, 9.5, 10.5, 100]] * count, interval="1m", **more))


def refusal(body: bytes) -> ChartError:
    with pytest.raises(ChartError) as caught:
        parse_chart(body)
    return caught.value


def test_bars_hold_what_the_columns_say_in_utc_nanoseconds() -> None:
    chart = parse_chart(document([at("2026-01-05T09:30")], [[1.5, 2.5, 1.0, 2.0, 300]]))
    (bar,) = chart.bars
    assert (bar.open, bar.high, bar.low, bar.close, bar.volume) == (1.5, 2.5, 1.0, 2.0, 300.0)
    assert bar.opened == at("2026-01-05T14:30", "UTC") * NANOS
    assert (chart.symbol, chart.currency, chart.exchange, chart.interval_s) == ("AAPL", "USD", "NMS", 86_400)


def test_bar_with_a_null_price_is_left_out_and_counted() -> None:
    times = [at("2026-01-05T09:30"), at("2026-01-06T09:30"), at("2026-01-07T09:30")]
    chart = parse_chart(document(times, [[1, 2, 1, 2, 3], [None] * 5, [1, 2, None, 2, 3]]))
    assert len(chart.bars) == 1
    assert chart.left_out["null"] == 2


def test_index_without_volume_has_volume_zero() -> None:
    chart = parse_chart(document([at("2026-01-05T09:30")], [[1, 2, 1, 2, None]]))
    assert chart.bars[0].volume == 0.0


def test_bar_whose_high_lies_below_its_close_is_left_out() -> None:
    chart = parse_chart(document([at("2026-01-05T09:30")], [[1, 1.5, 1, 2, 3]]))
    assert not chart.bars
    assert chart.left_out["bad_bar"] == 1


def test_bars_come_ascending_and_a_day_that_stands_twice_counts_once_as_it_stands_last() -> None:
    times = [at("2026-01-06T09:30"), at("2026-01-05T09:30"), at("2026-01-06T16:00:01")]
    chart = parse_chart(document(times, [[1, 2, 1, 2, 3], [4, 5, 4, 5, 6], [1, 3, 1, 3, 9]]))
    assert [chart.date(bar) for bar in chart.bars] == ["2026-01-05", "2026-01-06"]
    assert chart.bars[1].close == 3.0
    assert chart.left_out["repeated"] == 1


def test_widened_float32_becomes_the_price_that_was_published() -> None:
    assert number("266.0400085449219") == 266.04
    assert number("230.49") == 230.49
    assert number("123456792.0") == 123456792.0
    assert number("0.1234567890123") == 0.1234567890123


def test_number_that_float64_does_not_hold_leaves_its_bar_out() -> None:
    body = document([at("2026-01-05T09:30")], [[1, 2, 1, 2, 3]]).replace(
        b'"close": [2]', b'"close": [1.00000000000000000001]'
    )
    chart = parse_chart(body)
    assert not chart.bars
    assert chart.left_out["not_exact_float"] == 1


def test_unknown_symbol_is_told_by_the_document_whatever_the_status() -> None:
    body = (
        b'{"chart":{"result":null,"error":{"code":"Not Found","description":"No data found, symbol may be delisted"}}}'
    )
    error = refusal(body)
    assert (error.reason, error.detail) == ("unknown_symbol", "No data found, symbol may be delisted")
    assert refusal(b'{"chart":{"result":[],"error":null}}').reason == "unknown_symbol"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"<!DOCTYPE html><html><body>consent</body></html>", "not_json"),
        (b"Too Many Requests\r\n", "not_json"),
        (b"", "not_json"),
        (b'{"chart":{"result":[{"meta":{"sym', "not_json"),
        (
            b'{"finance":{"result":null,"error":{"code":"Unauthorized","description":"Invalid Crumb"}}}',
            "malformed_chart",
        ),
        (b'{"chart":{"result":null,"error":{"code":"Unauthorized","description":"Invalid Crumb"}}}', "chart_error"),
        (
            b'{"chart":{"result":null,"error":{"code":"Bad Request","description":"1m data not available"}}}',
            "bad_request",
        ),
        (
            b'{"chart":{"result":[{"meta":{"symbol":"A","exchangeTimezoneName":"No/Zone"}}],"error":null}}',
            "malformed_chart",
        ),
        (b'{"chart":{"result":[{"meta":{"symbol":"A","dataGranularity":"1wk"}}],"error":null}}', "malformed_chart"),
    ],
)
def test_what_is_no_chart_is_refused_with_its_reason(body: bytes, reason: str) -> None:
    assert refusal(body).reason == reason


def test_columns_of_unequal_length_are_refused() -> None:
    body = document([at("2026-01-05T09:30")], [[1, 2, 1, 2, 3]]).replace(b'"low": [1]', b'"low": [1, 1]')
    assert refusal(body).reason == "malformed_chart"


def test_range_without_bars_is_an_empty_chart() -> None:
    body = b'{"chart":{"result":[{"meta":{"symbol":"A"},"indicators":{"quote":[{}]}}],"error":null}}'
    assert parse_chart(body).bars == ()


def test_last_minute_is_left_out_until_the_last_price_passes_its_end() -> None:
    price_at = at("2026-03-09T09:32:30")
    chart = minutes(3, price_at=price_at)
    assert [bar.opened // NANOS for bar in chart.whole(price_at * NANOS)] == [
        at("2026-03-09T09:30"),
        at("2026-03-09T09:31"),
    ]
    later = minutes(3, price_at=at("2026-03-09T09:33:01"))
    assert len(later.whole(price_at * NANOS)) == 3


def test_point_of_the_last_trade_off_the_grid_is_no_bar() -> None:
    times = [at("2026-03-09T09:30"), at("2026-03-09T09:31:17")]
    body = document(times, [[1, 2, 1, 2, 3], [2, 2, 2, 2, 0]], interval="1m", price_at=times[1])
    chart = parse_chart(body)
    assert [bar.opened // NANOS for bar in chart.whole(times[1] * NANOS + 10**15)] == [times[0]]


def test_thin_instruments_minute_is_whole_once_no_delay_explains_its_silence() -> None:
    price_at = at("2026-03-09T09:30:10")
    chart = minutes(1, price_at=price_at)
    end = at("2026-03-09T09:31") * NANOS
    assert chart.whole(end + 20 * 60 * NANOS) == []
    assert len(chart.whole(end + 21 * 60 * NANOS)) == 1


def test_hours_that_begin_at_half_past_are_bars() -> None:
    times = [at("2026-03-09T09:30"), at("2026-03-09T10:30"), at("2026-03-09T10:47:03")]
    body = document(times, [[1, 2, 1, 2, 3]] * 3, interval="1h", price_at=times[2])
    assert [bar.opened // NANOS for bar in parse_chart(body).whole(times[2] * NANOS)] == times[:1]


def test_day_is_public_after_its_close_in_summer_and_in_winter() -> None:
    session = (at("2026-07-01T09:30"), at("2026-07-01T16:00"))
    times = [at("2026-01-05T09:30"), at("2026-07-01T09:30")]
    chart = parse_chart(document(times, [[1, 2, 1, 2, 3]] * 2, session=session))
    assert chart.published_at("2026-01-05") == at("2026-01-05T21:00", "UTC") * NANOS + PUBLISHED_LAG_NS
    assert chart.published_at("2026-07-01") == at("2026-07-01T20:00", "UTC") * NANOS + PUBLISHED_LAG_NS
    public = chart.published_at("2026-07-01")
    assert len(chart.whole(public - 1)) == 1
    assert len(chart.whole(public)) == 2


def test_day_of_a_session_over_midnight_is_public_on_the_next_date() -> None:
    session = (at("2026-07-01T18:00"), at("2026-07-02T17:00"))
    chart = parse_chart(document([at("2026-07-01T18:00")], [[1, 2, 1, 2, 3]], session=session))
    assert chart.published_at("2026-07-01") == at("2026-07-02T17:00") * NANOS + PUBLISHED_LAG_NS


def test_day_without_a_known_close_is_public_after_local_midnight() -> None:
    chart = parse_chart(document([at("2026-07-01T09:30")], [[1, 2, 1, 2, 3]]))
    assert chart.published_at("2026-07-01") == at("2026-07-02T00:00") * NANOS + PUBLISHED_LAG_NS


def test_splits_multiply_prices_and_dividends_are_amounts_on_their_local_date() -> None:
    split, paid = at("2020-08-31T09:30"), at("2020-08-07T09:30")
    events = {
        "splits": {str(split): {"date": split, "numerator": 4.0, "denominator": 1.0, "splitRatio": "4:1"}},
        "dividends": {str(paid): {"date": paid, "amount": 0.205}},
    }
    chart = parse_chart(document([paid, split], [[1, 2, 1, 2, 3]] * 2, events=events, adjclose=[1.9, 2.0]))
    assert chart.actions == (
        CorporateAction("2020-08-07", "dividend", amount=0.205),
        CorporateAction("2020-08-31", "split", factor=0.25),
    )
    assert chart.adjusted == {paid * NANOS: 1.9, split * NANOS: 2.0}


def test_price_is_the_newest_of_the_session() -> None:
    chart = minutes(1, price_at=at("2026-03-09T09:30:10"), regularMarketVolume=1234, previousClose=229.31)
    assert chart.price is not None
    assert (chart.price.last, chart.price.volume, chart.price.previous_close) == (230.49, 1234.0, 229.31)
    assert chart.price.at == at("2026-03-09T09:30:10") * NANOS


@pytest.mark.parametrize(
    ("symbol", "exchange", "instrument"),
    [
        ("2330.TW", "TAI", "2330.XTAI"),
        ("6547.TWO", "TWO", "6547.ROCO"),
        ("005930.KS", "KSC", "005930.XKRX"),
        ("AAPL", "NMS", "AAPL.XNAS"),
        ("BRK-B", "NYQ", "BRK-B.XNYS"),
        ("SPY", "PCX", "SPY.ARCX"),
        ("^GSPC", "SNP", "GSPC-INDEX.YAHOO"),
        ("ES=F", "CME", "ES-FUT.YAHOO"),
        ("TWD=X", "CCY", "TWD-FX.YAHOO"),
        ("BTC-USD", "CCC", "BTC-USD.YAHOO"),
    ],
)
def test_symbols_map_both_ways(symbol: str, exchange: str, instrument: str) -> None:
    assert instrument_of(symbol, exchange) == instrument
    assert symbol_of(instrument) == symbol
    assert yahoo_symbol(instrument) == symbol
    assert yahoo_symbol(symbol) == symbol


def test_unknown_market_stays_part_of_the_symbol() -> None:
    assert instrument_of("DX-Y.NYB", "NYB") == "DX-Y-NYB.YAHOO"
    with pytest.raises(TapewatchError, match="no symbol"):
        symbol_of("1.XXXX")
    with pytest.raises(TapewatchError, match="no instrument id"):
        instrument_of("a b")


def test_pence_are_not_pounds() -> None:
    assert (currency_of("GBp"), currency_of("GBP")) == ("GBX", "GBP")
