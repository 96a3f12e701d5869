"""Groups of texts that say nearly the same, so that no fold learns from what it is judged on."""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from detectors.sentiment.scorer import I8
from detectors.sentiment.text import cleaned

SHARE = 0.6
"""Texts are near-duplicates from so large a share of common shingles on (Jaccard)."""
_COMMON = 500
"""A shingle in so many texts tells nothing more."""
_NUMBER = re.compile(r"\d+")
_WORD = re.compile(r"\w+")


def groups(columns: Sequence[Sequence[str]]) -> I8:
    """The group of each text, int64[rows], from 0 in order of appearance.

    columns : the texts, and their translations if any: rows near to each other in one column are of one group
    """
    rows = len(columns[0])
    root = list(range(rows))

    def top(row: int) -> int:
        while root[row] != row:
            root[row] = root[root[row]]
            row = root[row]
        return row

    for column in columns:
        for one, other in _pairs([shingles(text) for text in column]):
            root[max(top(one), top(other))] = min(top(one), top(other))
    _, numbers = np.unique([top(row) for row in range(rows)], return_inverse=True)
    return np.asarray(numbers, dtype=np.int64)


def shingles(text: str) -> frozenset[str]:
    """Pairs of words with every number alike; of three characters where the script is not Latin. Never empty."""
    spelled = _NUMBER.sub("0", cleaned(text))
    words = _WORD.findall(spelled)
    letters = "".join(words)
    if sum("a" <= letter <= "z" or letter == "0" for letter in letters) * 2 > len(letters):
        parts = [f"{one} {other}" for one, other in pairwise(words)]
    else:
        parts = [letters[at : at + 3] for at in range(len(letters) - 2)]
    return frozenset(parts or [letters])


def _pairs(texts: Sequence[frozenset[str]]) -> list[tuple[int, int]]:
    """Rows that are near-duplicates of each other."""
    holders: dict[str, list[int]] = {}
    found: list[tuple[int, int]] = []
    for row, parts in enumerate(texts):
        common: Counter[int] = Counter()
        for part in sorted(parts):
            rows = holders.setdefault(part, [])
            common.update(rows[:_COMMON])
            rows.append(row)
        found += [
            (row, other) for other, both in common.items() if both >= SHARE * (len(parts) + len(texts[other]) - both)
        ]
    return found
