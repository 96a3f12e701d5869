"""Trained sentiment: learning, folds without near-duplicates, chance where labels mean nothing, files, commands."""

import argparse
from pathlib import Path

import msgspec
import numpy as np
import pytest

from detectors import registry
from detectors.commands import labelled_texts
from detectors.sentiment import models
from detectors.sentiment.grouping import groups
from detectors.sentiment.linear import model as linear
from detectors.sentiment.linear import training
from detectors.sentiment.linear.model import LinearModel, LinearScorer, terms
from detectors.sentiment.scorer import places
from evaluation import sentiment
from evaluation.sentiment import accuracy, calibration_error, macro_f1
from tapewatch.cli import main
from tapewatch.errors import TapewatchError
from tests.unit import labelled_news

TEXTS, LABELS = labelled_news.headlines(150)


@pytest.fixture(scope="module")
def model() -> LinearModel:
    return training.trained(TEXTS, places(LABELS), np.arange(len(TEXTS)), "en", seed=0)


def test_linear_model_learns_words_that_the_lexicon_does_not_know(model: LinearModel) -> None:
    found = LinearScorer(model).score(["Heron harbour backlog blossomed", "Heron harbour backlog withered"], "en")
    assert found[0] > 0.3
    assert found[1] < -0.3


def test_same_seed_gives_the_same_model_bit_for_bit(model: LinearModel) -> None:
    assert training.trained(TEXTS, places(LABELS), np.arange(len(TEXTS)), "en", seed=0).encoded() == model.encoded()


def test_scores_as_scikit_learn_would_and_alone_as_among_others(model: LinearModel) -> None:
    scorer, texts = LinearScorer(model), TEXTS[:20]
    together = scorer.classes(texts, "en")
    assert [scorer.classes([text], "en")[0].tolist() for text in texts] == together.tolist()
    counted = training.counts(TEXTS, "en")
    inputs = training._inputs(counted, np.arange(len(TEXTS)))
    fitted = training._fit(
        training._matrix(counted, inputs, np.arange(len(TEXTS))), places(LABELS), model.card.strength
    )
    odds = fitted.decision_function(training._matrix(counted, inputs, np.arange(20))) / model.described.temperature
    expected = np.exp(odds) / np.exp(odds).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(together, expected, atol=1e-5)


@pytest.mark.parametrize("hostile", ["", "\ud800", "\x00", "🚀", "a" * 1_000_000, "́" * 5000, "涨"])
def test_hostile_text_never_raises(model: LinearModel, hostile: str) -> None:
    found = LinearScorer(model).classes([hostile], "en" if hostile[:1] == "a" else "")
    np.testing.assert_allclose(found.sum(), 1.0, atol=1e-9)
    if hostile[:1] != "a":
        assert found[0].tolist() == [0.0, 1.0, 0.0]


def test_model_file_is_read_by_registry_and_scorers_with_the_same_hash(model: LinearModel) -> None:
    data = model.encoded()
    known = registry.read(data)
    assert (known.detector, known.hash) == (linear.DETECTOR, models.read(data).hash)
    assert known.summary()["language"] == "en"
    assert known.hash in known.markdown()


def test_model_made_with_another_lexicon_is_refused(model: LinearModel) -> None:
    other = LinearModel(msgspec.structs.replace(model.described, lexicon="0" * 16), model.arrays)
    with pytest.raises(ValueError, match="another lexicon"):
        linear.decode(other.encoded())


def test_two_classes_leave_the_third_at_zero() -> None:
    texts = [
        f"{text} {name}"
        for text in ("涨停 买入", "跌停 卖出")
        for name in ("沃森", "达安", "平安", "招商", "格力", "茅台")
    ]
    found = training.trained(texts, places(["1"] * 6 + ["0"] * 6), np.arange(12), "zh-Hans", seed=0)
    classes = LinearScorer(found).classes(["平安 涨停", "平安 跌停"], "zh-CN")
    assert classes[:, 1].tolist() == [0.0, 0.0]
    assert classes[0, 2] > 0.5 > classes[1, 2]


def test_too_few_texts_are_a_value_error() -> None:
    with pytest.raises(ValueError, match="different texts"):
        training.trained(["Profit rose", "Profit fell"], places(["positive", "negative"]), np.arange(2), "en", seed=0)


def test_near_duplicates_and_translations_are_of_one_group() -> None:
    english = [
        "Operating profit rose to EUR 1.2 mn",
        "The office moved",
        "Operating profit rose to EUR 37.5 mn",
        "Sales fell",
    ]
    korean = ["영업이익이 늘었다", "사무실을 옮겼다", "이익", "사무실을 옮겼다"]
    assert groups([english]).tolist() == [0, 1, 0, 2]
    assert groups([english, korean]).tolist() == [0, 1, 0, 1]


def test_hangul_is_also_read_by_its_letters() -> None:
    assert {view[:1] for view in terms("실적 3% 늘었다", "ko")} == {"w", "s", "j"}
    assert terms("실적 3%", "ko")["w"]["w실적 0"] == 1


def test_no_group_stands_on_both_sides_of_a_fold() -> None:
    grouped = np.arange(60) // 3
    for learnt, test in sentiment.split(places([*"10"] * 30), grouped, 4, seed=1):
        assert not set(grouped[learnt]) & set(grouped[test])


def test_shuffled_labels_are_judged_as_chance() -> None:
    texts, labels = labelled_news.headlines(240, seed=1)
    shuffled = places(np.random.default_rng(3).permutation(labels).tolist())
    rows = labelled_texts.LabelledTexts(texts, shuffled, [texts], "en", "made", "0")
    classes = sentiment.cross_validated(rows, groups([texts]), sentiment._linear, 3, seed=0)
    assert np.mean(classes.argmax(axis=1) == shuffled) < 0.45


def test_figures_of_known_confusions() -> None:
    perfect = np.diag([5.0, 3.0, 2.0]).ravel()
    assert (accuracy(perfect), macro_f1(perfect)) == (1.0, 1.0)
    half = np.array([[2.0, 0.0, 2.0], [0.0, 0.0, 0.0], [2.0, 0.0, 2.0]]).ravel()
    assert (accuracy(half), macro_f1(half)) == (0.5, 0.5)
    sure = np.tile([0.0, 0.0, 1.0], (1, 4, 1))
    assert calibration_error(np.array([2, 2, 0, 0]), sure) == 0.5


def test_known_shapes_need_no_columns(tmp_path: Path) -> None:
    phrases = tmp_path / "phrases.csv"
    phrases.write_text(
        "\ufefflabels,sentence,kor_sentence\npositive,Profit rose,이익이 늘었다\nnegative,Profit fell,이익이 줄었다\n"
    )
    korean = labelled_texts.read(phrases, language="ko")
    assert (korean.texts, korean.language, len(korean.columns)) == (["이익이 늘었다", "이익이 줄었다"], "ko", 2)
    assert labelled_texts.read(phrases, language="en").labels.tolist() == [2, 0]
    posts = tmp_path / "posts.tsv"
    posts.write_text('label\ttext\n1\t买入 "长期 持有\n0\t卖出\n')
    chinese = labelled_texts.read(posts)
    assert (chinese.language, chinese.labels.tolist(), chinese.texts[0]) == ("zh-Hans", [2, 0], '买入 "长期 持有')


@pytest.mark.parametrize(
    ("content", "said"),
    [("a,b\n1,2\n", "no known shape"), ("labels,sentence,kor_sentence\ngood,x,y\n", "'good'"), ("", "no known shape")],
)
def test_unfit_file_is_refused_with_what_to_do(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "file.csv"
    path.write_text(content)
    with pytest.raises(TapewatchError, match=said):
        labelled_texts.read(path, language="en")


def test_trained_file_lands_in_the_registry_and_scores(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    csv = labelled_news.write(tmp_path / "news.csv")
    words = [
        "--data",
        str(tmp_path),
        "train",
        "sentiment",
        "--csv",
        str(csv),
        "--text",
        "headline",
        "--labels",
        "label",
    ]
    assert main([*words, "--json"]) == 0
    document = msgspec.json.decode(capsys.readouterr().out)
    assert models.read(Path(document["saved"]).read_bytes()).score(["Ibis coast orders evaporated"], "en")[0] < 0.0
    assert document["language"] == "en"


@pytest.mark.slow
def test_evaluation_gives_figures_with_intervals_and_baselines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    csv = labelled_news.write(tmp_path / "news.csv")
    words = ["evaluate", "sentiment", "--csv", str(csv), "--text", "headline", "--labels", "label", "--folds", "2"]
    assert main([*words, "--json", "--report", str(tmp_path), "--keep", str(tmp_path / "folds")]) == 0
    first = capsys.readouterr().out
    assert main([*words, "--json", "--keep", str(tmp_path / "folds")]) == 0
    assert capsys.readouterr().out == first
    found = msgspec.json.decode(first)
    assert found["macro_f1"]["low"] <= found["macro_f1"]["mean"] <= found["macro_f1"]["high"]
    assert found["macro_f1"]["mean"] > found["baselines"]["majority"]["macro_f1"]["mean"]
    assert np.sum(found["confusion"]) == found["rows"] == 150
    assert "<img" in (tmp_path / "sentiment.html").read_text()


def test_first_folds_alone_can_be_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    csv = labelled_news.write(tmp_path / "news.csv")
    words = ["evaluate", "sentiment", "--csv", str(csv), "--text", "headline", "--labels", "label", "--folds", "3"]
    assert main([*words, "--kind", "lexicon", "--first", "1", "--json"]) == 0
    found = msgspec.json.decode(capsys.readouterr().out)
    assert np.sum(found["confusion"]) == pytest.approx(found["judged"]) == pytest.approx(50, abs=10)


def test_lexicon_is_judged_without_learning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    csv = labelled_news.write(tmp_path / "news.csv")
    words = ["evaluate", "sentiment", "--csv", str(csv), "--text", "headline", "--labels", "label", "--folds", "2"]
    assert main([*words, "--kind", "lexicon"]) == 0
    assert "lexicon" in capsys.readouterr().out
    with pytest.raises(TapewatchError, match="no encoder"):
        sentiment._kind(argparse.Namespace(kind="encoder", encoder=None))
