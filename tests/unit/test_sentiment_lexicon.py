"""The lexicon: what headlines in four ways of writing score, what hostile text cannot do, and the file itself."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors import registry
from detectors.sentiment import models
from detectors.sentiment.lexicon import model
from detectors.sentiment.lexicon.score import LexiconScorer
from detectors.sentiment.text import LANGUAGES, LONGEST, cleaned, language_of, problem

SCORER = LexiconScorer()


def score(text: str, language: str = "") -> float:
    return float(SCORER.score([text], language)[0])


@pytest.mark.parametrize(
    "good",
    ["Company wins contract", "營收年增三成 創新高", "业绩大增 涨停", "영업이익 사상 최대 달성", "Profit rose sharply"],
)
def test_good_news_scores_above_zero_in_every_language(good: str) -> None:
    assert score(good) > 0.3


@pytest.mark.parametrize(
    "bad",
    ["Bank files for bankruptcy", "虧損擴大 股價重挫", "业绩暴雷 跌停", "실적 부진에 주가 급락", "Profit fell sharply"],
)
def test_bad_news_scores_below_zero_in_every_language(bad: str) -> None:
    assert score(bad) < -0.3


@pytest.mark.parametrize("text", ["Operating loss narrowed", "失業率下降", "영업손실이 감소했다", "成本下降"])
def test_fall_of_a_bad_thing_is_good(text: str) -> None:
    assert score(text) > 0.3


@pytest.mark.parametrize("text", ["Sales did not improve", "獲利未見成長", "매출이 증가하지 않았다"])
def test_negation_turns_what_stands_near_it(text: str) -> None:
    assert score(text) < 0.0


def test_degrees_make_a_movement_more_or_less() -> None:
    assert score("Sales fell sharply") < score("Sales fell") < score("Sales fell slightly") < 0.0


def test_what_may_be_counts_less_than_what_is() -> None:
    assert 0.0 < score("Sales could rise") < score("Sales rise")


def test_neutral_term_hides_the_words_within_it() -> None:
    assert score("不動產未來展覽") == 0.0
    assert score("Up to ten shops") == 0.0


@pytest.mark.parametrize(
    ("text", "stated", "language"),
    [
        ("Profit rose", "", "en"),
        ("삼성전자 AI 반도체", "", "ko"),
        ("台積電營收創新高", "", "zh-Hant"),
        ("这个股票涨了", "", "zh-Hans"),
        ("這個股票", "zh", "zh-Hant"),
        ("这个股票", "zh-CN", "zh-Hans"),
        ("这个股票", "zh-TW", "zh-Hant"),
        ("台積電", "zh_Hant_HK", "zh-Hant"),
        ("トヨタの利益が増えた", "", ""),
        ("Gewinn steigt", "de", ""),
        ("12345 🚀", "", ""),
    ],
)
def test_language_is_the_stated_one_or_by_script(text: str, stated: str, language: str) -> None:
    assert language_of(text, stated) == language


@pytest.mark.parametrize("hostile", ["", " ", "\ud800", "\x00\x01\x1b[31", "🚀🚀", "́" * 1000, "-'-'", "*", "1.5%"])
def test_text_without_letters_is_neutral_with_a_reason(hostile: str) -> None:
    for language in ("", *LANGUAGES, "xx"):
        assert score(hostile, language) == 0.0
    assert problem(hostile) == "no letters"


def test_megabyte_of_text_costs_no_more_than_its_head() -> None:
    text = "profit rose, " * 80_000
    assert score(text) == score(text[:LONGEST])


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(), max_size=60), st.sampled_from(["", *LANGUAGES, "de"]))
def test_no_text_raises_and_scores_are_differences_of_classes(text: str, language: str) -> None:
    found, classes = SCORER.score([text], language), SCORER.classes([text], language)
    assert np.abs(found[0]) <= 1.0
    np.testing.assert_allclose(classes.sum(), 1.0, atol=1e-12)
    np.testing.assert_allclose(classes[0, 2] - classes[0, 0], found[0], atol=1e-12)


def test_score_does_not_depend_on_what_is_scored_beside_it() -> None:
    texts = ["Profit rose", "", "虧損擴大", "실적 부진"]
    assert SCORER.score(texts).tolist() == [score(text) for text in texts]
    assert SCORER.score([]).shape == (0,)


def test_full_width_and_upper_case_read_as_usual_letters() -> None:
    assert cleaned("\uff30ROFIT\u200b  Rose") == "profit rose"


def test_file_keeps_its_bytes_and_hash_and_is_known_to_the_registry() -> None:
    lexicon = model.shipped()
    assert model.decode(lexicon.encoded()) == lexicon
    known = registry.read(lexicon.encoded())
    assert (known.detector, known.hash) == (model.DETECTOR, lexicon.hash) == (model.DETECTOR, SCORER.hash)
    assert models.read(lexicon.encoded()).score(["Profit rose"]) == SCORER.score(["Profit rose"])
    assert lexicon.hash in known.markdown()
    assert known.summary()["languages"] == ["en", "ko", "zh-Hans", "zh-Hant"]


def test_several_hundred_terms_a_language() -> None:
    assert min(model.counts(model.shipped()).values()) > 500


def test_unfit_file_is_refused_with_the_reason() -> None:
    lexicon = model.shipped()
    twice = msgspec.structs.replace(lexicon.languages["en"], positive=("gain", "win"), negative=("gain",))
    changed = msgspec.structs.replace(lexicon, languages={"en": twice})
    with pytest.raises(ValueError, match="two lists"):
        model.decode(changed.encoded())
    with pytest.raises(ValueError, match="no sentiment model"):
        models.read(b'{"detector":"kmeans"}')
