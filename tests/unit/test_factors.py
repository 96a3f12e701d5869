"""Factors: TA-Lib's own tables come out, ranks as defined, batch equals stream bit for bit, nothing is used early."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.forecast.factors import outside
from detectors.forecast.factors.indicators import UNITS as INDICATORS
from detectors.forecast.factors.table import LOOKBACK, Table, latest, names, relative, table, tables
from detectors.forecast.series import Panel, Reading, Series
from tapewatch.contract.message import stable_id
from tapewatch.contract.messages import Factor

talib = pytest.importorskip("talib")

KNOWN = json.loads((Path(__file__).parent.parent / "vectors" / "talib.json").read_text())
DAY = 86_400 * 10**9
CLOSES = np.array([58.8, 59.6, 59.9, 60.0, 59.2, 60.4, 61.2, 61.3, 61.4, 61.4, 60.8])


def series(rows: int, seed: int = 1) -> Series:
    """A random walk with all columns."""
    random = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(random.normal(0.0, 0.01, rows)))
    high, low = close * (1.0 + random.uniform(0.0, 0.01, rows)), close * (1.0 - random.uniform(0.0, 0.01, rows))
    return Series("A.X", np.arange(rows, dtype=np.int64) * DAY, close, high, low, close, random.uniform(1, 9, rows))


def known_bars() -> Series:
    """The bars of TA-Lib's tables."""
    columns = {name: np.array(values) for name, values in KNOWN["bars"].items()}
    return Series("REF", np.arange(len(columns["close"]), dtype=np.int64) * DAY, **columns)


def band(name: str, value: float) -> float:
    """One in the last digit that a table prints, 0.001 to the 0.01 of its own tests; ADX is in whole numbers there."""
    printed = repr(value).partition(".")[2]
    return 1.0 if name.startswith("adx") else min(0.01, max(0.001, 1.01 * 10.0 ** -len(printed)))


@pytest.mark.parametrize("name", sorted(KNOWN["columns"]))
def test_indicator_has_the_values_of_the_librarys_own_tables(name: str) -> None:
    column = table(known_bars())[name]
    for row, value in KNOWN["columns"][name]:
        assert column[row] == pytest.approx(value, abs=band(name, value))


@pytest.mark.parametrize("case", KNOWN["functions"], ids=lambda case: f"{case['name']}-{case['output']}")
def test_library_function_has_the_values_of_its_own_tables(case: dict[str, Any]) -> None:
    inputs = [np.array(KNOWN["bars"][name]) for name in case["inputs"]]
    found = getattr(talib, case["name"])(*inputs, *case["parameters"])
    line = found[case["output"]] if isinstance(found, tuple) else found
    for row, value in case["values"]:
        assert line[row] == pytest.approx(value, abs=band(case["name"], value))


def test_stop_and_reverse_has_the_values_of_wilders_book() -> None:
    high, low = (np.array(KNOWN["wilder"][name]) for name in ("high", "low"))
    middle = (high + low) / 2.0
    column = table(Series("W", np.arange(len(high), dtype=np.int64), middle, high, low, middle, middle))["sar"]
    for row, value in KNOWN["wilder"]["sar"]:
        assert column[row] == pytest.approx(value, abs=0.005)


def test_average_true_range_is_the_normalized_one_in_the_unit_of_price() -> None:
    bars = known_bars()
    found = 100.0 * table(bars)["atr_14"] / bars.close
    assert found[14:16] == pytest.approx([3.9321, 3.7576], abs=0.00006)


def test_there_are_29_indicators_and_more() -> None:
    assert len(INDICATORS) >= 29


def test_volume_balance_adds_the_volume_of_rises_and_takes_that_of_falls() -> None:
    close, volume = np.array([5.0, 6.0, 6.0, 4.0]), np.array([10.0, 3.0, 7.0, 4.0])
    found = table(Series("V", np.arange(4, dtype=np.int64), close, close, close, close, volume))
    assert found["obv"][-1] == 10.0 + 3.0 - 4.0
    assert found["obv_share"][-1] == 9.0 / 24.0


def test_bias_is_the_distance_from_the_average_in_percent() -> None:
    bars = series(40)
    assert table(bars)["bias_6"][-1] == pytest.approx(100.0 * (bars.close[-1] / bars.close[-6:].mean() - 1.0))


def test_rank_and_increase_of_the_closes_of_march_2010() -> None:
    assert outside.rank(CLOSES)[4:].tolist() == [4, 1, 1, 1, 1, 1, 5]
    assert outside.increase(CLOSES)[5:].tolist() == [2, 2, 2, 2, 2, 3]
    assert np.isnan(outside.rank(CLOSES)[:4]).all()
    assert np.isnan(outside.increase(CLOSES)[:5]).all()


def test_ranks_of_the_table_are_those_of_closes_highs_and_lows() -> None:
    bars = series(30)
    found = table(bars)
    for name in outside.OF:
        np.testing.assert_array_equal(found[f"{name}_rank_5"], outside.rank(getattr(bars, name)))
        np.testing.assert_array_equal(found[f"{name}_increase_5"], outside.increase(getattr(bars, name)))


BARS = series(LOOKBACK + 60, 7)
WHOLE = table(BARS)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, len(BARS)), st.integers(0, 40))
def test_any_part_of_the_bars_gives_the_same_bits(end: int, dropped: int) -> None:
    np.testing.assert_array_equal(latest(BARS[:end]), WHOLE.values[end - 1])
    if end - dropped >= LOOKBACK:
        # A stream that began later, with LOOKBACK bars at least, says the same.
        np.testing.assert_array_equal(latest(BARS[dropped:end]), WHOLE.values[end - 1])


def test_files_of_closes_alone_leave_out_what_they_cannot_tell() -> None:
    bars = series(60)
    absent = np.full(60, np.nan)
    found = table(Series("C", bars.at, absent, absent, absent, bars.close, absent))
    for name in ("sma_20", "rsi_14", "macd", "trix_15", "return_1", "close_rank_5"):
        assert found[name][-1] == table(bars)[name][-1]
    for name in ("atr_14", "adx_14", "obv", "mfi_14", "sar", "high_rank_5"):
        assert np.isnan(found[name]).all()


def test_short_and_flat_series_are_no_error() -> None:
    assert table(series(60)[:0]).values.shape == (0, len(names()))
    flat = np.full(80, 5.0)
    found = table(Series("F", np.arange(80, dtype=np.int64), flat, flat, flat, flat, np.zeros(80)))
    assert not np.isinf(found.values).any()
    with pytest.raises(ValueError, match="no bars"):
        latest(series(60)[:0])


def test_relative_columns_do_not_know_the_size_of_the_price() -> None:
    bars = series(80)
    open_, high, low, close = (getattr(bars, name) * 8.0 for name in ("open", "high", "low", "close"))
    larger = Series("L", bars.at, open_, high, low, close, bars.volume)
    one, other = relative(table(bars), bars.close), relative(table(larger), larger.close)
    assert "obv" not in one.names
    np.testing.assert_allclose(one.values, other.values, rtol=1e-9, atol=1e-9)


def reading(day: int, value: float, published: int, revision: int = 0, instrument: str = "") -> Reading:
    """A reading of the series `flow` of a day of January 2024."""
    return Reading("flow", instrument, f"2024-01-{day:02}", published, value, revision)


def test_outside_series_counts_from_the_nanosecond_it_was_published() -> None:
    at = np.array([9, 10, 11], dtype=np.int64)
    found = outside.known([reading(1, 5.0, 10)], "flow", "A.X", at)
    assert np.isnan(found[0]).all()
    assert found[1:, 0].tolist() == [5.0, 5.0]


def test_newest_period_counts_with_the_newest_revision_known_by_then() -> None:
    readings = [reading(1, 5.0, 10), reading(2, 7.0, 20), reading(1, 6.0, 30, 1), reading(2, 6.5, 40, 1)]
    found = outside.known(readings, "flow", "A.X", np.array([10, 20, 30, 40], dtype=np.int64))
    assert found[:, 0].tolist() == [5.0, 7.0, 7.0, 6.5]
    assert found[1:, 1].tolist() == [2.0, 1.0, 0.5]


def test_late_correction_of_lower_revision_changes_nothing() -> None:
    readings = [reading(1, 5.0, 10, 2), reading(1, 4.0, 20, 1)]
    assert outside.known(readings, "flow", "", np.array([25], dtype=np.int64))[0, 0] == 5.0


def test_readings_of_another_instrument_are_not_used_but_keep_the_columns() -> None:
    found = table(series(10), [reading(1, 5.0, 0, instrument="B.X")])
    assert found.names == names(["flow"])
    assert np.isnan(found["flow"]).all()


def test_tables_of_a_panel_are_those_by_all_its_readings() -> None:
    bars = {name: replace(series(10), instrument=name) for name in ("A.X", "B.X")}
    readings = (reading(1, 5.0, 0, instrument="B.X"), reading(1, 6.0, 0), Reading("more", "", "p", 3, 1.0))
    for name, found in tables(Panel(bars, readings)).items():
        whole = table(bars[name], readings)
        assert found.names == whole.names
        np.testing.assert_array_equal(found.values, whole.values)


def test_ranks_of_an_outside_series_are_of_its_last_periods() -> None:
    readings = [reading(day + 1, value, day) for day, value in enumerate(CLOSES)]
    found = outside.known(readings, "flow", "", np.arange(len(CLOSES), dtype=np.int64))
    assert found[4:, 2].tolist() == [4, 1, 1, 1, 1, 1, 5]
    assert found[5:, 3].tolist() == [2, 2, 2, 2, 2, 3]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 9), st.floats(-9, 9), st.integers(0, 6), st.integers(0, 2)), min_size=1, max_size=12
    ),
    st.integers(0, 6),
)
def test_every_factor_obeys_published(drawn: list[tuple[int, float, int, int]], day: int) -> None:
    bars = series(7)
    readings = [reading(period, value, when * DAY, revision) for period, value, when, revision in drawn]
    row = table(bars, readings).values[day]
    # What is published one nanosecond after the bar might as well not exist.
    now = int(bars.at[day])
    later = [replace(one, published=now + 1) if one.published >= now else one for one in readings]
    before = [one for one in later if one.published <= now]
    unseen = table(bars, later).values[day]
    if before:
        np.testing.assert_array_equal(unseen, table(bars, before).values[day])
    else:
        assert np.isnan(unseen[len(names()) :]).all()
    known = [one for one in readings if one.published <= now]
    if known:
        np.testing.assert_array_equal(row, table(bars, known).values[day])
        np.testing.assert_array_equal(row, latest(bars[: day + 1], readings))


def factor(instrument: str, name: str) -> Factor:
    """A message of the topic."""
    return Factor(
        id=stable_id("twse", name, instrument, "2024-01-02", 0),
        source="twse",
        series=name,
        instrument=instrument,
        period="2024-01-02",
        published_at="2024-01-02T08:00:00Z",
        received="2024-01-02T08:00:01Z",
        value=12.0,
        revision=1,
    )


def test_factor_of_an_instrument_of_the_panel_is_its_own_and_any_others_the_markets() -> None:
    own = outside.reading(factor("2330.TWSE", "foreign_net_buy"), {"2330.TWSE"})
    assert (own.series, own.instrument, own.revision, own.value) == ("foreign_net_buy", "2330.TWSE", 1, 12.0)
    assert own.published == int(np.datetime64("2024-01-02T08:00", "ns").astype(np.int64))
    index = outside.reading(factor("SPX.YAHOO", "close"), {"2330.TWSE"})
    assert (index.series, index.instrument) == ("SPX.YAHOO:close", "")
    total = outside.reading(factor("", "foreign_net_buy"), {"2330.TWSE"})
    assert (total.series, total.instrument) == ("market:foreign_net_buy", "")


def test_column_of_a_table_is_found_by_name() -> None:
    found = Table(("a", "b"), np.zeros(1, np.int64), np.array([[1.0, 2.0]]))
    assert found["b"].tolist() == [2.0]
