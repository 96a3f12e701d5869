"""The linear model as a file: vocabulary and card in the description of a safetensors file, weights beside; its scorer.

A score is sums of products of doubles in a set order and square roots, but for the last step to probabilities, which is
rounded: the same text has the same score on every machine.

Terms of a text: n-grams of words, and of characters within words; of jamo, the letters of Hangul, in Korean.
"""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np

from detectors.card_page import counted, limits, measured, origin, page
from detectors.model_file import Origin, TensorFile, decode_model, first_problem, foreign
from detectors.sentiment.lexicon.model import shipped
from detectors.sentiment.lexicon.score import LexiconScorer
from detectors.sentiment.scorer import CLASSES, F8, neutral, score_of
from detectors.sentiment.text import cleaned, language_of, problem

VIEWS = {"en": "wc", "ko": "wsj", "zh-Hans": "wh", "zh-Hant": "wh"}
"""By language the kinds of terms, a letter each, with which their terms begin."""
_LENGTHS = {"w": (1, 2), "c": (2, 5), "s": (1, 4), "j": (3, 6), "h": (1, 4)}
_NUMBER = re.compile(r"\d+")
_WORD = re.compile(r"\w+")


def terms(text: str, language: str) -> dict[str, Counter[str]]:
    """How often each term of each view stands in a text. Numbers are alike. language : of text.LANGUAGES"""
    words = _WORD.findall(_NUMBER.sub("0", cleaned(text)))
    return {view: Counter(_of_view(words, view)) for view in VIEWS[language]}


def _of_view(words: list[str], view: str) -> Iterator[str]:
    low, high = _LENGTHS[view]
    if view == "w":
        for size in range(low, high + 1):
            for at in range(len(words) - size + 1):
                yield "w" + " ".join(words[at : at + size])
        return
    # Chinese may or may not come parted into words: it is read as one run.
    pieces = ["".join(words)] if view == "h" else [f" {word} " for word in words]
    for piece in pieces:
        letters = unicodedata.normalize("NFD", piece) if view == "j" else piece
        for size in range(low, high + 1):
            for at in range(len(letters) - size + 1):
                yield view + letters[at : at + size]


DETECTOR = "sentiment_linear"
_DIGITS = 12


class Card(Origin, frozen=True, forbid_unknown_fields=True):
    """Where a model comes from. rows : training texts by class; strength : inverse of the penalty, as chosen"""

    rows: dict[str, int] = msgspec.field(default_factory=dict)
    strength: float = 0.0
    metrics: dict[str, float] = msgspec.field(default_factory=dict)
    limits: str = ""


class LinearMetadata(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the weights are of. language : of text.LANGUAGES; vocabulary : terms, the first letter names their view

    classes : places in CLASSES that were in the training texts; lexicon : hash of the lexicon whose score is an input
    temperature : by which log odds are divided, from texts that the weights had not seen
    """

    language: str
    vocabulary: tuple[str, ...]
    classes: tuple[int, ...]
    lexicon: str
    temperature: float = 1.0
    card: Card = Card()
    detector: str = DETECTOR
    version: str = "1.0"


class LinearModel(TensorFile[LinearMetadata], frozen=True):
    """Arrays: `weights` float32[terms + 3, classes], the last three of the lexicon's inputs; `rarity` float32[terms],
    inverse document frequencies; `bias` float32[classes].
    """

    @property
    def card(self) -> Card:
        """Where it comes from."""
        return self.described.card

    def problem(self) -> str:
        """What is wrong with the model; empty where nothing is."""
        known = self.described
        size, count = len(known.vocabulary), len(known.classes)
        shapes = {"weights": (size + 3, count), "rarity": (size,), "bias": (count,)}
        found = foreign(known.detector, known.version, DETECTOR) | {
            f"language {known.language!r} is unknown": known.language not in VIEWS,
            "a term stands twice": len(set(known.vocabulary)) != size,
            "arrays do not match the vocabulary": {n: a.shape for n, a in self.arrays.items()} != shapes,
            "classes are amiss": count < 2 or set(known.classes) - set(range(len(CLASSES))) != set(),
            "a weight is not finite": not self.finite,
            "the temperature must be positive": not 0.0 < known.temperature < math.inf,
            "it was made with another lexicon: train it again": known.lexicon != shipped().hash,
        }
        return first_problem(found)


class LinearScorer:
    """Scores by a linear model."""

    def __init__(self, model: LinearModel) -> None:
        self.model = model
        self._hash = model.hash
        self._place = {term: place for place, term in enumerate(model.described.vocabulary)}
        self._rarity = model.arrays["rarity"].astype(np.float64)
        self._weights = model.arrays["weights"].astype(np.float64)
        self._bias = model.arrays["bias"].astype(np.float64)
        self._lexicon = LexiconScorer()

    @property
    def hash(self) -> str:
        """Content hash of the model."""
        return self._hash

    def classes(self, texts: Sequence[str], language: str = "") -> F8:
        """Probability of each class, float64[texts, 3]; 0 for one that was not in the training texts."""
        found = neutral(len(texts))
        known = self.model.described
        for place, text in enumerate(texts):
            # Both ways to write Chinese are read by a model of either: half of their characters are common.
            if not problem(text) and language_of(text, language)[:2] == known.language[:2]:
                found[place] = 0.0
                found[place, list(known.classes)] = self._probabilities(text)
        return found

    def score(self, texts: Sequence[str], language: str = "") -> F8:
        """-1 to 1, float64[texts]."""
        return score_of(self.classes(texts, language))

    def _probabilities(self, text: str) -> F8:
        language = self.model.described.language
        total = self._bias.copy()
        for view in terms(text, language).values():
            used = sorted((self._place[term], count) for term, count in view.items() if term in self._place)
            if used:
                places = np.array([place for place, _ in used])
                values = np.sqrt([float(count) for _, count in used]) * self._rarity[places]
                # Added up one by one: numpy's sums and products of matrices may round otherwise on another machine.
                norm = math.sqrt(np.add.accumulate(values * values)[-1])
                total = total + np.add.accumulate((values / norm)[:, None] * self._weights[places], axis=0)[-1]
        for value, weights in zip(lexicon_inputs(self._lexicon, [text], language)[0], self._weights[-3:], strict=True):
            total = total + value * weights
        odds = np.exp((total - total.max()) / self.model.described.temperature)
        return np.asarray(np.round(odds / np.add.accumulate(odds)[-1], _DIGITS))


def lexicon_inputs(scorer: LexiconScorer, texts: Sequence[str], language: str) -> F8:
    """What the lexicon says, as inputs: its score where good, where bad, and its size. float64[texts, 3]"""
    found = scorer.score(texts, language)
    return np.column_stack([np.maximum(found, 0.0), np.maximum(-found, 0.0), np.abs(found)])


def decode(data: bytes) -> LinearModel:
    """Read a model file; ValueError says what is wrong with it."""
    return decode_model(data, LinearModel, LinearMetadata)


def summary(model: LinearModel) -> dict[str, Any]:
    """What a listing shows."""
    return {
        "detector": model.detector,
        "hash": model.hash,
        "inputs": len(model.described.vocabulary) + 3,
        "rows": sum(model.card.rows.values()),
        "data": model.card.data,
        "language": model.described.language,
    }


def markdown(model: LinearModel) -> str:
    """Its card as a page."""
    card, known = model.card, model.described
    facts = {
        "Detector": f"`{model.detector}`",
        "Content hash": f"`{model.hash}`",
        "Language": known.language,
        "Terms": f"{len(known.vocabulary):,}, and the score of lexicon `{known.lexicon}`",
        "Classes": ", ".join(CLASSES[place] for place in known.classes),
        "Calibration": f"temperature {known.temperature:g}, inverse penalty {card.strength:g}: by inner folds",
        **origin(card, counted(card.rows), "texts"),
    }
    return page("Sentiment, linear", facts, [measured(card.metrics), limits(card.limits)])
