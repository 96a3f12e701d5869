"""Other people's text: plain, comparable, harmless; and which instruments it speaks of."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.venues.news.symbols import SymbolFinder
from producers.venues.news.text import canonical, clean_url, language, plain
from tapewatch.contract.instruments import Instrument

NAMES = {
    "2330.XTAI": "台積電", "2317.XTAI": "鴻海", "2327.XTAI": "國巨", "2412.XTAI": "中華電", "0050.XTAI": "元大台灣50",
    "8033.ROCO": "雷虎", "6547.ROCO": "高端疫苗", "2024.XTAI": "志聯", "1216.XTAI": "統一", "2912.XTAI": "統一超",
    "005930.XKRX": "삼성전자", "AAPL.XNAS": "Apple Inc.", "F.XNYS": "Ford Motor Company", "BRK.B.XNYS": "",
    "9988.XHKG": "阿里巴巴",
}  # fmt: skip
FINDER = SymbolFinder([Instrument(id_, name=name) for id_, name in NAMES.items() if id_ != "BRK.B.XNYS"])


@pytest.mark.parametrize(
    ("headline", "found"),
    [
        ("台積電(2330-TW)跌破半年線", ["2330.XTAI"]),
        ("外資敲進(2330)、賣超 2317.TW", ["2330.XTAI", "2317.XTAI"]),
        ("\uff082330\uff0d\uff34\uff37\uff09法說會", ["2330.XTAI"]),
        ("高端 6547-TWO 飆漲停", ["6547.ROCO"]),
        ("輝達測試英特爾製程 挑戰台積電地位", ["2330.XTAI"]),
        ("鴻海2月營收創高", ["2317.XTAI"]),
        ("\u3008鴻海法說\u3009劉揚偉展望", ["2317.XTAI"]),
        ("行情震盪果真軍工8033雷虎漲停", ["8033.ROCO"]),
        ("定期定額買0050的人", ["0050.XTAI"]),
        ("股票代號2330 今年配息", ["2330.XTAI"]),
        ("$AAPL beats, Apple raises outlook", ["AAPL.XNAS"]),
        ("Ford Motor (NYSE: F) recalls trucks", ["F.XNYS"]),
        ("005930.KS falls", ["005930.XKRX"]),
        ("삼성전자 신고가", ["005930.XKRX"]),
        ("阿里(9988-HK)季度盈利", ["9988.XHKG"]),
        ("統一超強化物流", ["2912.XTAI"]),
    ],
)
def test_codes_and_names_are_found(headline: str, found: list[str]) -> None:
    assert list(FINDER.find(headline)) == found


@pytest.mark.parametrize(
    "headline",
    [
        "2024年營收創新高", "2330元目標價上看", "聯發科漲 2317 點", "上漲2330張", "指數收 2,330.5 點",
        "(2024) 年報出爐", "NT$2330", "$2330", "12330-TW", "2330-TWX", "電話 02-2330-2317",
        "天璣2330出貨旺", "RTX 2327顯卡", "A2330 支架",
        "美國巨型企業破產潮", "統一發票開獎", "中華電視", "Pineapple harvest", "Applebee's opens", "$AAPLX", "US$AAPL",
        "F-16 fighters", "http://x/2330/2317", "2330%", "2330:00", "買0050元的便當", "",
    ],
)  # fmt: skip
def test_years_prices_goods_and_parts_of_words_are_no_instruments(headline: str) -> None:
    assert not [name for name in FINDER.find(headline) if name != "2412.XTAI" or "中華電視" not in headline]


def test_numbers_of_the_body_count_only_where_they_are_marked() -> None:
    body = "庫存 0050 件、2317 雷虎 8033雷虎,另見(2330-TW)"
    assert FINDER.find("股市", body) == ("8033.ROCO", "2330.XTAI")


def test_code_that_two_home_venues_list_is_left_out_unless_its_venue_is_named() -> None:
    finder = SymbolFinder([Instrument("1234.XTAI"), Instrument("1234.ROCO")])
    assert finder.find("(1234)") == ()
    assert finder.find("1234.TWO 大漲") == ("1234.ROCO",)


def test_name_of_two_instruments_names_neither() -> None:
    finder = SymbolFinder([Instrument("A.XNYS", name="Acme Corp."), Instrument("B.XNAS", name="Acme Inc.")])
    assert finder.find("Acme rallies") == ()


def test_marks_beside_the_text_count() -> None:
    assert FINDER.find("大漲", codes=("TWS:2330", "2317-TW", "$$$", "")) == ("2330.XTAI", "2317.XTAI")


@given(st.text(max_size=200), st.text(max_size=200))
def test_any_text_is_searched_without_harm(headline: str, body: str) -> None:
    assert set(FINDER.find(headline, body)) <= NAMES.keys()


def test_canonical_text_is_the_same_for_what_reads_the_same() -> None:
    same = ["【專欄】 港股回調,是買入機會!", "<b>【專欄】港股回調</b>是買入機會", "專欄\u3000港股回調\u200b是買入機會"]
    assert len({canonical(text) for text in same}) == 1
    assert canonical("\uff21\uff22\uff23 LOGO") == canonical("abc Logo")


@pytest.mark.parametrize(
    ("one", "other"), [("漲3.5%", "漲35%"), ("+3%", "-3%"), ("3%", "3"), ("Q1 財報", "Q2 財報"), ("a", "b")]
)
def test_canonical_text_keeps_what_changes_the_meaning(one: str, other: str) -> None:
    assert canonical(one) != canonical(other)


@pytest.mark.parametrize(
    ("url", "clean"),
    [
        ("https://News.example/a?id=7&utm_source=x&fbclid=y#top", "https://news.example/a?id=7"),
        ("http://user:secret@h.example:8080/a", "http://h.example:8080/a"),
        ("https://h.example", "https://h.example/"),
        ("javascript:alert(1)", ""),
        ("data:text/html,x", ""),
        ("//h.example/a", ""),
        ("https://h.example:99999/", ""),
        ("https://[::1", ""),
        ("https://h.example/" + "a" * 3_000, ""),
    ],
)
def test_address_is_cleaned_or_left_out(url: str, clean: str) -> None:
    assert clean_url(url) == clean


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<p>a&amp;b</p><p>c</p>", "a&b\nc"),
        ("&lt;p&gt;台積電&lt;/p&gt;", "台積電"),
        ("a < b and <台積電>", "a < b and <台積電>"),
        ("x<script>alert('</b>')</script>y<!-- z -->", "xy"),
        ("x&lt;script&gt;alert(1)&lt;/script&gt;<b>y</b>", "xy"),
        ("x<script>never ends", "x"),
        ("\u202eabc\u0000\x1b[31m\ud800", "abc[31m\ufffd"),
        ("<svg onload=x>y</svg>z", "z"),
    ],
)
def test_markup_becomes_the_text_a_reader_sees(markup: str, text: str) -> None:
    assert plain(markup) == text


@given(st.text(alphabet="<>/!-&;abscript'\"= 台", max_size=400))
def test_no_tag_survives(markup: str) -> None:
    assert "<script" not in plain(markup).lower()
    plain(markup).encode()


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("臺股創新高,外資買超", "zh-Hant"), ("台股市场震荡,外资卖超", "zh-Hans"), ("台北股市", "zh"),
        ("삼성전자 신고가 경신", "ko"), ("日経平均が上昇、円安で", "ja"), ("Stocks rally on AI", "en"),
        ("Рынок растет", "und"), ("123", "und"), ("輝達GTC大會釋利多", "zh-Hant"),
    ],
)  # fmt: skip
def test_language_is_told_by_script(text: str, tag: str) -> None:
    assert language(text) == tag
