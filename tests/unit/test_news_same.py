"""Headlines that say the same: what counts once, and what only looks alike."""

import pytest

from detectors.sentiment.same import DuplicateIndex, Headline, alike, pieces
from tests.unit.news_scene import HOUR, START

CHINESE, KOREAN, ENGLISH = "zh-Hant", "ko", "en"


def found(one: str, other: str, language: str, hours: float = 1.0, **more) -> bool:
    same = DuplicateIndex(48.0)
    same.add(Headline("a", language, one, START, **{key: value[0] for key, value in more.items()}))
    last = Headline("b", language, other, START + round(hours * HOUR), **{key: each[1] for key, each in more.items()})
    return same.original(last) == "a"


@pytest.mark.parametrize(
    ("language", "one", "other"),
    [
        (CHINESE, "台積電第三季營收創新高 法人看好後市", "台積電第三季營收創新高 法人看好"),
        (CHINESE, "〈財報〉聯發科上季獲利優於預期", "聯發科上季獲利優於市場預期"),
        (CHINESE, "推特把柴犬Logo換回藍鳥 狗狗幣急挫9%", "推特把柴犬LOGO換回藍鳥\u3000狗狗幣急挫9\uff05"),
        (KOREAN, "삼성전자 3분기 영업이익 시장 예상치 상회", "삼성전자, 3분기 영업이익 예상치 상회"),
        (KOREAN, "현대차, 미국 조지아 공장 가동 시작", "[속보] 현대차 미국 조지아 공장 가동 시작했다"),
        (ENGLISH, "Apple shares jump after record quarter", "Apple stock jumps on record quarter"),
        (ENGLISH, "Nokia to cut 1,000 jobs in Finland", "Nokia cuts 1000 jobs in Finland"),
    ],
)
def test_repeats_and_light_rewordings_are_found(language: str, one: str, other: str) -> None:
    assert found(one, other, language)


@pytest.mark.parametrize(
    ("language", "one", "other"),
    [
        (CHINESE, "美股重點新聞摘要2023年04月04日", "美股重點新聞摘要2023年04月05日"),
        (CHINESE, "〈美股早盤〉美1月PPI增速超預期 主要指數開低", "〈美股早盤〉Fed官員放鷹 主要指數開低"),
        (KOREAN, "LG전자 1분기 영업이익 20% 감소", "SK하이닉스 1분기 영업이익 20% 감소"),
        (ENGLISH, "Samsung beats estimates in record quarter", "Apple beats estimates in record quarter"),
        (ENGLISH, "Oil rises 2% after OPEC cut", "Oil rises 3% after OPEC cut"),
        (ENGLISH, "Gain of +5% expected", "Gain of -5% expected"),
    ],
)
def test_another_company_number_or_day_is_other_news(language: str, one: str, other: str) -> None:
    assert not found(one, other, language)


def test_what_is_known_of_the_items_tells_apart_what_the_texts_do_not() -> None:
    one, other = "兩因素影響 旺宏、力成營收月減逾1成", "兩因素影響 漢磊、嘉晶營收月減逾1成"
    assert not found(one, other, CHINESE, instruments=(frozenset({"2337.XTAI"}), frozenset({"3707.XTAI"})))
    rising = ("投資人評估經濟狀態 美債殖利率走升", "投資人評估經濟狀態 美債殖利率走跌")
    assert found(*rising, CHINESE)
    assert not found(*rising, CHINESE, score=(0.3, -0.3))


def test_the_more_time_lies_between_the_more_alike_they_have_to_be() -> None:
    texts = ("投資人評估經濟展望 美債殖利率走跌", "投資人評估經濟展望及貨幣政策 美債殖利率走跌")
    assert 0.6 < alike(*map(pieces, texts)) < 0.75
    assert found(*texts, CHINESE, hours=2)
    assert not found(*texts, CHINESE, hours=24)
    assert not found(texts[0], texts[0], CHINESE, hours=49)


def test_languages_are_not_compared() -> None:
    same = DuplicateIndex(48.0)
    same.add(Headline("a", "en", "Nokia shares fall", START))
    assert same.original(Headline("b", "de", "Nokia shares fall", START)) == ""
    assert same.original(Headline("b", "en-GB", "Nokia shares fall", START)) == "a"


def test_of_several_the_most_alike_is_the_original_and_of_equals_the_oldest() -> None:
    same = DuplicateIndex(48.0)
    for name, text in (
        ("x", "alpha beta gamma delta epsilon"),
        ("y", "alpha beta gamma delta"),
        ("z", "alpha beta gamma delta"),
    ):
        same.add(Headline(name, "en", text, START))
    assert same.original(Headline("b", "en", "alpha beta gamma delta", START)) == "y"


def test_memory_is_bounded_by_number_and_by_time_and_leaves_nothing_behind() -> None:
    same = DuplicateIndex(48.0, kept=50)
    for each in range(200):
        same.add(Headline(str(each), "en", f"story of chapter {each} and {each * 7}", START))
    assert len(same) == 50
    same.add(Headline("late", "en", "another story", START + 49 * HOUR))
    assert len(same) == 1
    assert len(same._bands) == 16
