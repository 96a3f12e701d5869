"""Figures with intervals on the cards: in step with models and results, exact where counts are known."""

import pytest

from benchmarks import card_figures
from detectors import registry
from evaluation import intervals


def test_recorded_figures_are_in_step_with_models_and_results() -> None:
    assert card_figures.main(["--check"]) == 0


@pytest.mark.parametrize("detector", registry.shipped())
def test_every_card_has_figures_with_intervals_that_hold_their_value(detector: str) -> None:
    found = registry.recorded()[detector].figures
    assert found
    # Values are rounded in the files.
    assert [each.name for each in found if not each.low - 1e-3 <= each.value <= each.high + 1e-3] == []
    page = registry.read(registry.shipped()[detector]).markdown()
    assert all(f"| {each.name} |" in page for each in found)


def test_another_hash_has_no_figures() -> None:
    assert registry.section("kmeans", "0" * 16) == ""
    assert registry.section("nobody", "0" * 16) == ""


def test_shares_and_rates_named_with_their_counts_get_exact_intervals() -> None:
    metrics = {
        "spoofing, strength 3: event recall at 1 % (40 events)": 0.25,
        "spoofing, strength 3: event recall at the alert probability": 0.5,
        "spoofing, strength 3: AUROC": 0.7,
        "spoofing: false alerts an instrument-hour (2 h)": 1.5,
    }
    found = {each.name: each for each in card_figures._of_events(metrics)}
    recall = found["spoofing, strength 3: event recall at 1 %"]
    assert (recall.low, recall.high) == tuple(intervals.share(10, 40)[side] for side in ("low", "high"))
    at_alert = found["spoofing, strength 3: event recall at the alert probability"]
    assert (at_alert.value, at_alert.interval) == (0.5, "exact binomial, of 40 events")
    rate = found["spoofing: false alerts an instrument-hour"]
    assert (rate.low, rate.high) == tuple(intervals.poisson_rate(3, 2.0)[side] for side in ("low", "high"))
    assert len(found) == 3
