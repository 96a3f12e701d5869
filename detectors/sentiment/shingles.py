"""A headline as a set of small pieces that survive rewording: pairs of characters where a script writes no blanks or
bends its words (Chinese, Japanese, Korean), words elsewhere.
"""

import re
import unicodedata
import zlib
from collections import Counter
from dataclasses import dataclass

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
