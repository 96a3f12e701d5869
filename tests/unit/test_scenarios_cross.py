"""Cross-market manipulation: a push, a follower, profit taken there, and the push let go."""

import math

import msgspec
import numpy as np
import pytest

from benchmarks.account_controls import pushed_and_follower
from detectors.scenarios import cross
from detectors.scenarios import observation as at

RULE = np.array(msgspec.structs.astuple(cross.Parameters()))


def strength(first: np.ndarray, second: np.ndarray) -> float:
    return float(cross.strength(first, second, RULE, np.zeros(16)))


def test_a_push_that_moves_another_market_and_is_let_go_hits() -> None:
    values = np.zeros(16)
    assert cross.strength(*pushed_and_follower(), RULE, values) >= 1.0
    found = dict(zip(cross.VALUES, values.tolist(), strict=False))
    assert found["push"] == pytest.approx(0.01)
    assert (found["lag"], found["direction"]) == (3.0, 1.0)
    assert "followed 3 s later by 50 %" in cross.sentence(values.tolist(), "A.SIMX and B.SIMX", False)


@pytest.mark.parametrize(
    ("why", "markets"),
    [
        ("the leader keeps its price", pushed_and_follower(gives_back=0.001)),
        ("the follower is traded with its move", pushed_and_follower(taken=0.5)),
        ("both move at once", pushed_and_follower(lag=0)),
        ("the other leads", pushed_and_follower()[::-1]),
    ],
)
def test_no_hit_where(why: str, markets: tuple[np.ndarray, np.ndarray]) -> None:
    assert strength(*markets) < 1.0


def test_a_missing_second_is_not_assessable() -> None:
    first, second = pushed_and_follower()
    second[10, at.RET_1S] = np.nan
    assert math.isnan(strength(first, second))
