"""K-means scores of the engine, held against the formulas of docs/models.md, said again in plain Python."""

import math
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from detectors.kmeans import batch, fitting, score
from detectors.kmeans.model import KMeansModel, decode
from streams.driver import Driver, table
from streams.engine.detector_config import DetectorConfig
from streams.engine.models import KMEANS, KMEANS_CLASSIC, ActiveModels, ModelStore, shipped
from streams.engine.scenario_evaluation import DETECTORS
from tests.unit import engine_market as m
from tests.unit.engine_market import Event, heartbeats, in_order, quote, trade

NAN = float("nan")
A, T = "A.SIMX", "T.SIMX"
BARE = DetectorConfig(watch=False)

TOY = KMeansModel(
    KMEANS,
    inputs=("spread_bps", "depth_imb_1", "quote_rate_1s", "ret_5s"),
    location=(200.0, 0.0, 0.0, 0.0),
    scale=(0.01, 2.0, 1.0, 1.0),
    clip=3.0,
    centres=((0.0, 0.0, 1.0, 0.0), (3.0, 0.0, 1.0, 0.0), (0.0, 1.0, 1.0, 0.0)),
    sizes=(60, 30, 10),
    normal=(True, False, True),
    knots=((0.5, 0.1), (1.5, 0.2), (2.5, 0.9)),
    alert=2.0,
)
"""Its second centre is not normal trading."""


def parted(row: Sequence[float], model: KMeansModel) -> list[float]:
    """Distance of a row to every centre: the root mean square of the scaled difference over the inputs that are there,
    NaN where more than half of them are missing.
    """
    there = [place for place, value in enumerate(row) if not math.isnan(value)]
    if not there or len(row) - len(there) > len(row) / 2:
        return [NAN] * len(model.centres)
    scaled = {at: (row[at] - model.location[at]) * model.scale[at] for at in there}
    cut = {at: math.copysign(min(abs(value), model.clip), value) for at, value in scaled.items()}
    return [math.sqrt(math.fsum((cut[at] - centre[at]) ** 2 for at in there) / len(there)) for centre in model.centres]


def distance(row: Sequence[float], model: KMeansModel) -> float:
    """To the nearest centre of normal trading."""
    return min(far for far, normal in zip(parted(row, model), model.normal, strict=True) if normal)


def probability(far: float, knots: Sequence[tuple[float, float]]) -> float:
    """On the line through the knots, flat before the first and behind the last."""
    if math.isnan(far):
        return NAN
    if far <= knots[0][0] or far >= knots[-1][0]:
        return knots[0][1] if far <= knots[0][0] else knots[-1][1]
    (x0, y0), (x1, y1) = next(pair for pair in pairwise(knots) if pair[0][0] <= far <= pair[1][0])
    return y0 + (y1 - y0) * (far - x0) / (x1 - x0)


def judged_by(model: KMeansModel) -> ActiveModels:
    shelf = ModelStore()
    return ActiveModels(shelf, {model.detector: shelf.put(model.encoded())}, BARE)


Scores = Mapping[tuple[str, int], tuple[float, float]]


def scores(driver: Driver, detector: str = KMEANS) -> Scores:
    """Distance and probability of every score row, by instrument and second of the market that was closed."""
    rows: dict[str, Any] = table(driver.outgoing(), "scores")
    mine = rows["detector"] == DETECTORS.index(detector)
    keys = zip(rows["instrument"][mine], (rows["ts"][mine] // 10**9 - m.START - 1).tolist(), strict=True)
    pairs = zip(rows["raw"][mine].tolist(), rows["probability"][mine].tolist(), strict=True)
    return dict(zip(keys, pairs, strict=True))


def hand_made() -> list[Event]:
    """One instrument's quotes, one row of inputs a second; another has trades alone."""
    usual = [quote(A, second + 0.5, 99, 101) for second in (0, 5, 6)]
    wide, far = quote(A, 1.5, 97.5, 102.5), [quote(A, second, 95, 105) for second in (7.5, 8.5)]
    leaning = [quote(A, 2.5, 99, 101, 6.0, 2.0), quote(A, 3.5, 99, 101, 2.0, 6.0)]
    busy = [quote(A, 4.0 + part / 8, 99, 101) for part in range(6)]
    return in_order(heartbeats(10), usual, [wide], leaning, busy, far, [trade(T, k + 0.25, 50.0) for k in range(8)])


def test_hand_made_rows_have_the_distance_and_the_probability_of_the_formula() -> None:
    found = scores(m.run(hand_made(), force=judged_by(TOY)))
    expected = {
        0: (0.0, 0.1),  # (0, 0, 1, -) is the first centre; the return of five seconds is not there yet
        1: (math.sqrt(9 / 3), 0.2 + 0.7 * (math.sqrt(3) - 1.5)),  # (3, 0, 1, -): the near centre is not normal
        2: (0.0, 0.1),  # (0, 1, 1, -) is the third centre
        3: (math.sqrt(1 / 3), 0.1 + 0.1 * (math.sqrt(1 / 3) - 0.5)),  # (0, -1, 1, -)
        4: (math.sqrt(4 / 3), 0.1 + 0.1 * (math.sqrt(4 / 3) - 0.5)),  # (0, 0, 6, -), cut at 3
        5: (0.0, 0.1),  # (0, 0, 1, 0)
        6: (0.0, 0.1),
        7: (1.5, 0.2),  # (8, 0, 1, 0), cut at 3: root of 9 / 4, on the second knot
        8: (1.5, 0.2),
        9: (math.sqrt(10 / 4), 0.2 + 0.7 * (math.sqrt(10 / 4) - 1.5)),  # the same without a quote in the second
    }
    mine = {second: pair for (name, second), pair in found.items() if name == A}
    assert mine.keys() == expected.keys()
    for second, pair in expected.items():
        assert mine[second] == pytest.approx(pair, rel=1e-6, abs=1e-9), second


def plain(*inputs: str) -> KMeansModel:
    """One centre, 2 in each of these inputs, which are not scaled."""
    count = len(inputs)
    zeros, ones, centre = (0.0,) * count, (1.0,) * count, (2.0,) * count
    return KMeansModel(KMEANS, inputs, zeros, ones, 9.0, (centre,), (1,), (True,), TOY.knots, TOY.alert)


def test_row_of_less_than_half_of_the_inputs_has_no_distance_and_one_of_half_of_them_has() -> None:
    """An instrument of trades alone: its return is there after five seconds and 0, spread and touch never are."""
    half = scores(m.run(hand_made(), force=judged_by(plain("spread_bps", "ret_5s"))))
    third = scores(m.run(hand_made(), force=judged_by(plain("spread_bps", "depth_imb_1", "ret_5s"))))
    for second in range(10):
        assert half[T, second] == pytest.approx((2.0, 0.55) if second >= 5 else (NAN, NAN), nan_ok=True)
        assert third[T, second] == pytest.approx((NAN, NAN), nan_ok=True)


@cache
def seeded() -> tuple[Event, ...]:
    return tuple(m.RandomMarket(seed=29, seconds=150, silence=(70, 78), rate=3.0).events())


SHORT = (
    "ret_1s",
    "ret_5s",
    "volume_1s",
    "signed_volume_1s",
    "spread_bps",
    "microprice_dev_bps",
    "depth_imb_1",
    "ofi_1s",
)
"""Inputs that are there after few seconds, or for some instruments never."""


def random_model(seed: int) -> KMeansModel:
    random = np.random.default_rng(seed)
    return KMeansModel(
        KMEANS,
        inputs=SHORT,
        location=tuple(random.normal(size=8).tolist()),
        scale=(2000.0, 900.0, 0.05, 0.02, 0.4, 0.5, 2.5, 0.1),
        clip=2.5,
        centres=tuple(map(tuple, random.normal(size=(6, 8)).tolist())),
        sizes=(6, 5, 4, 3, 2, 1),
        normal=(True, False, True, True, False, True),
        knots=((0.4, 0.125), (1.1, 0.25), (1.3, 0.5), (1.6, 0.5), (2.2, 0.875)),
        alert=2.0,
    )


@pytest.mark.parametrize("model", [decode(shipped()[KMEANS]), random_model(1), random_model(2)], ids=("shipped", 1, 2))
def test_every_score_of_a_seeded_market_is_what_the_formula_gives_of_its_features(model: KMeansModel) -> None:
    driver = m.run(seeded(), force=judged_by(model))
    features, found = m.features(driver), scores(driver)
    seconds = (features["ts"] // 10**9 - m.START - 1).tolist()
    rows = dict(
        zip(
            zip(features["instrument"], seconds, strict=True),
            zip(*(features[name].astype(float).tolist() for name in model.inputs), strict=True),
            strict=True,
        )
    )
    assert found.keys() == rows.keys()
    wanted = {key: distance(row, model) for key, row in rows.items()}
    chances = {key: probability(far, model.knots) for key, far in wanted.items()}
    assert [found[key][0] for key in wanted] == pytest.approx(list(wanted.values()), rel=1e-6, nan_ok=True)
    assert [found[key][1] for key in wanted] == pytest.approx(list(chances.values()), rel=1e-5, nan_ok=True)
    there = [far for far in wanted.values() if not math.isnan(far)]
    assert len(set(there)) > 50 and len(there) < len(wanted)


@pytest.mark.parametrize("model", [decode(shipped()[KMEANS]), random_model(5)], ids=("shipped", 5))
def test_blocks_of_rows_and_single_rows_have_the_distances_of_the_formula_whatever_is_missing(
    model: KMeansModel,
) -> None:
    random, inputs = np.random.default_rng(6), len(model.inputs)
    rows = random.normal(model.location, 2.0 / np.array(model.scale), size=(200, inputs)).astype(np.float32)
    rows[random.random(rows.shape) < random.random((200, 1))] = NAN
    rows[:2] = NAN
    rows[2, 0] = math.inf
    columns = np.ascontiguousarray(rows.T[::-1])
    centres, work = model.centres_for(model.inputs[::-1]), np.empty((inputs + 3, score.BLOCK))
    wanted = [distance(row, model) for row in rows.astype(float).tolist()]
    # As Python: the engine's scores above are of the compiled one, which by itself would be compiled anew each time.
    of_block: Any = getattr(score.distances, "py_func", score.distances)
    for first in range(0, 200, score.BLOCK):
        block = np.zeros(score.BLOCK)
        count = min(score.BLOCK, 200 - first)
        of_block(columns, first, count, centres, work, block)
        assert block[:count].tolist() == pytest.approx(wanted[first : first + count], rel=1e-12, nan_ok=True)
    alone = batch.distances(np.ascontiguousarray(columns.T, dtype=np.float64), centres)
    assert alone.tolist() == pytest.approx(wanted, rel=1e-12, nan_ok=True)
    places = [0.0, 1e9, *(far for far, _ in model.knots), *wanted]
    assert batch.probabilities(np.array(places), centres.knots).tolist() == pytest.approx(
        [probability(far, model.knots) for far in places], rel=1e-12, nan_ok=True
    )
    assert 20 < np.isnan(wanted).sum() < 180


def test_cluster_of_a_row_is_the_nearest_of_all_centres_the_first_of_two_as_near() -> None:
    model = random_model(3)
    centre, spread = np.array(model.location), 1.0 / np.array(model.scale)
    rows = np.random.default_rng(4).normal(centre, 1.5 * spread, size=(400, len(model.inputs)))
    apart = [parted(row, model) for row in rows.tolist()]
    assert fitting.assigned(rows, model).tolist() == [each.index(min(each)) for each in apart]
    hand = np.array([[200.0, 0.0, 1.0, 0.0], [500.0, 0.0, 1.0, 0.0], [200.0, 0.5, 1.0, 0.0], [200.0, 0.25, 1.0, 0.0]])
    assert fitting.assigned(hand, TOY).tolist() == [0, 1, 2, 0]


def test_minute_bar_is_scored_by_the_change_of_price_and_of_volume_in_percent() -> None:
    classic = KMeansModel(
        KMEANS_CLASSIC, ("price_change_1m_pct", "volume_change_1m_pct"), (0.5, 10.0), (2.0, 0.05), 1000.0,
        centres=((0.0, 0.0), (1.0, 2.0)), sizes=(9, 1), normal=(True, False), knots=((0.0, 0.0), (4.0, 1.0)), alert=9.0,
    )  # fmt: skip
    trades = [(10, 100.0, 8.0), (70, 101.0, 12.0), (150, 101.0, 0.0), (190, 101.0, 3.0), (250, 202.0, 6.0)]
    driver = m.run(
        in_order([trade(A, when, price, qty) for when, price, qty in trades], heartbeats(300)), force=judged_by(classic)
    )
    found = scores(driver, KMEANS_CLASSIC)
    expected = {
        59: (NAN, NAN),  # no minute before it
        119: (math.sqrt(5 / 2), math.sqrt(5 / 2) / 4),  # +1 % and +50 %: scaled (1, 2)
        179: (math.sqrt(31.25 / 2), math.sqrt(31.25 / 2) / 4),  # 0 % and -100 %: scaled (-1, -5.5)
        239: (NAN, NAN),  # after a minute without volume
        299: (math.sqrt(39621.25 / 2), 1.0),  # +100 % and +100 %: scaled (199, 4.5)
    }
    assert list(found) == [(A, second) for second in expected]
    for second, pair in expected.items():
        assert found[A, second] == pytest.approx(pair, rel=1e-6, nan_ok=True), second
