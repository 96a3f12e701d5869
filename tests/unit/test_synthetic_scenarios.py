"""What the synthetic market injects is what its labels say, and nothing overlaps."""

import csv
from collections import defaultdict
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from producers.synthetic import Label, PlannedEvent, SyntheticConfig, SyntheticMarket
from producers.synthetic.config import MANIPULATIONS, SCENARIOS
from tapewatch.clock import NANOS
from tapewatch.contract.rows import RowType

START = 1_750_000_000 * NANOS
WARMUP = 180
EACH = 12
PLAN = tuple(PlannedEvent(scenario, 4.0 * k) for k in range(EACH) for scenario in SCENARIOS)
CONFIG = SyntheticConfig(
    instruments=160, rows_per_second=3200.0, seconds=620, warmup_s=float(WARMUP), gap_s=130.0, plan=PLAN
)


class SyntheticRun:
    """A run's columns by type and instrument; of books, of which there are most, the sizes only."""

    def __init__(self, config: SyntheticConfig, seed: int) -> None:
        self.market = SyntheticMarket(config, seed, START)
        parts: dict[RowType, dict[str, list[np.ndarray]]] = defaultdict(lambda: defaultdict(list))
        for chunk in self.market.chunks():
            for rows in chunk.rows:
                for name, column in rows.columns.items():
                    if rows.type is not RowType.BOOK:
                        parts[rows.type][name].append(column)
                    elif not name.endswith("price"):
                        parts[rows.type][name].append(column.astype(np.float32) if column.ndim > 1 else column)
        self.tables = {
            kind: {name: np.concatenate(columns.pop(name)) for name in list(columns)} for kind, columns in parts.items()
        }
        self.codes = {one.id: code for code, one in enumerate(self.market.instruments)}
        self.labels = self.market.labels()

    def of(self, kind: RowType, label: Label) -> dict[str, np.ndarray]:
        mine = self.tables[kind]["instrument"] == self.codes[label.instrument]
        return {name: column[mine] for name, column in self.tables[kind].items()}

    def labelled(self, scenario: str) -> list[Label]:
        return [label for label in self.labels if label.scenario == scenario]


@pytest.fixture(scope="module")
def run() -> SyntheticRun:
    return SyntheticRun(CONFIG, seed=11)


def before(rows: dict[str, np.ndarray], label: Label) -> np.ndarray:
    """Rows of the last two minutes before the event."""
    return (rows["ts_recv"] < label.start_ns) & (rows["ts_recv"] > label.start_ns - 120 * NANOS)


def during(rows: dict[str, np.ndarray], label: Label) -> np.ndarray:
    return (rows["ts_recv"] >= label.start_ns) & (rows["ts_recv"] <= label.end_ns)


def rate(mask: np.ndarray, weight: np.ndarray, seconds: float) -> float:
    return float(weight[mask].sum() / seconds)


@pytest.mark.slow
def test_every_planned_event_has_its_label(run: SyntheticRun) -> None:
    for scenario in SCENARIOS:
        assert len(run.labelled(scenario)) >= EACH
    assert all(label.labelled == (label.scenario in MANIPULATIONS) for label in run.labels)
    assert all(label.start_ns < label.end_ns for label in run.labels)


def test_nothing_is_injected_during_the_warm_up(run: SyntheticRun) -> None:
    assert min(label.start_ns for label in run.labels) >= START + WARMUP * NANOS


@pytest.mark.slow
def test_events_of_an_instrument_keep_their_distance() -> None:
    busy = SyntheticConfig(
        instruments=10,
        rows_per_second=100.0,
        seconds=4000,
        warmup_s=10.0,
        gap_s=30.0,
        news_per_hour=6.0,
        spoof_per_hour=30.0,
    )
    market = SyntheticMarket(busy, 5, START)
    for _ in market.chunks():
        pass
    of = defaultdict(list)
    for label in market.labels():
        of[label.instrument].append(label)
    moving = {"pump_and_dump", "news_jump", "ramping", "halt"}
    assert any(len(labels) > 3 for labels in of.values())
    for labels in of.values():
        for one, following in pairwise(labels):
            quiet = 1200.0 if one.scenario in moving else 30.0
            assert following.start_ns - one.end_ns >= quiet * NANOS


def test_pump_lifts_the_price_by_its_strength_on_a_rush_of_buys_and_falls_back(run: SyntheticRun) -> None:
    for label in run.labelled("pump_and_dump"):
        trades = run.of(RowType.TRADE, label)
        base = trades["price"][before(trades, label)][-1]
        inside = during(trades, label)
        peak = trades["price"][inside].max() / base - 1.0
        assert 0.8 * label.strength - 0.01 < peak < 1.3 * label.strength + 0.02
        assert trades["price"][inside][-1] / base - 1.0 < 0.55 * peak + 0.01
        rush = inside & (trades["ts_recv"] < label.start_ns + 10 * NANOS)
        usual = rate(before(trades, label), trades["qty"], 120.0)
        assert rate(rush, trades["qty"], 10.0) > 5.0 * usual
        buys = trades["ts_recv"][rush & (trades["aggressor_side"] > 0)]
        assert len(np.unique(buys // 1_000_000)) >= 20
        assert len(buys) > 0.5 * rush.sum()


def test_news_moves_the_price_within_seconds_and_it_stays(run: SyntheticRun) -> None:
    jumps = run.labelled("news_jump")
    assert {np.sign(label.strength) for label in jumps} == {-1.0, 1.0}
    for label in jumps:
        quotes, trades = run.of(RowType.QUOTE, label), run.of(RowType.TRADE, label)
        mid = 0.5 * (quotes["bid_price"] + quotes["ask_price"])
        base = mid[before(quotes, label)][-1]
        soon = mid[quotes["ts_recv"] > label.start_ns + 8 * NANOS][0] / base - 1.0
        late = mid[quotes["ts_recv"] < label.end_ns][-1] / base - 1.0
        for change in (soon, late):
            assert abs(change - label.strength) < 0.2 * abs(label.strength) + 0.015
        inside = during(trades, label)
        assert 0.3 < np.mean(trades["aggressor_side"][inside] > 0) < 0.7
        wide = (quotes["ask_price"] - quotes["bid_price"]) / mid
        after = (quotes["ts_recv"] > label.start_ns) & (quotes["ts_recv"] < label.start_ns + 20 * NANOS)
        assert wide[after].mean() > wide[before(quotes, label)].mean()


def visible(books: dict[str, np.ndarray], mask: np.ndarray) -> np.ndarray:
    """Largest size on any visible level, by book row."""
    return np.maximum(books["bid_qty"][mask].max(axis=1), books["ask_qty"][mask].max(axis=1))


def test_spoof_order_towers_over_the_book_and_is_cancelled(run: SyntheticRun) -> None:
    grown = []
    for label in run.labelled("spoofing"):
        books = run.of(RowType.BOOK, label)
        usual = np.median(visible(books, before(books, label)))
        grown.append(visible(books, during(books, label)).max() / usual)
        assert label.end_ns - label.start_ns <= 11 * NANOS
        later = (books["ts_recv"] > label.end_ns) & (books["ts_recv"] < label.end_ns + 10 * NANOS)
        assert visible(books, later).max() < 1.5 * visible(books, before(books, label)).max()
    assert np.median(grown) > 1.5


def test_layers_deepen_one_side_of_the_book_for_seconds(run: SyntheticRun) -> None:
    lean = []
    for label in run.labelled("layering"):
        books = run.of(RowType.BOOK, label)
        bid, ask = books["bid_qty"].sum(axis=1), books["ask_qty"].sum(axis=1)
        imbalance = np.abs((bid - ask) / (bid + ask))
        lean.append(imbalance[during(books, label)].max() / np.median(imbalance[before(books, label)]))
        assert label.end_ns - label.start_ns <= 13 * NANOS
    assert np.median(lean) > 2.0


def test_quote_stuffing_multiplies_updates_but_not_trades(run: SyntheticRun) -> None:
    for label in run.labelled("quote_stuffing"):
        quotes, trades = run.of(RowType.QUOTE, label), run.of(RowType.TRADE, label)
        lasts = (label.end_ns - label.start_ns) / NANOS
        usual = before(quotes, label).sum() / 120.0
        assert during(quotes, label).sum() / lasts > 6.0 * usual
        assert during(trades, label).sum() / lasts < 5.0 * before(trades, label).sum() / 120.0 + 2.0


def test_ramp_drifts_up_on_small_buys(run: SyntheticRun) -> None:
    drifts = []
    for label in run.labelled("ramping"):
        trades = run.of(RowType.TRADE, label)
        inside = during(trades, label)
        drifts.append((trades["price"][inside][-1] / trades["price"][before(trades, label)][-1] - 1.0) / label.strength)
        assert np.mean(trades["aggressor_side"][inside] > 0) > 0.5
    assert 0.6 < np.median(drifts) < 1.4


@pytest.mark.slow
def test_most_large_genuine_orders_are_filled() -> None:
    rates = {name: 0.0 for name in SyntheticConfig.__struct_fields__ if name.endswith("_per_hour")}
    config = SyntheticConfig(
        instruments=300,
        rows_per_second=3000.0,
        seconds=430,
        warmup_s=60.0,
        plan=tuple(PlannedEvent("large_order", k / 3) for k in range(120)),
        **rates,  # type: ignore[arg-type]
    )
    run = SyntheticRun(config, seed=2)
    filled = [label.end_ns - label.start_ns < 19 * NANOS or _traded(run, label) for label in run.labels]
    assert 0.75 < np.mean(filled) <= 0.97


def _traded(run: SyntheticRun, label: Label) -> bool:
    """Whether the visible large order shrank by trades: more was traded in its time than half its size."""
    trades, books = run.of(RowType.TRADE, label), run.of(RowType.BOOK, label)
    size = visible(books, during(books, label)).max()
    end = books["ts_recv"] > label.end_ns
    left = visible(books, end)[0] if end.any() else 0.0
    return bool(trades["qty"][during(trades, label)].sum() > 0.5 * size and left < 0.6 * size)


def test_label_files_hold_manipulations_and_look_alikes_apart(run: SyntheticRun, tmp_path: Path) -> None:
    run.market.write_labels(tmp_path / "labels.csv", tmp_path / "look_alikes.csv")
    for name, wanted in (("labels.csv", True), ("look_alikes.csv", False)):
        with (tmp_path / name).open(newline="") as file:
            rows = list(csv.DictReader(file))
        labels = [label for label in run.labels if label.labelled is wanted]
        assert [row["scenario"] for row in rows] == [label.scenario for label in labels]
        assert list(rows[0]) == ["scenario", "instrument", "start", "end"]
        for row, label in zip(rows, labels, strict=True):
            assert datetime.fromisoformat(row["start"]).timestamp() == pytest.approx(label.start_ns / NANOS, abs=1e-3)
            assert row["end"].endswith("Z")


def test_demo_shows_every_scenario_within_its_first_forty_seconds() -> None:
    config = SyntheticConfig.demo()
    assert config.warmup_s == 900.0
    early = [planned.scenario for planned in config.plan if planned.at_s <= 40.0]
    assert set(early) == set(SCENARIOS)
    assert early.count("pump_and_dump") >= 4
    assert early.count("news_jump") >= 4
