"""Scores by the lexicon: signed terms, changed by what stands near them, added up and squashed.

A movement is good or bad by what moves: profits that fall are bad, losses that fall are good. Nothing is learnt, and
nothing but additions and products of doubles is computed, so that a text has the same score everywhere.

Finding a lexicon's terms in a text: longest first, from left to right; whole words in English, characters else.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from detectors.sentiment.lexicon.model import Lexicon, shipped
from detectors.sentiment.scorer import F8
from detectors.sentiment.text import cleaned, language_of

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


SIGNS = {"positive": 1.0, "negative": -1.0, "litigious": -0.7, "up": 0.8, "down": -0.8}
NEGATED = -0.7
STRONGER, WEAKER, UNCERTAIN = 1.4, 0.6, 0.8
HALF = 0.8
"""A sum of so much gives a score of one half."""
_NEAR = {"en": (3, 0), "ko": (2, 7), "zh-Hans": (4, 0), "zh-Hant": (4, 0)}
"""Units before and after a term in which a negation counts."""
_SUBJECT = {"en": 5, "ko": 12, "zh-Hans": 6, "zh-Hant": 6}
"""Units between a movement and what moves."""
_AROUND = max(*_SUBJECT.values(), *(max(near) for near in _NEAR.values())) + 1
"""Terms on either side of one that can be so near: a hostile text of terms alone takes no square of its length."""


class LexiconScorer:
    """Scores by a lexicon; the shipped one unless another is given."""

    def __init__(self, lexicon: Lexicon | None = None) -> None:
        self.lexicon = lexicon or shipped()
        self._hash = self.lexicon.hash
        self._bad = {name: frozenset(terms.bad) for name, terms in self.lexicon.languages.items()}
        self._terms = {
            name: (Words if name == "en" else Characters)(terms.kinds())
            for name, terms in self.lexicon.languages.items()
        }

    @property
    def hash(self) -> str:
        """Content hash of the lexicon."""
        return self._hash

    def classes(self, texts: Sequence[str], language: str = "") -> F8:
        """By a set rule, not calibrated: neutral is the likeliest within a score of +-.34. float64[texts, 3]"""
        scores = self.score(texts, language)
        size = np.abs(scores)
        other = size * (1.0 - size) / 2.0
        return np.column_stack(
            [other + np.maximum(-scores, 0.0), (1.0 - size) * (1.0 - size), other + np.maximum(scores, 0.0)]
        )

    def score(self, texts: Sequence[str], language: str = "") -> F8:
        """-1 to 1, float64[texts]; 0 where no term says anything."""
        return np.array([self._score(text, language) for text in texts], dtype=np.float64)

    def _score(self, text: str, language: str) -> float:
        spoken = language_of(text, language)
        if spoken not in self._terms:
            return 0.0
        terms = self._terms[spoken]
        units = terms.units(cleaned(text))
        clause = clause_of(units)
        by_clause: dict[int, list[TermMatch]] = {}
        for found in terms.found(units):
            by_clause.setdefault(clause[found.at], []).append(found)
        total = sum(self._of_clause(found, spoken) for found in by_clause.values())
        return float(total / (HALF + abs(total)))

    def _of_clause(self, found: list[TermMatch], language: str) -> float:
        """What the terms of one clause say together."""
        moved = self._moved(found, language)
        taken = {subject for subject in moved.values() if subject is not None}
        total = 0.0
        for place, term in enumerate(found):
            if term.kind in SIGNS and place not in taken:
                sign = -SIGNS[term.kind] if moved.get(place) is not None else SIGNS[term.kind]
                total += sign * _changed(found, place, language)
        return total * (UNCERTAIN if any(term.kind == "uncertain" for term in found) else 1.0)

    def _moved(self, found: list[TermMatch], language: str) -> dict[int, int | None]:
        """For each movement the place of the bad thing that moves; None where what moves is none."""
        bad = [term.term in self._bad[language] for term in found]
        moved: dict[int, int | None] = {}
        for place, term in enumerate(found):
            if term.kind in ("up", "down"):
                near = [
                    each
                    for each in _around(found, place)
                    if bad[each] and _apart(term, found[each]) <= _SUBJECT[language]
                ]
                moved[place] = min(near, key=lambda each: (_apart(term, found[each]), each), default=None)
        return moved


def _around(found: list[TermMatch], place: int) -> list[int]:
    """Places of the terms near one, in order, without itself: terms do not overlap, so each takes a unit at least."""
    return [each for each in range(max(0, place - _AROUND), min(len(found), place + _AROUND + 1)) if each != place]


def _apart(one: TermMatch, other: TermMatch) -> int:
    """Units between two terms."""
    first, second = (one, other) if one.at < other.at else (other, one)
    return second.at - first.at - first.size


def _changed(found: list[TermMatch], place: int, language: str) -> float:
    """By what negations and degrees near it a term is multiplied."""
    before, after = _NEAR[language]
    term, factor = found[place], 1.0
    for other in (found[each] for each in _around(found, place)):
        reach = before if other.at < term.at else after
        distance = _apart(term, other)
        if other.kind == "negation" and distance <= reach:
            factor *= NEGATED
        elif other.kind in ("stronger", "weaker") and distance <= 2:
            factor *= STRONGER if other.kind == "stronger" else WEAKER
    return max(-2.0, min(2.0, factor))
