"""The book model: compiled trees equal scikit-learn's, files are refused where they do not fit, what ships is small."""

import msgspec
import numpy as np
import pytest

from detectors.book import model, training
from detectors.book.batch import features
from detectors.book.features import COUNT, NAMES
from detectors.book.training import Example, Recipe
from detectors.book.trees import score_rows
from tests.unit.book_tape import ASK, BID, START, Order, Trade, tape

SHIPPED = model.shipped()


def probabilities(rows: np.ndarray, of: model.BookModel = SHIPPED) -> np.ndarray:
    out = np.zeros((len(rows), len(model.SCENARIOS)))
    score_rows(rows, of.trees(), out)
    return out


def example() -> Example:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(900, COUNT))
    starts = range(40, 880, 60)
    for start in starts:
        x[start : start + 6] += 1.5
    events = [("spoofing", START + start, START + start + 5.0) for start in starts]
    return Example("drawn", 0.0, START + np.arange(900), x, events)


def fitted() -> training.ScenarioBoosters:
    return training.fit([example()], 0, Recipe(trees=20, least_rows=5, proof_trees=10, proof_rows=5))


def test_compiled_trees_equal_scikit_learns() -> None:
    one, trained = example(), fitted()
    exported = training.export(trained)
    others = SHIPPED.boosters[1:]
    found = probabilities(one.x, msgspec.structs.replace(SHIPPED, boosters=(exported, *others)))[:, 0]
    wanted = 1.0 / (1.0 + np.exp(-trained.log_odds(one.x)))
    assert (one.x[:, NAMES.index("gone_largest")] > training.GATE).any()
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-9)


@pytest.mark.slow
def test_training_is_a_function_of_rows_and_seed() -> None:
    assert training.export(fitted()) == training.export(fitted())


def test_rows_that_are_not_warm_have_no_probability() -> None:
    rows = np.full((2, COUNT), np.nan)
    rows[1] = 0.0
    found = probabilities(rows)
    assert np.isnan(found[0]).all() and ((found[1] > 0.0) & (found[1] < 1.0)).all()


def test_shipped_model_is_small_fits_the_features_and_reads_back() -> None:
    assert SHIPPED.inputs == NAMES
    assert len(SHIPPED.encoded()) < 500_000
    assert model.decode(SHIPPED.encoded()).hash == SHIPPED.hash
    assert all(0.0 < booster.alert <= 1.0 for booster in SHIPPED.boosters)


def test_model_whose_walk_would_not_end_is_refused() -> None:
    first = SHIPPED.boosters[0]
    looped = msgspec.structs.replace(first, left=tuple(0 for _ in first.left))
    with pytest.raises(ValueError, match="do not lie behind"):
        model.decode(msgspec.structs.replace(SHIPPED, boosters=(looped, *SHIPPED.boosters[1:])).encoded())


def test_alert_level_spends_no_more_than_allowed() -> None:
    one = example()
    score = np.asarray(np.random.default_rng(5).normal(size=900))
    level = training.alert_level([one], [score], allowed=20.0, gap_s=10)
    hours = one.ordinary().sum() / 3600.0
    assert training.openings(one.second, score, one.ordinary(), level, 10) <= 20.0 * hours


def peak(orders: list[Order], trades: list[Trade], scenario: int) -> float:
    rows = probabilities(features(tape(orders, trades))[1])
    return float(rows[30:36, scenario].max())


def test_cancelled_order_scores_above_traded_one() -> None:
    spoof = Order(BID, 3, 60.0, 30.2, 33.4)
    assert peak([spoof], [], 0) > 1.3 * peak([spoof], [Trade(33.35, BID, 3, 60.0)], 0)


def test_layers_of_one_side_score_above_a_refresh_of_both() -> None:
    layers = [Order(BID, level, 15.0, 30.2, 33.4) for level in range(2, 7)]
    both = layers + [Order(ASK, order.level, order.qty, order.begin, order.end) for order in layers]
    assert peak(layers, [], 1) > peak(both, [], 1)


def test_flickering_quotes_score_as_stuffing() -> None:
    calm = probabilities(features(tape([], []))[1])[20:, 2].max()
    stuffed = probabilities(features(tape([], [], flicker=(30.0, 34.0)))[1])[31:34, 2].max()
    assert stuffed > 0.5 > calm
