"""Headlines that say the same: exact repeats, syndicated copies and light rewordings count once.

Candidates come from MinHash bands (Broder 1997), each is then compared exactly, so chance decides nothing. What is
remembered is bounded by time and by number.
"""

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from detectors.sentiment.decay import HOUR_NS
from detectors.sentiment.shingles import Pieces, alike, pieces

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
