"""Scores by the lexicon: signed terms, changed by what stands near them, added up and squashed.

A movement is good or bad by what moves: profits that fall are bad, losses that fall are good. Nothing is learnt, and
nothing but additions and products of doubles is computed, so that a text has the same score everywhere.
"""

from collections.abc import Sequence

import numpy as np

from detectors.sentiment.lexicon.matching import Characters, TermMatch, Words, clause_of
from detectors.sentiment.lexicon.model import Lexicon, shipped
from detectors.sentiment.scorer import F8
from detectors.sentiment.text import cleaned, language_of

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
