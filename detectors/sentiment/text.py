"""Text before it is scored: what is never read, how it is spelled, and which language it is in."""

import unicodedata
from collections.abc import Iterable

LONGEST = 4000
"""Characters of a text that are read: headlines and leads are shorter, and a hostile megabyte costs no more."""
LANGUAGES = ("en", "ko", "zh-Hans", "zh-Hant")
_SIMPLIFIED = frozenset(
    "这为们说时业东两个严发变国会学对实价涨亏赚买卖订单势资产与开关战争险涨红绿车长飞机构关财报营证监税"
)
_TRADITIONAL = frozenset(
    "這為們說時業東兩個嚴發變國會學對實價漲虧賺買賣訂單勢資產與開關戰爭險漲紅綠車長飛機構關財報營證監稅"
)


def cleaned(text: str) -> str:
    """Lower case, compatibility forms as usual letters, a plain apostrophe, one space for runs of spaces, controls,
    surrogates, marks of direction and the like; its first LONGEST characters alone.
    """
    head = text[:LONGEST].encode("utf-8", "ignore").decode("utf-8")
    spelled = unicodedata.normalize("NFKC", head).replace("\u2019", "'").lower()
    kept = (character if unicodedata.category(character)[0] != "C" else " " for character in spelled)
    return " ".join("".join(kept).split())


def problem(text: str) -> str:
    """Why there is nothing to score in a text; empty where there is something."""
    return "" if any(character.isalpha() for character in cleaned(text)) else "no letters"


def language_of(text: str, stated: str = "") -> str:
    """One of LANGUAGES, or empty where it is none of them or has no letters.

    stated : BCP 47 tag of the message; trusted where it names a language, else the script decides
    """
    primary, _, rest = stated.replace("_", "-").lower().partition("-")
    if primary in ("en", "ko"):
        return primary
    if primary == "zh":
        if rest:
            return "zh-Hant" if any(part in ("hant", "tw", "hk", "mo") for part in rest.split("-")) else "zh-Hans"
        return _chinese(text)
    return "" if primary not in ("", "und") else _by_script(cleaned(text))


def _by_script(text: str) -> str:
    """By letters: Hangul before Han, since Korean headlines quote Han; kana is Japanese, which is none of ours."""
    hangul = _count(text, (("\uac00", "\ud7a3"), ("\u1100", "\u11ff"), ("\u3130", "\u318f")))
    han = _count(text, (("\u3400", "\u9fff"), ("\uf900", "\ufaff"), ("\U00020000", "\U0003ffff")))
    kana = _count(text, (("\u3040", "\u30ff"),))
    latin = _count(text, (("a", "z"),))
    if hangul and hangul * 3 >= max(han, latin):
        return "ko"
    if han and han * 3 >= latin:
        return _chinese(text) if kana * 5 < han else ""
    return "en" if latin else ""


def _count(text: str, ranges: Iterable[tuple[str, str]]) -> int:
    bounds = tuple(ranges)
    return sum(any(low <= character <= high for low, high in bounds) for character in text)


def _chinese(text: str) -> str:
    simplified = sum(character in _SIMPLIFIED for character in text)
    return "zh-Hans" if simplified > sum(character in _TRADITIONAL for character in text) else "zh-Hant"
