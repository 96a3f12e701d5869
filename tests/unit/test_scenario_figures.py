"""Figures of `evaluate scenarios` on cases small enough to count by hand, and the command on a small market."""

import argparse
import json
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from benchmarks.injection import Plan, inject, write_markets
from benchmarks.second_features import second_features
from evaluation import scenarios
from evaluation.scenario_figures import (
    ScenarioAlert,
    Seconds,
    alerting,
    auroc,
    calibrated,
    detector_of,
    rate_threshold,
    scored_seconds,
    separation,
)
from evaluation.scenario_labels import Event
from evaluation.scenario_market import MarketRun
from tapewatch.clock import NANOS
from tapewatch.settings import Settings
from tests.unit.injection_market import still_market

EVENT = Event("spoofing", "A.SIMX", 100.2, 101.5)


def seconds(score) -> Seconds:
    score = np.asarray(score, dtype=float)
    return Seconds(("A.SIMX",), np.zeros(len(score), np.int64), np.arange(len(score)), score)


def test_area_is_that_of_scikit_learn_with_ties_and_missing_scores() -> None:
    rng = np.random.default_rng(1)
    score = np.round(rng.normal(size=300), 1)
    positive = rng.random(300) < 0.3
    found: dict[str, Any] = auroc(score, positive, ~positive, np.arange(300) // 30, 0)
    assert found["mean"] == pytest.approx(roc_auc_score(positive, score))
    assert found["low"] < found["mean"] < found["high"]


def test_seconds_around_an_event_belong_to_neither_side() -> None:
    score = np.zeros(200)
    score[[97, 104]] = 9.0
    score[[100, 101]] = 1.0
    found = separation(seconds(score), [EVENT], [EVENT], 0)
    assert found["auroc"]["mean"] == 1.0
    assert found["event_recall_at_1pct"]["count"] == 1


def test_unscored_seconds_are_the_least_suspicious() -> None:
    score = np.zeros(200)
    score[[100, 101]] = np.nan
    assert separation(seconds(score), [EVENT], [EVENT], 0)["auroc"]["mean"] == 0.0


def test_one_percent_of_the_quiet_seconds_may_lie_above_the_threshold() -> None:
    negatives = np.arange(1000.0)
    assert (negatives > rate_threshold(negatives)).sum() == 10
    assert rate_threshold(np.ones(50)) == 1.0


def test_alert_counts_as_found_false_or_neither_by_where_it_lies() -> None:
    said = [ScenarioAlert("spoofing", "A.SIMX", when) for when in (96.0, 103.0, 150.0)] + [
        ScenarioAlert("spoofing", "B.SIMX", 101.0)
    ]
    found: dict[str, Any] = alerting(said, [EVENT], [EVENT], 2.0)
    assert found["event_recall"]["mean"] == 1.0
    assert found["median_delay_s"] == pytest.approx(2.8)
    assert found["false_alerts_per_instrument_hour"]["mean"] == 1.0


def run_of(scores) -> MarketRun:
    stamps = {"instrument": np.array(["A.SIMX"] * 4, dtype=object), "ts": np.arange(1, 5) * NANOS}
    made = {
        name: {
            "instrument": stamps["instrument"],
            "second": np.arange(4),
            "raw": np.asarray(raw, dtype=float),
            "probability": np.asarray(probability, dtype=float),
        }
        for name, (raw, probability) in scores.items()
    }
    return MarketRun(("A.SIMX",), made, stamps, {"A.SIMX": (0, 2)}, [], {}, "", {}, "")


def test_detector_of_the_same_name_is_used_where_there_is_one() -> None:
    nan = [np.nan] * 4
    run = run_of({"kmeans": ([1, 2, 3, 4], [0.1, 0.1, 0.2, 0.2]), "spoofing": ([1, 0, 0, 0], [0.9, 0, 0, 0]),
                  "odd": ([9, 9, 9, 9], nan)})  # fmt: skip
    assert detector_of(run, "spoofing") == ("spoofing",)
    assert detector_of(run, "layering") == ("kmeans",)
    assert calibrated(run) == ("spoofing",)
    assert calibrated(run_of({"kmeans": ([1, 2, 3, 4], [0.1, 0.1, 0.2, 0.2])})) == ("kmeans",)
    both = scored_seconds(run, ("kmeans", "spoofing"))
    np.testing.assert_allclose(both.score, [0.9, 0.1, 0.2], atol=1e-6)


def test_raw_score_orders_seconds_of_one_probability_and_no_second_after_the_last_row_counts() -> None:
    score = scored_seconds(run_of({"kmeans": ([2, 1, 3, 4], [0.1, 0.1, 0.1, 0.1])}), ("kmeans",)).score
    assert np.argsort(score).tolist() == [1, 0, 2]


def test_simple_features_count_rows_and_keep_the_last_value_where_there_are_none() -> None:
    market = still_market(seconds=10)
    rows = inject(market, Plan(warm_s=1e6, alike_s=0.0, extra_books=False), 1).rows
    begin = market.begin // NANOS
    names, values = second_features(rows, np.arange(begin, begin + 12))
    assert values[:10, names.index("quote.count")].tolist() == [50.0] * 10
    assert values[10:, names.index("trade.count")].tolist() == [0.0, 0.0]
    assert np.isfinite(values[1:]).all()


@pytest.mark.slow
def test_injected_market_goes_through_the_engine_and_gives_one_document_and_a_page(tmp_path, capsys) -> None:
    injected = inject(still_market(seconds=90), Plan(strengths=(8.0,)), 1)
    write_markets([injected], tmp_path)
    args = argparse.Namespace(
        market=tmp_path, labels=tmp_path / "labels.csv", seed=0, json=True, out=None, report=tmp_path / "report"
    )
    assert scenarios.run(args, Settings()) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["all"]["events"] == len(injected.manipulations)
    assert not document["refused"]
    for name in ("all", injected.manipulations[0].scenario):
        assert {"auroc", "event_recall", "event_recall_at_1pct", "median_delay_s"} <= set(document[name])
    assert "False cases" in (tmp_path / "report" / "scenarios.html").read_text()
