"""What scores texts: one protocol for lexicon, trained model and transformer.

Labels of texts: how files spell them, as places in CLASSES.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

F8 = npt.NDArray[np.float64]

CLASSES = ("negative", "neutral", "positive")
"""In order; a class is its place here."""


class Scorer(Protocol):
    """Says how good or bad the news in a text is.

    The same text gives the same bits whatever is scored beside it. No text raises: one without letters, or in a
    language that the scorer does not know, is neutral (score 0, classes 0, 1, 0).
    """

    @property
    def hash(self) -> str:
        """Content hash of the model, as a scored headline carries it."""
        ...

    def classes(self, texts: Sequence[str], language: str = "") -> F8:
        """Probability of each of CLASSES, float64[texts, 3]. language : BCP 47 tag; by script where empty"""
        ...

    def score(self, texts: Sequence[str], language: str = "") -> F8:
        """Probability of positive less that of negative, float64[texts], -1 to 1."""
        ...


def score_of(classes: F8) -> F8:
    """Scores of class probabilities, float64[rows]. classes : float64[rows, 3]"""
    return np.asarray(classes[:, 2] - classes[:, 0])


def neutral(count: int) -> F8:
    """Classes of texts in which there is nothing to score, float64[count, 3]."""
    return np.tile([0.0, 1.0, 0.0], (count, 1))


I8 = npt.NDArray[np.int64]

_SPELLED = {name: place for place, name in enumerate(CLASSES)} | {"-1": 0, "neg": 0, "neu": 1, "pos": 2}
_BINARY = {"0": 0, "1": 2}


def places(labels: Sequence[str]) -> I8:
    """int64[labels]; ValueError names a label that is none. 0 and 1 alone are negative and positive; -1, 0, 1 the
    three classes; else their names.
    """
    spelled = [label.strip().lower() for label in labels]
    known = _BINARY if set(spelled) <= set(_BINARY) else _SPELLED | {"0": 1, "1": 2}
    unknown = sorted(set(spelled) - set(known))
    if unknown:
        raise ValueError(f"label {unknown[0]!r} is none of {', '.join(CLASSES)}")
    return np.array([known[label] for label in spelled], dtype=np.int64)
