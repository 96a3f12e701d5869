"""Tick sizes, lots, fees and taxes: the tables, rounding of limit prices, exact units."""

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.trading import venues
from detectors.trading.orders import ceil_price, floor_price, moved_price, tick_at
from detectors.trading.units import Units, terms, tick_table, units_of
from detectors.trading.venues import TWSE, UPBIT, binance_rules, rules_of
from streams.paper.instrument_states import instrument_rules
from tapewatch.contract.instruments import Instrument, Tick


@pytest.mark.parametrize(
    ("instrument", "kind", "day", "price", "tick"),
    [
        ("2330.XTAI", "share", "2024-01-02", "9.99", "0.01"),
        ("2330.XTAI", "share", "2024-01-02", "10", "0.05"),
        ("2330.XTAI", "share", "2024-01-02", "99.9", "0.1"),
        ("2330.XTAI", "share", "2024-01-02", "500", "1"),
        ("2330.XTAI", "share", "2024-01-02", "1000", "5"),
        ("0050.XTAI", "etf", "2024-01-02", "49.99", "0.01"),
        ("0050.XTAI", "etf", "2024-01-02", "50", "0.05"),
        ("005930.XKRX", "share", "2024-01-02", "1999", "1"),
        ("005930.XKRX", "share", "2024-01-02", "2000", "5"),
        ("005930.XKRX", "share", "2023-01-24", "1000", "5"),
        ("005930.XKRX", "share", "2023-01-25", "1000", "1"),
        ("005930.XKRX", "share", "2024-01-02", "499500", "500"),
        ("005930.XKRX", "share", "2024-01-02", "500000", "1000"),
        ("KRW-BTC.UPBIT", "spot", "2025-08-01", "150000000", "1000"),
        ("KRW-XRP.UPBIT", "spot", "2025-08-01", "4000", "1"),
        ("KRW-XRP.UPBIT", "spot", "2025-08-01", "99.9", "0.1"),
        ("KRW-SHIB.UPBIT", "spot", "2025-08-01", "0.0182", "0.0001"),
    ],
)  # fmt: skip
def test_tick_size_is_the_venues(instrument: str, kind: str, day: str, price: str, tick: str) -> None:
    rules = rules_of(instrument, kind, day)
    units = units_of(rules, float(price))
    table = tick_table(rules, units)
    scale = Decimal(10) ** units.price_decimals
    assert tick_at(table, int(Decimal(price) * scale)) == Decimal(tick) * scale


@settings(deadline=None)
@given(st.sampled_from([venues.TWSE_SHARE, venues.TWSE_ETF, venues.KRX]), st.integers(1, 200_000_00))
def test_a_limit_is_rounded_to_a_legal_price_that_is_never_worse(bands: venues.Bands, price: int) -> None:
    table = tick_table(venues.VenueRules("", "", bands, "1", 0, 0), Units(2, 0))
    low, high = floor_price(table, price), ceil_price(table, price)
    assert low <= price <= high
    assert high - low in (0, tick_at(table, price))
    for legal in (low, high):
        assert legal % tick_at(table, legal) == 0


@settings(deadline=None)
@given(st.integers(100, 200_000), st.integers(1, 400))
def test_moving_by_ticks_and_back_returns_to_the_price(price: int, ticks: int) -> None:
    table = tick_table(TWSE, Units(2, 3))
    start = floor_price(table, price * 5)
    assert moved_price(table, moved_price(table, start, ticks), -ticks) == start


def test_ticks_change_at_the_edge_of_a_band() -> None:
    table = tick_table(TWSE, Units(2, 3))
    assert moved_price(table, 10_00, -1) == 9_99
    assert moved_price(table, 9_99, 1) == 10_00
    assert moved_price(table, 10_00, 1) == 10_05


def test_binance_filters_give_tick_step_and_least_value() -> None:
    found = binance_rules(
        [
            {"filterType": "PRICE_FILTER", "minPrice": "0.01000000", "tickSize": "0.01000000"},
            {"filterType": "LOT_SIZE", "minQty": "0.00001000", "stepSize": "0.00001000"},
            {"filterType": "NOTIONAL", "minNotional": "5.00000000"},
        ]
    )
    assert (found.bands, found.lot, found.least_value) == ((("0", "0.01"),), "0.00001", "5")


def test_terms_are_whole_money_steps() -> None:
    assert terms(TWSE, Units(2, 0)).tolist() == [1425, 1425, 3000, 100, 2000, 1000, 0, 0]


@pytest.mark.parametrize(
    ("day", "ppm"), [("2018-06-01", 3000), ("2024-12-30", 1800), ("2025-01-02", 1500), ("2026-01-02", 2000)]
)
def test_korean_tax_is_that_of_the_day(day: str, ppm: int) -> None:
    assert rules_of("005930.XKRX", "share", day).sell_tax_ppm == ppm


def test_reference_data_with_ticks_comes_before_the_venues_rules_and_a_default_lot_does_not() -> None:
    own = instrument_rules(Instrument("BTCUSDT.BINANCE", kind="spot", ticks=(Tick(0.0, 0.1),), lot=0.001))
    assert (own.bands, own.lot, own.taker_ppm) == ((("0", "0.1"),), "0.001", 1000)
    assert instrument_rules(Instrument("BTCUSDT.BINANCE", kind="spot")).lot == "0.00001"
    assert instrument_rules(Instrument("X.XNAS", lot=1.0)).lot == "1"


def test_units_reach_two_decades_below_the_price_and_fit_64_bits() -> None:
    assert units_of(UPBIT, 150_000_000.0) == Units(0, 8)
    assert units_of(UPBIT, 0.0182).price_decimals == 6


@settings(deadline=None)
@given(st.lists(st.decimals("0.01", "99999.99", places=2), min_size=1))
def test_prices_survive_the_way_to_steps_and_back(prices: list[Decimal]) -> None:
    units = Units(2, 0)
    values = np.array([float(price) for price in prices])
    assert [units.price(step) for step in units.prices(values)] == values.tolist()


def test_a_price_between_steps_is_refused() -> None:
    with pytest.raises(ValueError, match="no whole number of steps"):
        Units(2, 0).prices(np.array([100.005]))


def test_an_absent_level_is_no_price() -> None:
    assert Units(2, 0).prices(np.array([np.nan])).tolist() == [0]


def test_quantities_are_rounded_down_to_the_step() -> None:
    assert Units(2, 3).quantities(np.array([0.0019, 0.29, 1.1])).tolist() == [1, 290, 1100]
