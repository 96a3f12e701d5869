"""The learner earns a good part of the best result in a planted market, and holds where there is no pattern."""

from dataclasses import replace
from typing import Any

import pytest

from benchmarks import planted_market as bench

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def short() -> Any:
    """A quarter of the benchmark's steps: these two tests take minutes because a policy has to be learnt."""
    pytest.importorskip("torch", reason="the extra `train` is not installed")
    return replace(bench.recipe(16_000), seed=11, hidden=(32, 32), updates=4, target_every=100, n_step=5)


def test_half_of_the_best_result_is_earned_after_a_quarter_of_the_steps(short: Any) -> None:
    assert bench.of_pattern(short)["share_of_best"] >= 0.5


def test_without_a_pattern_the_learnt_policy_holds(short: Any) -> None:
    assert bench.of_chance(short)["turnover"] < bench.STILL
