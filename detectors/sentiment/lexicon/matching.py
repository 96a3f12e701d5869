"""Finding a lexicon's terms in a text: longest first, from left to right; whole words in English, characters else."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_WORD = re.compile(r"[^\W\d_]+(?:[-'.][^\W\d_]+)*|\d[\d.,]*%?|[^\w\s]")
_PIECE = re.compile(r"[-']")
_BREAKS = frozenset('.,;:!?()[]{}"|/\u2026\u00b7\u3001\u3002\u300a\u300b\u300c\u300d\u300e\u300f\u3010\u3011')
"""Marks between clauses; full-width ones stand here as the usual ones, as which texts are read."""
_SHORTEST_STEM = 2


@dataclass(frozen=True, slots=True)
class TermMatch:
    """A term in a text. at : place of its first unit; size : units (words, or characters); term, kind : which"""

    at: int
    size: int
    term: str
    kind: str


class Words:
    """Terms of a language that parts its words. kinds : the kind of each term"""

    def __init__(self, kinds: Mapping[str, str]) -> None:
        self._by_first: dict[str, list[tuple[tuple[str, ...], str, str]]] = {}
        for term, kind in kinds.items():
            words = tuple(_pieces(term.replace("*", "\0")))
            entry = (tuple(word.replace("\0", "*") for word in words), term, kind)
            self._by_first.setdefault(entry[0][0], []).append(entry)
        for entries in self._by_first.values():
            entries.sort(key=lambda entry: (-len(entry[0]), entry[1]))

    def units(self, text: str) -> list[str]:
        """Words, numbers and marks of a cleaned text."""
        return [piece for word in _WORD.findall(text) for piece in _pieces(word)]

    def found(self, units: list[str]) -> Iterator[TermMatch]:
        """Terms in order; none overlap."""
        at = 0
        while at < len(units):
            entry = self._longest(units, at)
            if entry:
                yield TermMatch(at, len(entry[0]), entry[1], entry[2])
            at += len(entry[0]) if entry else 1

    def _longest(self, units: list[str], at: int) -> tuple[tuple[str, ...], str, str] | None:
        word, best = units[at], None
        for key in (word, *(word[:size] + "*" for size in range(len(word), _SHORTEST_STEM - 1, -1))):
            for entry in self._by_first.get(key, ()):
                if (best is None or len(entry[0]) > len(best[0])) and _matches(units, at, entry[0]):
                    best = entry
        return best


class Characters:
    """Terms of a language whose words run together. kinds : the kind of each term"""

    def __init__(self, kinds: Mapping[str, str]) -> None:
        self._kinds = dict(kinds)
        self._longest = max(map(len, kinds))

    def units(self, text: str) -> list[str]:
        """Characters of a cleaned text."""
        return list(text)

    def found(self, units: list[str]) -> Iterator[TermMatch]:
        """Terms in order; none overlap."""
        text, at = "".join(units), 0
        while at < len(text):
            for size in range(min(self._longest, len(text) - at), 0, -1):
                term = text[at : at + size]
                if term in self._kinds:
                    yield TermMatch(at, size, term, self._kinds[term])
                    at += size - 1
                    break
            at += 1


def clause_of(units: list[str]) -> list[int]:
    """The clause in which each unit stands, counted from 0."""
    number, numbers = 0, []
    for unit in units:
        number += unit in _BREAKS
        numbers.append(number)
    return numbers


def _pieces(word: str) -> list[str]:
    """Words of a hyphened one apart, and n't from its verb, so that terms are found within."""
    parts = word.replace("n't", " n't").split()
    return [piece for part in parts for piece in (_PIECE.split(part) if part != "n't" else [part]) if piece]


def _matches(units: list[str], at: int, words: tuple[str, ...]) -> bool:
    if at + len(words) > len(units):
        return False
    return all(
        unit.startswith(word[:-1]) if word.endswith("*") else unit == word
        for unit, word in zip(units[at:], words, strict=False)
    )
