"""Which registered instruments a text speaks of: codes, cash tags and names; years and prices are none."""

import re
import unicodedata
from collections.abc import Iterable, Sequence

from tapewatch.contract.instruments import Instrument

HOME = ("XTAI", "ROCO")
"""Venues whose bare codes are looked for."""
VENUES: dict[str, tuple[str, ...]] = {
    "TW": ("XTAI", "ROCO"), "TT": ("XTAI", "ROCO"), "TWS": ("XTAI", "ROCO"), "TWO": ("ROCO",), "TWSE": ("XTAI",),
    "TPEX": ("ROCO",), "KS": ("XKRX",), "KQ": ("XKOS", "XKRX"), "KRX": ("XKRX",), "HK": ("XHKG",), "HKEX": ("XHKG",),
    "T": ("XTKS",), "JP": ("XTKS",), "TSE": ("XTKS",), "SS": ("XSHG",), "SH": ("XSHG",), "SZ": ("XSHE",),
    "US": ("XNAS", "XNYS", "XASE", "ARCX"), "NASDAQ": ("XNAS",), "NYSE": ("XNYS",), "USS": ("XNAS", "XNYS"),
}  # fmt: skip
"""How texts mark a venue, and its MICs."""
_US = VENUES["US"]

_MARKS = "|".join(sorted(VENUES, key=len, reverse=True))
_MARKED = re.compile(rf"(?<![0-9A-Za-z])([0-9A-Z]{{1,6}})[-.:\s]({_MARKS})(?![0-9A-Za-z])")
_PREFIXED = re.compile(rf"(?<![0-9A-Za-z])({_MARKS})\s?:\s?([0-9A-Z]{{1,6}})(?![0-9A-Za-z])")
_TAG = re.compile(r"(?<![0-9A-Za-z$])\$([A-Z]{1,5}(?:\.[A-Z])?)(?![0-9A-Za-z])")
_PARENTHESES = re.compile(r"[(\[]\s*([0-9]{4,6}[A-Z]?)\s*[)\]]")
_BARE = re.compile(r"(?<![0-9A-Za-z.,%$/:+\-~#*])([0-9]{4,6})(?![0-9A-Za-z%$/:~]|[.,\-][0-9])")
_UNIT = re.compile(
    r"\s?(年|月|日|號|号|季|元|塊|点|點|億|亿|萬|万|千|張|张|股|口|人|名|家|檔|戶|户|筆|笔|台|輛|辆|架|顆|噸|吨|桶|度|倍|"
    r"美|歐|日圓|人民幣|韓元|大關|關卡|大洋|公|英|公里|米|小時|天|歲|届|屆|版|件|位|款|間|座|個|个|项|項|條|"
    r"원|년|월|일|만|억|주|points?\b|pts?\b|shares?\b|dollars?\b|USD|TWD|NT|million|billion|bn\b|people|jobs)"
)
_CALLED = re.compile(r"(代號|代碼|代号|代码|股號|證券代號|종목코드|code|ticker)[\s:]*$", re.IGNORECASE)
_YEARS = range(1900, 2101)
_NEAR = 210
"""Characters around a code in which its name may stand; names have 200 at most."""
_LEGAL = re.compile(
    r"(股份有限公司|有限公司|控股公司|,?\s+(inc|corp|corporation|co|ltd|limited|plc|company|holdings?)\.?|보통주|주식회사)+$",
    re.IGNORECASE,
)
_COMMON = frozenset(
    ("統一", "第一", "大同", "國際", "中信", "東元", "全新", "光明", "華夏",
     "聯合", "亞洲", "建設", "永大", "中華", "新光", "台灣", "三星", "現代")
)  # fmt: skip
"""Names of two characters that are words of the language too: only their code is taken."""


class SymbolFinder:
    """Finds registered instruments in texts.

    home : MICs of codes that stand alone; a code that several of their venues list is left out
    """

    def __init__(self, instruments: Iterable[Instrument], home: Sequence[str] = HOME) -> None:
        self._ids: set[str] = set()
        self._names: dict[str, dict[str, str]] = {}
        self._name_of: dict[str, str] = {}
        self._home = tuple(home)
        for instrument in instruments:
            self._ids.add(instrument.id)
            self._learn(instrument)

    def find(self, headline: str, body: str = "", codes: Iterable[str] = ()) -> tuple[str, ...]:
        """Instrument ids in the order of their first mention. codes : marked ones that came beside the text

        In the body only what is marked as a code, and names, count: its numbers are too many.
        """
        title = unicodedata.normalize("NFKC", headline)
        found: dict[str, int] = {}
        self._marked(title, found)
        self._bare(title, found)
        self._named(title, found)
        beside: dict[str, int] = {}
        self._marked(unicodedata.normalize("NFKC", " , ".join(codes)), beside)
        within: dict[str, int] = {}
        text = unicodedata.normalize("NFKC", body)
        self._marked(text, within)
        self._named(text, within)
        return tuple(
            dict.fromkeys([id_ for each in (found, beside, within) for id_ in sorted(each, key=each.__getitem__)])
        )

    def _learn(self, instrument: Instrument) -> None:
        name = unicodedata.normalize("NFKC", instrument.name[:200]).strip()
        self._name_of[instrument.id] = name
        for each in {name, _LEGAL.sub("", name).strip(" ,"), name.removesuffix("*")}:
            latin = each.isascii()
            if len(each) < (4 if latin else 2) or each in _COMMON or each.isdecimal():
                continue
            key = each.casefold() if latin else each
            known = self._names.setdefault(key[:2], {})
            # Two instruments of one name: neither is meant more than the other.
            known[key] = instrument.id if known.get(key, instrument.id) == instrument.id else ""

    def _marked(self, text: str, found: dict[str, int]) -> None:
        """Codes with their venue, cash tags, and codes in parentheses."""
        for match in _MARKED.finditer(text):
            self._take(match[1], VENUES[match[2]], match.start(), found)
        for match in _PREFIXED.finditer(text):
            self._take(match[2], VENUES[match[1]], match.start(), found)
        for match in _TAG.finditer(text):
            self._take(match[1], _US, match.start(), found)
        for match in _PARENTHESES.finditer(text):
            if not _is_year(match[1]):
                self._take(match[1], self._home, match.start(), found)

    def _bare(self, text: str, found: dict[str, int]) -> None:
        """Codes that stand alone: beside the instrument's own name, called a code, or with a zero in front.

        In 39,278 recorded headlines, other four digits were years, amounts and names of goods nine times in ten.
        """
        for match in _BARE.finditer(text):
            code = match[1]
            zero = code.startswith("0") and not _UNIT.match(text, match.end())
            if (
                zero
                or _CALLED.search(text[max(0, match.start() - 16) : match.start()])
                or self._beside_its_name(text, match.start(), code)
            ):
                self._take(code, self._home, match.start(), found)

    def _beside_its_name(self, text: str, start: int, code: str) -> bool:
        for venue in self._home:
            name = self._name_of.get(f"{code}.{venue}", "")
            end = start + len(code)
            before, after = text[max(0, start - _NEAR) : start].rstrip(), text[end : end + _NEAR].lstrip()
            if name and (before.endswith(name) or after.startswith(name)):
                return True
        return False

    def _named(self, text: str, found: dict[str, int]) -> None:
        """Names, the longest first; of two Chinese characters only at a beginning, Latin ones as whole words."""
        folded = text.casefold()
        if len(folded) != len(text):
            folded = text.lower() if len(text.lower()) == len(text) else text
        place = named = 0
        while place < len(text) - 1:
            length = self._name_at(text, folded, place, named == place, found)
            place += length or 1
            named = place if length else named

    def _name_at(self, text: str, folded: str, place: int, begins: bool, found: dict[str, int]) -> int:
        """Length of the longest name that lies at a place, 0 for none. begins : another name ends there"""
        for source in (text, folded):
            known = self._names.get(source[place : place + 2])
            if not known:
                continue
            fits = [name for name in known if source.startswith(name, place) and _stands(text, place, name, begins)]
            if fits:
                name = max(fits, key=len)
                if known[name]:
                    _note(known[name], place, found)
                return len(name)
        return 0

    def _take(self, code: str, venues: Iterable[str], place: int, found: dict[str, int]) -> None:
        listed = [f"{code}.{venue}" for venue in venues if f"{code}.{venue}" in self._ids]
        if len(listed) == 1:
            _note(listed[0], place, found)


def _note(instrument: str, place: int, found: dict[str, int]) -> None:
    """Note an instrument at its first place."""
    found[instrument] = min(place, found.get(instrument, place))


def _is_year(code: str) -> bool:
    return len(code) == 4 and int(code) in _YEARS


def _stands(text: str, place: int, name: str, begins: bool) -> bool:
    """Whether a name is meant where it was found. begins : whether it follows right on another name"""
    before = text[place - 1] if place else " "
    after = text[place + len(name)] if place + len(name) < len(text) else " "
    if name.isascii():
        return not (before.isascii() and before.isalnum()) and not (after.isascii() and after.isalnum())
    return len(name) > 2 or begins or not before.isalpha()
