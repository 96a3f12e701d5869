"""Seven classes of the next day: nothing of later bars, chance for noise, probabilities that hold."""

import json
from dataclasses import replace

import numpy as np
import pytest

from detectors.forecast import boosted as boosted_model
from detectors.forecast import ordinal as ordinal_model
from detectors.forecast.boosted import model as boosted
from detectors.forecast.classes import CLASSES, classes
from detectors.forecast.direction import naive
from detectors.forecast.direction.filling import medians, scaled, spreads
from detectors.forecast.direction.fitting import blinded, calibrated, fit, labelled, newest, temperature, within
from detectors.forecast.direction.inputs import REACH, rows_of
from detectors.forecast.ordinal import model as ordinal
from detectors.forecast.ordinal import regression
from detectors.forecast.series import Panel, Reading, hash_of
from detectors.forecast.walk import folds, years
from evaluation import forecast_direction as judged
from evaluation import forecast_direction_figures as figures
from tapewatch.cli import main
from tests.unit.direction_market import DAY, panel, plain_rows


def quiet(line):
    pass


def first_fold(rows, first=2016):
    return within(next(folds(rows.at, rows.known, years(rows.at, first))), rows)


def later_changed(bars, row):
    """The panel with every bar after a row's made another."""

    def wrong(series):
        def changed(column):
            return np.where(np.arange(len(column)) > row, column * 1.7, column)

        return replace(
            series, **{name: changed(getattr(series, name)) for name in ("open", "high", "low", "close", "volume")}
        )

    return Panel({name: wrong(series) for name, series in bars.series.items()})


def test_no_later_bar_changes_an_input():
    bars, row = panel(160), 120
    before, after = rows_of(bars), rows_of(later_changed(bars, row))
    mine = before.at <= before.at[row]
    assert np.array_equal(before.values[mine], after.values[mine], equal_nan=True)
    assert np.array_equal(before.scale[mine], after.scale[mine], equal_nan=True)
    assert not np.array_equal(before.values[~mine], after.values[~mine], equal_nan=True)


def test_bars_before_the_reach_change_no_bit_of_the_newest_row():
    bars = panel(REACH + 100, 1)
    ((name, series),) = bars.series.items()
    whole, tail = rows_of(bars), rows_of(Panel({name: series[-REACH:]}))
    assert np.array_equal(whole.values[-1], tail.values[-1]) and whole.scale[-1] == tail.scale[-1]


def test_a_stop_of_trading_is_no_next_day():
    bars = panel(120, 1).series["M0.XNAS"]
    stopped = replace(bars, at=bars.at + np.where(np.arange(120) > 80, 40 * DAY, 0))
    found, whole = (rows_of(Panel({"M0.XNAS": each})).returns for each in (stopped, bars))
    assert np.flatnonzero(np.isnan(found)).tolist() == [80, 119]
    np.testing.assert_array_equal(np.delete(found, 80), np.delete(whole, 80))


def test_outside_series_that_begin_late_leave_older_rows_as_warm_as_they_are():
    bars = panel(120, 1)
    (series,) = bars.series.values()
    late = tuple(Reading(f"s{place}", "", "p", int(series.at[-3]), 1.0) for place in range(40))
    with_late = rows_of(Panel(bars.series, late))
    np.testing.assert_array_equal(with_late.usable(), rows_of(bars).usable())
    assert with_late.usable().sum() == 60


def test_a_row_is_followed_by_the_return_to_its_own_next_close():
    rows, bars = rows_of(panel(80)), panel(80)
    for place, name in enumerate(rows.instruments):
        close = bars.series[name].close
        mine = rows.returns[rows.starts[place] : rows.starts[place + 1]]
        assert np.allclose(mine[:-1], np.diff(np.log(close))) and np.isnan(mine[-1])


def test_cuts_and_what_a_learner_sees_are_blind_to_the_judged_year():
    rows = plain_rows(700, 2, 1)
    fold = first_fold(rows)
    wild = replace(rows, returns=np.where(fold.fit | fold.calibrate, rows.returns, 9.0))
    assert np.array_equal(labelled(rows, fold)[1], labelled(wild, fold)[1])
    labels = labelled(rows, fold)[0]
    assert np.array_equal(labels, labelled(wild, fold)[0]) and (labels[fold.test] == -1).all()
    assert np.isnan(blinded(rows, fold).returns[fold.test]).all()


def auc(rows, learn):
    return figures.document("x", judged.walked(rows, learn, 2017, 1, quiet), 300)


@pytest.mark.slow
@pytest.mark.parametrize("learn", [ordinal.learn, boosted.learn])
def test_noise_is_forecast_by_chance_and_a_planted_lean_is_found(learn):
    pytest.importorskip("xgboost")
    noise, planted = auc(plain_rows(1050, 2, 3), learn), auc(plain_rows(1050, 2, 3, told=0.5), learn)
    assert noise["auc"]["low"] <= 0.5 <= noise["auc"]["high"]
    assert not noise["compared"]["sign_auc_less_chance"]["skill"]
    assert planted["auc"]["low"] > 0.5 and planted["compared"]["sign_auc_less_chance"]["skill"]


def test_labels_shuffled_within_blocks_of_days_are_forecast_by_chance():
    rows = plain_rows(1050, 2, 4, told=0.3)
    rng, block = np.random.default_rng(5), (rows.at // DAY) // 73
    order = np.lexsort([rng.random(len(rows)), block, rows.instrument()])
    found = auc(replace(rows, returns=rows.returns[order]), ordinal.learn)
    assert found["auc"]["low"] <= 0.5 <= found["auc"]["high"]


@pytest.mark.slow
def test_large_moves_are_foretold_by_wild_spells_and_their_direction_is_not():
    found = figures.document("ordinal", judged.walked(rows_of(panel(1000, 3)), ordinal.learn, 2017, 1, quiet), 300)
    assert found["compared"]["auc_less_majority"]["skill"] and found["volatility"]["auc"]["low"] > 0.55
    assert not found["compared"]["sign_auc_less_chance"]["skill"]


def test_ordinal_regression_without_spread_is_the_proportional_odds_model():
    ordered = pytest.importorskip("statsmodels.miscmodels.ordinal_model").OrderedModel
    rng = np.random.default_rng(7)
    x = rng.normal(size=(1500, 2))
    labels = np.digitize(x @ [0.8, -0.4] + rng.logistic(size=1500), [-1.0, 0.5, 1.5])
    mine = regression.fit(x, labels, 4, 0.0, spread=False)
    theirs = ordered(labels, x, distr="logit").fit(method="bfgs", disp=False)
    assert mine.location == pytest.approx(theirs.params[:2], abs=2e-3) and not mine.spread.any()
    assert np.allclose(regression.probabilities(x, mine), theirs.predict(), atol=1e-3)


def test_ordinal_regression_finds_a_spread_that_widens():
    rng = np.random.default_rng(8)
    x = rng.normal(size=(6000, 1))
    labels = np.digitize(0.3 * x[:, 0] + np.exp(0.5 * x[:, 0]) * rng.logistic(size=6000), [-2.0, -0.5, 0.5, 2.0])
    found = regression.fit(x, labels, 5, 0.0)
    assert found.location == pytest.approx([0.3], abs=0.08) and found.spread == pytest.approx([0.5], abs=0.05)
    assert found.cuts == pytest.approx([-2.0, -0.5, 0.5, 2.0], abs=0.15)
    assert np.allclose(regression.probabilities(x, found).sum(axis=1), 1.0)


def test_boosted_trees_tell_without_xgboost_what_it_tells():
    xgboost = pytest.importorskip("xgboost")
    rng = np.random.default_rng(9)
    x = rng.normal(size=(900, 3)).astype(np.float32)
    labels = np.digitize(x[:, 0] + rng.normal(size=900), [-2.0, -1.0, -0.3, 0.3, 1.0, 2.0])
    booster = xgboost.train(boosted.PARAMETERS | {"seed": 1}, xgboost.DMatrix(x, labels), 20)
    groups = boosted.exported(booster)
    from detectors.boosted.model import forest

    mine = boosted.BoostedClassifier(np.zeros(3), groups, forest(groups, [0.0] * 7))
    rows = replace(plain_rows(900, 1, 0), values=x.astype(float))
    assert np.allclose(
        mine.probabilities(rows, np.ones(900, dtype=bool)), booster.predict(xgboost.DMatrix(x)), atol=1e-5
    )


def test_temperature_cools_who_is_too_sure_and_keeps_the_order():
    rng = np.random.default_rng(10)
    honest = rng.dirichlet(np.ones(7), 4000)
    labels = np.array([rng.choice(7, p=row) for row in honest])
    sure = calibrated(honest, 0.5)
    assert temperature(sure, labels) == pytest.approx(2.0, rel=0.1)
    assert temperature(honest, labels) == pytest.approx(1.0, rel=0.1)
    assert np.array_equal(calibrated(sure, 2.0).argmax(axis=1), sure.argmax(axis=1))


def test_what_is_not_known_stands_at_the_median_and_wild_values_are_held():
    values = np.array([[1.0, np.nan], [2.0, np.nan], [3.0, np.nan], [np.nan, np.nan], [9.0, np.nan], [9.0, np.nan]])
    held = np.vstack([values, np.full((1, 2), 1e9)])
    middle = medians(values)
    found = scaled(held, middle, spreads(values, middle))
    assert middle.tolist() == [3.0, 0.0] and found[3].tolist() == [0.0, 0.0] and found[-1].tolist() == [4.0, 4.0]


def test_naive_forecasts_know_shares_yesterday_and_how_much_it_moves():
    rows = plain_rows(700, 2, 11)
    fold = first_fold(rows)
    labels, cuts = labelled(rows, fold)
    found = naive.chances(rows, labels, fold, cuts)
    assert np.allclose(found["majority"][0], [0.05, 0.15, 0.2, 0.2, 0.2, 0.15, 0.05], atol=0.01)
    assert found["persistence"].sum() == fold.test.sum()
    row = np.flatnonzero(fold.test)[5]
    month = rows.returns[row - 20 : row].sum() / 20**0.5
    assert found["momentum"][5].argmax() == classes(np.array([month]), cuts)[0]
    wild = naive.chances(replace(rows, scale=rows.scale * np.where(fold.test, 3.0, 1.0)), labels, fold, cuts)
    assert (wild["volatility"][:, 0] > found["volatility"][:, 0]).all()
    assert np.allclose(found["volatility"].sum(axis=1), 1.0)


@pytest.mark.parametrize("module", [ordinal_model, boosted_model])
def test_a_model_file_comes_back_the_same_and_tells_every_warm_instrument(module):
    pytest.importorskip("xgboost")
    bars = panel(420)
    short = Panel(dict(bars.series) | {"NEW.XNAS": bars.series["M0.XNAS"][:30]})
    model = module.train(bars, 0)
    again = module.decode(model.encoded())
    assert again.hash == model.hash == module.train(bars, 0).hash and not model.problem()
    assert again.card.data_hash == hash_of(bars)
    told = module.predict(again, short)
    assert [each.instrument for each in told] == ["M0.XNAS", "M1.XNAS"]
    assert all(list(each.classes) == list(CLASSES) for each in told)
    assert all(sum(each.classes.values()) == pytest.approx(1.0) for each in told)
    assert told[0].as_of == bars.series["M0.XNAS"].at[-1] and told[0].horizon == "1d"
    assert model.hash in module.markdown(model) and module.summary(model)["detector"] == module.NAME
    with pytest.raises(ValueError, match="cuts"):
        module.decode(model.encoded().replace(b'"cuts":[', b'"cuts":[9,'))


def test_the_newest_fold_serves_every_known_row_and_judges_none():
    rows = rows_of(panel(300))
    fold = newest(rows)
    assert not fold.test.any() and (fold.fit | fold.calibrate)[rows.starts[1] - 2]
    assert not (fold.fit | fold.calibrate)[rows.starts[1] - 1]
    with pytest.raises(ValueError, match="too few bars"):
        newest(rows_of(panel(40)))


def test_a_seed_gives_the_same_bits_and_another_seed_others():
    pytest.importorskip("xgboost")
    rows = plain_rows(700, 2, 12, told=0.5)
    fold = first_fold(rows)
    one, same, other = (fit(boosted.learn, rows, fold, seed).probabilities(rows, fold.test) for seed in (1, 1, 2))
    assert np.array_equal(one, same) and not np.array_equal(one, other)


def write(folder, bars):
    folder.mkdir()
    for name, series in bars.series.items():
        dates = (series.at - DAY).astype("datetime64[ns]").astype("datetime64[D]")
        columns = (dates, series.open, series.high, series.low, series.close, series.volume)
        lines = [",".join(map(str, row)) for row in zip(*columns, strict=True)]
        (folder / f"{name}.csv").write_text("\n".join(["Date,Open,High,Low,Close,Volume", *lines]))


@pytest.mark.slow
def test_command_prints_one_document_and_an_escaped_page(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    folder = tmp_path / "a<b>"
    write(folder, panel(900))
    command = ["evaluate", "forecast", "--model", "ordinal", "--daily", str(folder), "--first-year", "2017"]
    assert main([*command, "--json", "--report", str(tmp_path / "report")]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["model"] == "ordinal" and document["data"] == ["a<b>"] and document["seeds"] == 1
    assert {"mean", "low", "high"} == document["auc"].keys() == document["majority"]["accuracy"].keys()
    assert sum(map(sum, document["confusion"])) == document["judged_rows"]
    page = (tmp_path / "report" / "forecast_ordinal.html").read_text()
    assert "a&lt;b&gt;" in page and "a<b>" not in page and page.count("data:image/png") == 3
    assert main([*command[:-1], "2030"]) != 0
    assert "first-year" in capsys.readouterr().err
