"""The learner earns most of what there is in a planted market, and holds where there is no pattern."""

from dataclasses import replace
from typing import Any

import pytest

from benchmarks import planted_market as bench


@pytest.fixture(scope="module")
def short() -> Any:
    """A quarter of the benchmark's steps: these two tests take some seconds each because a policy has to be learnt."""
    pytest.importorskip("torch", reason="the extra `train` is not installed")
    return replace(bench.recipe(15_000), seed=11, hidden=(32, 32))


def test_four_fifths_of_the_best_result_are_earned_where_a_pattern_is_planted(short: Any) -> None:
    assert bench.of_pattern(short)["share_of_best"] >= bench.GOAL


def test_without_a_pattern_the_learnt_policy_holds(short: Any) -> None:
    assert bench.of_chance(short)["turnover"] < bench.STILL
