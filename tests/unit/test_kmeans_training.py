"""K-means training: the classic pair, stable cluster numbers, calibration, the alert budget and the model file."""

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.kmeans import batch, budget, calibration, fitting, model, sample, score, training
from detectors.kmeans.model import markdown
from detectors.kmeans.sample import Bars
from detectors.kmeans.training import Recipe
from detectors.model_file import content_hash
from detectors.scenarios.kmeans_anomaly import Parameters as AnomalyParameters
from streams.engine.detector_config import DetectorConfig
from streams.engine.features import NAMES
from streams.engine.models import ActiveModels, ModelStore, shipped
from tapewatch import cli
from tapewatch.errors import TapewatchError

MINUTE_NS = 60 * 10**9


def bars(minutes: list[int], close: list[float], volume: list[float], instrument: str = "A.XXXX") -> Bars:
    names = np.array([instrument] * len(minutes), dtype=object)
    return Bars(names, np.array(minutes), np.array(close), np.array(volume))


def market(rows: int = 4000, seed: int = 1, instruments: int = 2) -> sample.Sample:
    """Normal rows of three inputs, with a far stretch now and then that is labelled."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((rows * instruments, 3)) * [1.0, 5.0, 0.1] + [0.0, 100.0, 3.0]
    labels = np.zeros(rows * instruments, dtype=np.int8)
    for start in range(500, rows * instruments - 10, 2000):
        values[start : start + 5] += [12.0, 60.0, 1.2]
        labels[start : start + 5] = 1
    names = np.repeat([f"S{number}" for number in range(instruments)], rows).astype(object)
    steps = np.tile(np.arange(rows, dtype=np.int64), instruments)
    return sample.build(names, steps, ("a", "b", "c"), values, 1, labels)


def trained(seed: int = 0, **changes: Any) -> model.KMeansModel:
    return training.train(Recipe("kmeans", ("a", "b", "c"), 4, seed=seed), market(seed=1), market(seed=2), **changes)


def test_pair_is_the_change_against_the_minute_before_in_percent() -> None:
    found, counts = sample.pairs(bars([1, 2, 3], [100.0, 101.0, 101.0], [10.0, 15.0, 0.0]))
    np.testing.assert_allclose(found.values, [[1.0, 50.0], [0.0, -100.0]])
    assert counts == sample.PairCounts(bars=3, pairs=2, first=1, null_volume=0)


def test_change_after_a_minute_without_volume_is_null_and_counted() -> None:
    found, counts = sample.pairs(bars([1, 2, 3], [100.0, 101.0, 102.0], [10.0, 0.0, 5.0]))
    assert found.values.tolist() == [[pytest.approx(1.0), -100.0]]
    assert counts.null_volume == 1


def test_bar_after_missing_minutes_has_no_pair() -> None:
    _, counts = sample.pairs(bars([1, 5], [100.0, 101.0], [10.0, 10.0]))
    assert (counts.pairs, counts.first) == (0, 2)


def test_minutes_without_a_trade_are_flat_bars_without_volume() -> None:
    names = np.array(["A.XXXX"] * 3, dtype=object)
    ts = np.array([3 * MINUTE_NS + 5, 0, 10])
    made = sample.bars_of_trades(names, ts, np.array([12.0, 10.0, 11.0]), np.array([1.0, 2.0, 3.0]))
    assert made.minutes.tolist() == [0, 1, 2, 3]
    assert made.close.tolist() == [11.0, 11.0, 11.0, 12.0]
    assert made.volume.tolist() == [5.0, 0.0, 0.0, 1.0]


def test_pairs_do_not_cross_instruments() -> None:
    two = Bars(np.array(["A", "B"], dtype=object), np.array([1, 2]), np.ones(2), np.ones(2))
    assert sample.pairs(two)[1].pairs == 0


def test_robust_scale_is_one_for_a_standard_normal_and_zero_for_a_constant() -> None:
    values = np.column_stack([np.random.default_rng(1).standard_normal(100_000), np.full(100_000, 7.0)])
    location, scale = fitting.scaling_of(values, "robust")
    assert scale[0] == pytest.approx(1.0, abs=0.02)
    assert (location[1], scale[1]) == (7.0, 0.0)


def test_clusters_are_sorted_by_size_and_the_largest_is_normal() -> None:
    rng = np.random.default_rng(3)
    values = np.concatenate([rng.normal(0, 1, (900, 2)), rng.normal(30, 1, (80, 2)), rng.normal(-40, 1, (20, 2))])
    names = np.full(1000, "A", dtype=object)
    rows = sample.build(names, np.arange(1000), model.PAIR, values[rng.permutation(1000)], 60)
    made = training.train(Recipe("kmeans_classic", model.PAIR, 3), rows, rows)
    assert made.sizes == (900, 80, 20)
    assert made.normal == (True, False, False)


def test_cluster_numbers_follow_the_previous_model_whatever_the_seed() -> None:
    first = trained()
    swapped = msgspec.structs.replace(
        first, centres=first.centres[::-1], sizes=first.sizes[::-1], normal=first.normal[::-1]
    )
    again = trained(previous=swapped)
    np.testing.assert_allclose(again.raw_centres(), swapped.raw_centres(), rtol=1e-6)


def test_same_seed_gives_the_same_hash() -> None:
    assert trained().hash == trained().hash


def test_a_normal_row_lies_near_and_a_manipulated_one_far() -> None:
    made, rows = trained(labelled=market(seed=3), prior=0.01), market(seed=4)
    found = training.score_rows(made, rows)
    assert rows.labels is not None
    assert np.median(found[rows.labels == 1]) > 3.0 * np.median(found[rows.labels == 0])
    chance = batch.probabilities(found, np.array(made.knots).T.copy())
    assert chance[rows.labels == 1].mean() > 0.5 > chance[rows.labels == 0].mean()


def test_probability_never_falls_with_distance() -> None:
    made = trained(labelled=market(seed=3), prior=0.01)
    assert all(a[0] < b[0] and a[1] <= b[1] for a, b in zip(made.knots, made.knots[1:], strict=False))


def test_counted_budget_is_kept_and_nearly_spent() -> None:
    rows = market(rows=20_000, instruments=8)
    found = training.score_rows(trained(), rows)
    spent = budget.alert_distance(rows, found, 20.0)
    assert "counted" in spent.method
    assert 0.5 * 20.0 * spent.days <= spent.episodes <= 20.0 * spent.days


def test_smaller_budget_means_a_larger_alert_distance_beyond_the_data_too() -> None:
    rows = market(rows=20_000, instruments=4)
    found = training.score_rows(trained(), rows)
    limits = [budget.alert_distance(rows, found, per_day).distance for per_day in (50.0, 10.0, 1.0, 0.01)]
    assert limits == sorted(limits)


def test_rows_known_to_be_manipulated_do_not_spend_the_budget() -> None:
    rows = market()
    found = training.score_rows(trained(), rows)
    assert budget.false_episodes(rows, found, 8.0) == 0
    assert (
        budget.false_episodes(
            sample.build(np.repeat(["a"], len(rows)).astype(object), np.arange(len(rows)), rows.names, rows.values),
            found,
            8.0,
        )
        > 0
    )


@settings(deadline=None)  # the first call may compile
@given(st.lists(st.floats(0, 10) | st.just(float("nan")), min_size=1, max_size=40), st.integers(1, 4))
def test_held_distance_is_what_all_of_the_last_seconds_reached(found: list[float], hold: int) -> None:
    values = np.array(found)
    levels = batch.held(values, np.arange(len(found)), np.array([0, len(found)]), hold)
    for row, level in enumerate(levels):
        window = values[max(0, row - hold + 1) : row + 1]
        due = window.min() if len(window) == hold and not np.isnan(window).any() else np.nan
        np.testing.assert_equal(level, due)


def test_batch_distance_is_the_engines_distance_bit_for_bit() -> None:
    made, rows = trained(), market(seed=5)
    centres = made.centres_for(rows.names)
    single = [score.distance(row, centres) for row in rows.values[:50]]
    assert training.score_rows(made, rows)[:50].tolist() == single


def test_tail_knots_give_the_share_that_lies_nearer() -> None:
    found = np.random.default_rng(1).exponential(size=100_000)
    knots = np.array(calibration.tail_knots(found)).T.copy()
    assert score.probability(float(np.quantile(found, 0.99)), knots) == pytest.approx(0.99, abs=0.002)


def test_budget_rule_in_minutes_takes_one_far_bar() -> None:
    rule = budget.rule_for(60)
    assert (rule.hold_s, rule.cooldown_s) == (1.0, AnomalyParameters().cooldown_s / 60)


def test_shipped_models_are_sound_small_and_load_into_the_engine() -> None:
    for name in model.DETECTORS:
        data = shipped()[name]
        made = model.decode(data)
        assert made.detector == name
        assert made.problem() == ""
        assert made.encoded() == data
        assert len(data) < 100_000
        assert made.card.command in markdown(made)
    force = ActiveModels.default(ModelStore())
    assert set(force.models) > set(model.DETECTORS)


def test_cards_in_docs_are_those_of_the_shipped_models() -> None:
    cards = Path(__file__).parents[2] / "docs" / "cards"
    for name in model.DETECTORS:
        data = shipped()[name]
        assert (cards / f"{name}.md").read_text().startswith(markdown(model.decode(data)))


def test_shipped_model_scores_a_feed_of_trades_alone_and_not_one_of_prices_alone() -> None:
    made = model.decode(shipped()["kmeans"])
    row = np.zeros((1, len(NAMES)))
    for name in training.TIERS["trades only"]:
        row[0, NAMES.index(name)] = np.nan
    assert not np.isnan(batch.distances(row, made.centres_for(NAMES)))[0]
    for name in training.TIERS["quotes and books"]:
        row[0, NAMES.index(name)] = np.nan
    assert np.isnan(batch.distances(row, made.centres_for(NAMES)))[0]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"clip": 0.0}, "clip"),
        ({"normal": (False, False, False, False)}, "no centre is normal"),
        ({"inputs": ("a", "a", "c")}, "stands twice"),
        ({"centres": ((1.0,),) * 4}, "a centre does not match"),
        ({"knots": ((1.0, 0.1), (1.0, 0.2))}, "knots must increase"),
        ({"alert": float("nan")}, "not finite"),
        ({"detector": "other"}, "is none of"),
    ],
)
def test_unsound_model_says_what_is_wrong(changes: dict[str, Any], said: str) -> None:
    assert said in msgspec.structs.replace(trained(), **changes).problem()


def test_in_force_refuses_a_model_of_another_detector() -> None:
    data = shipped()["kmeans"]
    with pytest.raises(TapewatchError, match="is of 'kmeans'"):
        ActiveModels(ModelStore(), {"kmeans_classic": content_hash(data)}, DetectorConfig())


def test_train_command_writes_registry_out_file_and_one_json_document(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = 12_000
    rng = np.random.default_rng(1)
    table = pa.table(
        {
            "instrument": ["A.XXXX"] * rows,
            "ts": pa.array(np.arange(1, rows + 1) * 10**9, pa.timestamp("ns", tz="UTC")),
            "ret_5s": rng.standard_normal(rows).astype(np.float32),
            "spread_ratio": rng.exponential(size=rows).astype(np.float32),
        }
    )
    pq.write_table(table, tmp_path / "f.parquet")
    words = ["--data", str(tmp_path), "train", "kmeans", "--features", str(tmp_path / "f.parquet"), "-k", "2"]
    words += ["--inputs", "ret_5s", "spread_ratio", "--out", str(tmp_path / "m.json"), "--budget", "500", "--json"]
    assert cli.main(words) == 0
    told = json.loads(capsys.readouterr().out)
    made = model.decode((tmp_path / "m.json").read_bytes())
    assert told["hash"] == made.hash
    assert (tmp_path / "models" / f"{made.hash}.json").read_bytes() == made.encoded()
    assert made.centres_for(NAMES).index.tolist() == [NAMES.index("ret_5s"), NAMES.index("spread_ratio")]


def test_train_command_takes_minute_bars_in_csv_and_says_what_was_null(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(1)
    close = 100.0 + rng.standard_normal(3000).cumsum() * 0.01
    lines = ["timestamp_utc,open,high,low,close,volume"]
    for minute, price in enumerate(close):
        time = f"2024-01-{1 + minute // 1440:02d} {minute // 60 % 24:02d}:{minute % 60:02d}:00"
        lines.append(f"{time},{price},{price},{price},{price},{0 if minute % 100 == 0 else 100 + minute % 7}")
    (tmp_path / "A_1m.csv").write_text("\n".join(lines) + "\n")
    assert cli.main(["--data", str(tmp_path), "train", "kmeans", "--bars", str(tmp_path / "A_1m.csv"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["detector"] == "kmeans_classic"
    assert told["bars"] == {"bars": 3000, "pairs": 2969, "first": 1, "null_volume": 30}
    assert cli.main(["--data", str(tmp_path), "train", "kmeans", "--bars", str(tmp_path / "A_1m.csv"), "-k", "5"]) == 1
    assert "2, 3 or 4" in capsys.readouterr().err


def test_scatter_plot_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    fitting.scatter(trained(), market(), tmp_path / "p.png")
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
