"""Training the linear model: TF-IDF by view, logistic regression, penalty and temperature by inner folds."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.optimize import minimize_scalar
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from threadpoolctl import threadpool_limits

from detectors.model_file import F4
from detectors.sentiment.lexicon.model import shipped
from detectors.sentiment.lexicon.score import LexiconScorer
from detectors.sentiment.linear.model import VIEWS, Card, LinearMetadata, LinearModel, lexicon_inputs, terms
from detectors.sentiment.scorer import CLASSES, F8, I8

STRENGTHS = (1.0, 4.0, 16.0)
"""Inverse penalties to choose among."""
INNER = 3
"""Folds to choose by."""
_SEEN = 2
"""A term stands in so many training texts at least."""
_LIMITS = (
    "Counts words and parts of words of the kind of text that it was trained on; order beyond two words, irony and "
    "what a company's usual figures are it does not know."
)


@dataclass(frozen=True, slots=True)
class TermCounts:
    """Texts as counts. views : by view the terms and sparse counts [texts, terms]; lexicon : float64[texts, 3]"""

    views: Mapping[str, tuple[list[str], sparse.csr_matrix]]
    lexicon: F8


@dataclass(frozen=True, slots=True)
class Inputs:
    """Which terms of each view are used, and their rarity. rows : of which it was learnt"""

    used: Mapping[str, tuple[I8, F4]]


def trained(texts: Sequence[str], labels: I8, groups: I8, language: str, seed: int) -> LinearModel:
    """A model; who trains it adds data and command to its card. ValueError where there is too little.

    labels : int64[texts], places in CLASSES; groups : int64[texts], texts that say the same (grouping.groups)
    """
    smallest = min(len(np.unique(groups[labels == each])) for each in np.unique(labels)) if len(labels) else 0
    if len(np.unique(labels)) < 2 or smallest < INNER:
        raise ValueError(f"{INNER} different texts of each of two classes are needed")
    counted = counts(texts, language)
    with threadpool_limits(1):
        strength, temperature = _chosen(counted, labels, groups, seed)
        every = np.arange(len(labels))
        inputs = _inputs(counted, every)
        fitted = _fit(_matrix(counted, inputs, every), labels, strength)
    vocabulary = [counted.views[view][0][place] for view, (used, _) in inputs.used.items() for place in used]
    weights, bias = _both_sides(fitted)
    arrays = {
        "weights": np.ascontiguousarray(weights.T.astype(np.float32)),
        "rarity": np.concatenate([rarity for _, rarity in inputs.used.values()]),
        "bias": bias.astype(np.float32),
    }
    rows = {name: int(np.count_nonzero(labels == place)) for place, name in enumerate(CLASSES)}
    present = tuple(int(each) for each in fitted.classes_)
    card = Card(rows=rows, strength=strength, seed=seed, limits=_LIMITS)
    return LinearModel(LinearMetadata(language, tuple(vocabulary), present, shipped().hash, temperature, card), arrays)


def counts(texts: Sequence[str], language: str) -> TermCounts:
    """Terms of each text, counted, of every view of the language."""
    found = [terms(text, language) for text in texts]
    views = {view: _sparse([one[view] for one in found]) for view in VIEWS[language]}
    return TermCounts(views, lexicon_inputs(LexiconScorer(), texts, language))


def _sparse(rows: Sequence[Counter[str]]) -> tuple[list[str], sparse.csr_matrix]:
    """Terms that stand in enough texts, sorted, and how often, float64[rows, terms]."""
    seen = Counter(term for row in rows for term in row)
    names = sorted(term for term, texts in seen.items() if texts >= _SEEN)
    place = {term: number for number, term in enumerate(names)}
    kept = [sorted((place[term], count) for term, count in row.items() if term in place) for row in rows]
    ends = np.cumsum([0, *(len(row) for row in kept)])
    values = np.array([count for row in kept for _, count in row], dtype=np.float64)
    columns = np.array([number for row in kept for number, _ in row], dtype=np.int64)
    return names, sparse.csr_matrix((values, columns, ends), shape=(len(rows), len(names)))


def _inputs(counted: TermCounts, rows: I8) -> Inputs:
    """Terms that stand in enough of these rows, and their rarity, smoothed as if one more text had every term."""
    used: dict[str, tuple[I8, F4]] = {}
    for view, (_, matrix) in counted.views.items():
        seen = np.asarray((matrix[rows] > 0).sum(axis=0)).ravel()
        kept = np.flatnonzero(seen >= _SEEN)
        used[view] = kept, (np.log((1.0 + len(rows)) / (1.0 + seen[kept])) + 1.0).astype(np.float32)
    return Inputs(used)


def _matrix(counted: TermCounts, inputs: Inputs, rows: I8) -> sparse.csr_matrix:
    """Inputs of rows: each view's square roots of counts times rarity, of length 1, then the lexicon's."""
    parts = []
    for view, (used, rarity) in inputs.used.items():
        part = counted.views[view][1][rows][:, used].sqrt().multiply(rarity.astype(np.float64)[None, :]).tocsr()
        length = np.sqrt(np.asarray(part.multiply(part).sum(axis=1)).ravel())
        parts.append(sparse.diags(1.0 / np.where(length > 0.0, length, 1.0)) @ part)
    return sparse.hstack([*parts, sparse.csr_matrix(counted.lexicon[rows])]).tocsr()


def _fit(matrix: sparse.csr_matrix, labels: I8, strength: float) -> LogisticRegression:
    return LogisticRegression(C=strength, max_iter=500, tol=1e-4).fit(matrix, labels)


def _both_sides(fitted: LogisticRegression) -> tuple[F8, F8]:
    """Weights and bias a class; of two classes the regression has those of the second alone."""
    if len(fitted.classes_) > 2:
        return fitted.coef_, fitted.intercept_
    return np.vstack([np.zeros_like(fitted.coef_), fitted.coef_]), np.append(0.0, fitted.intercept_)


def _chosen(counted: TermCounts, labels: I8, groups: I8, seed: int) -> tuple[float, float]:
    """Inverse penalty and temperature at which texts that were left out are likeliest."""
    folds = list(StratifiedGroupKFold(INNER, shuffle=True, random_state=seed).split(labels, labels, groups))
    odds = {strength: np.full((len(labels), len(CLASSES)), -np.inf) for strength in STRENGTHS}
    for learnt, left in folds:
        inputs = _inputs(counted, learnt)
        seen, unseen = (_matrix(counted, inputs, rows) for rows in (learnt, left))
        for strength in STRENGTHS:
            fitted = _fit(seen, labels[learnt], strength)
            weights, bias = _both_sides(fitted)
            odds[strength][np.ix_(left, fitted.classes_)] = unseen @ weights.T + bias
    found = {strength: _tempered(each, labels) for strength, each in odds.items()}
    strength = min(found, key=lambda each: found[each][0])
    return strength, found[strength][1]


def _tempered(odds: F8, labels: I8) -> tuple[float, float]:
    """Least log loss, and the temperature that gives it (Guo et al. 2017). odds : float64[rows, 3]"""

    def loss(log_temperature: float) -> float:
        scaled = odds / np.exp(log_temperature)
        top = scaled.max(axis=1, keepdims=True)
        sums = np.log(np.exp(scaled - top).sum(axis=1)) + top[:, 0]
        return float(np.mean(sums - scaled[np.arange(len(labels)), labels]))

    best = minimize_scalar(loss, bounds=(-1.5, 1.5), method="bounded")
    return float(best.fun), round(float(np.exp(best.x)), 6)
