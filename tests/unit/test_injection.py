"""Injection of manipulation into recorded books: what is added, and that nothing else changes."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.injection import BOOK_SCENARIOS, PRICE_SCENARIOS, Plan, RestingOrder, Script, inject, write_markets
from benchmarks.injection.overlay import overlaid
from benchmarks.injection.placing import ASK, BID, Label, Print
from evaluation.scenario_labels import read_labels
from evaluation.scenario_market import read_market
from producers.recordings import open_recording
from tapewatch.clock import NANOS
from tapewatch.contract.rows import Rows, RowType
from tapewatch.errors import TapewatchError
from tests.unit.injection_market import START, still_market


def by_type(rows: list[Rows]) -> dict[RowType, Rows]:
    return {part.type: part for part in rows}


def script(resting: list[RestingOrder], prints: list[Print] | None = None) -> Script:
    return Script(Label("spoofing", START, START + 2 * NANOS, 1.0, True), resting, prints or [])


def test_same_seed_gives_the_same_rows_and_another_seed_others() -> None:
    market = still_market()
    first, again, other = (inject(market, Plan(), seed) for seed in (1, 1, 2))
    assert first.labels == again.labels != other.labels
    for one, two in zip(first.rows, again.rows, strict=True):
        for name, column in one.columns.items():
            np.testing.assert_array_equal(column, two.columns[name])


def test_order_adds_to_its_level_while_it_rests_and_leaves_the_rest_as_recorded() -> None:
    market = still_market()
    order = RestingOrder(BID, 99.97, 5.0, START + NANOS, START + 2 * NANOS)
    books = by_type(overlaid(market, [script([order])], extra_books=False))[RowType.BOOK].columns
    during = (books["ts_recv"] >= order.begin) & (books["ts_recv"] < order.end)
    added = books["bid_qty"] - market.books["bid_qty"]
    np.testing.assert_allclose(added[during, 3], 5.0, atol=1e-9)
    assert not added[~during].any() and not np.delete(added, 3, axis=1).any()
    np.testing.assert_array_equal(books["ask_qty"], market.books["ask_qty"])


def test_order_at_a_price_that_left_the_book_holds_a_level_of_its_own() -> None:
    market = still_market()
    order = RestingOrder(ASK, 100.005, 2.0, START + NANOS, START + 2 * NANOS)
    columns = by_type(overlaid(market, [script([order])], extra_books=False))
    books, quotes = columns[RowType.BOOK].columns, columns[RowType.QUOTE].columns
    row = np.searchsorted(books["ts_recv"], order.begin)
    assert books["ask_price"][row, :2].tolist() == [100.005, 100.01]
    assert books["ask_qty"][row, 0] == 2.0
    quote = np.searchsorted(quotes["ts_recv"], order.begin)
    assert (quotes["ask_price"][quote], quotes["ask_qty"][quote]) == (100.005, 2.0)


def test_quotes_say_what_the_books_say_at_the_touch() -> None:
    market = still_market()
    columns = by_type(inject(market, Plan(strengths=(8.0,)), 3).rows)
    books, quotes = columns[RowType.BOOK].columns, columns[RowType.QUOTE].columns
    same = np.searchsorted(quotes["ts_recv"], books["ts_recv"], side="right") - 1
    kept = quotes["ts_recv"][same] == books["ts_recv"]
    assert kept.sum() > 500
    for name in ("bid_price", "bid_qty", "ask_price", "ask_qty"):
        np.testing.assert_allclose(quotes[name][same][kept], books[name][kept, 0], atol=1e-6)
    assert (quotes["bid_price"] < quotes["ask_price"]).all()


def test_prints_are_on_the_tape_and_in_the_quotes_volume() -> None:
    market = still_market()
    made = Print(START + NANOS + 7, 100.01, 3.0, 1)
    columns = by_type(overlaid(market, [script([], [made])], extra_books=False))
    trades, quotes = columns[RowType.TRADE].columns, columns[RowType.QUOTE].columns
    assert trades["qty"][trades["ts_recv"] == made.ns].tolist() == [3.0]
    assert len(trades["qty"]) == len(market.trades["qty"]) + 1
    later = quotes["ts_recv"] > made.ns
    np.testing.assert_allclose(quotes["volume"][later] - market.quotes["volume"][later], 3.0)
    np.testing.assert_allclose(quotes["volume"][~later], market.quotes["volume"][~later])


@pytest.mark.parametrize("name", [*BOOK_SCENARIOS, *PRICE_SCENARIOS])
def test_every_scenario_is_labelled_within_the_market(name: str) -> None:
    market = still_market()
    injected = inject(market, Plan(scenarios=(name,), strengths=(3.0,)), 5)
    labels = injected.manipulations
    assert labels and {label.scenario for label in labels} == {name}
    assert all(market.begin <= label.begin < label.end <= market.end + NANOS for label in labels)
    assert injected.look_alikes


def test_price_moving_scenario_shifts_books_quotes_and_trades_together() -> None:
    market = still_market()
    injected = inject(market, Plan(scenarios=("pump_and_dump",), strengths=(3.0,), alike_s=0.0), 5)
    columns = by_type(injected.rows)
    books = columns[RowType.BOOK].columns
    assert books["bid_price"].max() > 101.0
    spreads = books["ask_price"][:, 0] - books["bid_price"][:, 0]
    np.testing.assert_allclose(spreads, 0.01, atol=1e-9)
    trades = columns[RowType.TRADE].columns
    last = np.searchsorted(books["ts_recv"], trades["ts_recv"], side="right") - 1
    assert np.abs(trades["price"] - books["bid_price"][last, 0]).max() < 1.0


def test_layering_is_not_injected_where_only_the_touch_is_known() -> None:
    market = still_market(levels=1)
    assert market.levels == 1
    injected = inject(market, Plan(), 1)
    assert {label.scenario for label in injected.manipulations} == {"spoofing", "quote_stuffing"}


def test_unknown_scenario_is_refused() -> None:
    with pytest.raises(TapewatchError, match="no scenario"):
        Plan(scenarios=("wishful",))


def test_written_market_is_read_back_by_the_evaluation_and_the_recordings(tmp_path: Path) -> None:
    injected = inject(still_market(), Plan(), 1)
    write_markets([injected], tmp_path)
    for part, own in zip(read_market(tmp_path), injected.rows, strict=True):
        assert part.type is own.type
        for name, column in own.columns.items():
            np.testing.assert_array_equal(part.columns[name], column)
    events = read_labels(tmp_path / "labels.csv")
    assert [event.scenario for event in events] == [label.scenario for label in injected.manipulations]
    assert abs(events[0].start - injected.manipulations[0].begin / NANOS) < 1e-5
    rows = sum(len(part) for chunk in open_recording([tmp_path / "books.parquet"]).chunks() for part in chunk.rows)
    assert rows == len(injected.rows[2])
