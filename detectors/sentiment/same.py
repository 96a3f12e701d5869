"""Headlines that say the same: exact repeats, syndicated copies and light rewordings count once.

Candidates come from MinHash bands (Broder 1997), each is then compared exactly, so chance decides nothing. What is
remembered is bounded by time and by number.

A headline as a set of small pieces that survive rewording: pairs of characters where a script writes no blanks or
bends its words (Chinese, Japanese, Korean), words elsewhere.
"""

import re
import unicodedata
import zlib
from collections import Counter, OrderedDict
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from detectors.sentiment.decay import HOUR_NS

_CJK = "\u3041-\u30ff\u3400-\u9fff\uac00-\ud7a3"
_TOKEN = re.compile(rf"[{_CJK}]+|[+-]?[0-9]+(?:[.,][0-9]+)*%?|[^\W\d_]+")
_RUBRIC = re.compile(
    r"[\u3008\u3010\u300a<\[(\uff08][^\u3009\u3011\u300b>\])\uff09]{1,20}[\u3009\u3011\u300b>\])\uff09]"
)
_WHOLE = 8
"""Characters that have to be left for a rubric to be dropped."""
_STOP = frozenset(
    (
        *("a", "an", "and", "after", "amid", "are", "as", "at", "be", "by", "for", "from", "has", "have", "in", "into"),
        *("is", "it", "its", "of", "on", "or", "over", "said", "says", "that", "the", "to", "was", "were", "will"),
        "with",
    )
)
MOST_CHARS = 500
"""Characters of a headline that are looked at."""


@dataclass(frozen=True, slots=True)
class Pieces:
    """What of a headline is compared. hashes : CRC-32 of each piece

    names : what may not differ on both sides: numbers, words in capitals or in Latin script among CJK
    """

    hashes: frozenset[int]
    names: Counter[str]


def pieces(headline: str) -> Pieces:
    """A headline's pieces. Rubrics in brackets, such as 〈台股盤後〉, say little of what happened and are left out."""
    text = unicodedata.normalize("NFKC", headline[:MOST_CHARS])
    short = _RUBRIC.sub(" ", text)
    found, names = set[str](), Counter[str]()
    for token in _TOKEN.findall(short if len(short.strip()) >= _WHOLE else text):
        folded = token.casefold()
        if "\u3041" <= token[0] <= "\ud7a3":
            found.update(folded[place : place + 2] for place in range(max(1, len(folded) - 1)))
        elif token[0].isalpha():
            if folded in _STOP:
                continue
            stem = folded[:-1] if len(folded) > 3 and folded.endswith("s") and not folded.endswith("ss") else folded
            found.add(stem)
            if token[0].isupper():
                names[stem] += 1
        else:
            names[token.replace(",", "").lstrip("0")] += 1
            found.add(token)
    return Pieces(frozenset(zlib.crc32(each.encode("utf-8", "replace")) for each in found), names)


def alike(one: Pieces, other: Pieces) -> float:
    """Share of their pieces that two headlines have in common (Jaccard), 0 to 1; 0 where each names what the other
    does not: another company, another number.
    """
    if one.names - other.names and other.names - one.names:
        return 0.0
    union = len(one.hashes | other.hashes)
    return len(one.hashes & other.hashes) / union if union else 0.0


KEPT = 20_000
"""Headlines that are remembered at most."""
BANDS = 16
ROWS = 2
LEAST = 0.55
"""How alike two headlines of one moment have to be; the more time lies between, the more, up to 1."""
MOST_CANDIDATES = 200

_U8 = npt.NDArray[np.uint64]
_RNG = np.random.default_rng(20_110_407)
_FACTORS: _U8 = _RNG.integers(0, 2**63, BANDS * ROWS, dtype=np.uint64) | np.uint64(1)
_ADDED: _U8 = _RNG.integers(0, 2**63, BANDS * ROWS, dtype=np.uint64)

Band = tuple[str, int, bytes]


@dataclass(frozen=True, slots=True)
class Headline:
    """What is compared. language : BCP 47 tag; at : UTC nanoseconds, when it was known; instruments : may be empty

    score : its sentiment; what is good and what is bad news are not the same news
    """

    id: str
    language: str
    text: str
    at: int
    instruments: frozenset[str] = frozenset()
    score: float = 0.0


@dataclass(frozen=True, slots=True)
class _HeadlineEntry:
    place: int
    headline: Headline
    pieces: Pieces
    bands: tuple[Band, ...]


class DuplicateIndex:
    """Remembers the headlines of the last `same_h` hours that said something new. A function of what was added."""

    def __init__(self, same_h: float, kept: int = KEPT) -> None:
        self._span, self._most = round(same_h * HOUR_NS), kept
        self._added = 0
        self._kept: OrderedDict[str, _HeadlineEntry] = OrderedDict()
        self._bands: dict[Band, OrderedDict[str, None]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def original(self, headline: Headline) -> str:
        """Id of the headline that this one repeats: of several the most alike, of equals the oldest; empty for none."""
        own = pieces(headline.text)
        found, best = "", 0.0
        for name in self._candidates(_bands(headline, own)):
            known = self._kept[name]
            apart = abs(headline.at - known.headline.at)
            if apart > self._span or not _may_be(headline, known.headline):
                continue
            share = alike(own, known.pieces)
            if share >= LEAST + (1.0 - LEAST) * apart / self._span and share > best:
                found, best = name, share
        return found

    def _candidates(self, bands: tuple[Band, ...]) -> list[str]:
        """The newest that share a band, in the order in which they were added."""
        shared: set[str] = set()
        for band in bands:
            for name in reversed(self._bands.get(band, ())):
                if len(shared) >= MOST_CANDIDATES:
                    break
                shared.add(name)
        return sorted(shared, key=lambda name: self._kept[name].place)

    def add(self, headline: Headline) -> None:
        """Remember a headline that said something new; the oldest are forgotten."""
        own = pieces(headline.text)
        self._added += 1
        kept = _HeadlineEntry(self._added, headline, own, _bands(headline, own))
        self._forget(headline.id)
        self._kept[headline.id] = kept
        for band in kept.bands:
            self._bands.setdefault(band, OrderedDict())[headline.id] = None
        while len(self._kept) > self._most or headline.at - next(iter(self._kept.values())).headline.at > self._span:
            self._forget(next(iter(self._kept)))

    def _forget(self, name: str) -> None:
        gone = self._kept.pop(name, None)
        for band in gone.bands if gone else ():
            named = self._bands[band]
            del named[name]
            if not named:
                del self._bands[band]


def _may_be(one: Headline, other: Headline) -> bool:
    """Whether two headlines may say the same: neither names an instrument that the other lacks while the other does
    too, and they do not judge in opposite ways.
    """
    apart = one.instruments - other.instruments and other.instruments - one.instruments
    return not apart and one.score * other.score >= 0.0


def _bands(headline: Headline, own: Pieces) -> tuple[Band, ...]:
    """The MinHash bands of a headline, within its language."""
    if not own.hashes:
        return ()
    hashes = np.fromiter(own.hashes, np.uint64, len(own.hashes))
    # Multiply-shift hashing (Dietzfelbinger 1997): the upper half of a 64-bit product.
    signature = ((hashes[:, None] * _FACTORS + _ADDED) >> np.uint64(32)).min(axis=0).astype(np.uint32)
    language = headline.language.partition("-")[0].lower()
    return tuple((language, place, signature[place * ROWS : (place + 1) * ROWS].tobytes()) for place in range(BANDS))
