"""`tapewatch evaluate sentiment`: grouped cross-validation on labelled texts, beside plain TF-IDF and the majority.

It trains, by definition. Near-duplicates, and a text with its translation, stand on one side of every fold. What a kind
chooses (weights, smoothing, mixtures) it chooses within the training rows of a fold.

Figures of classified texts: accuracy, macro F1 and calibration, with intervals of a bootstrap over groups.
"""

import argparse
import io
import re
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from threadpoolctl import threadpool_limits

from detectors.commands import labelled_texts
from detectors.commands.labelled_texts import LabelledTexts
from detectors.model_file import content_hash
from detectors.sentiment.encoder import base as bases
from detectors.sentiment.encoder import training
from detectors.sentiment.encoder.model import EncoderScorer
from detectors.sentiment.grouping import groups
from detectors.sentiment.lexicon.model import shipped
from detectors.sentiment.lexicon.score import LexiconScorer
from detectors.sentiment.linear import training as linear
from detectors.sentiment.linear.model import LinearScorer
from detectors.sentiment.scorer import CLASSES, F8, I8
from evaluation.what_if import finish
from tapewatch.durable_files import place
from tapewatch.errors import TapewatchError
from tapewatch.settings import Settings

RESAMPLES = 2000
_COUNT = len(CLASSES)


def confusions(labels: I8, groups: I8, classes: F8) -> F8:
    """Truth by prediction of each group, mean over repeats, float64[groups, 9]. classes : float64[repeats, rows, 3]"""
    found = np.zeros((int(groups.max()) + 1, _COUNT * _COUNT))
    for one in classes:
        np.add.at(found, (groups, labels * _COUNT + one.argmax(axis=1)), 1.0 / len(classes))
    return found


def accuracy(confusion: F8) -> float:
    """Share on the diagonal. confusion : float64[9]"""
    square = confusion.reshape(_COUNT, _COUNT)
    return float(np.trace(square) / max(square.sum(), 1e-300))


def macro_f1(confusion: F8) -> float:
    """Mean F1 of the classes that occur. confusion : float64[9]"""
    square = confusion.reshape(_COUNT, _COUNT)
    truth, said, hit = square.sum(axis=1), square.sum(axis=0), np.diag(square)
    return float(np.mean((2.0 * hit / np.maximum(truth + said, 1e-300))[truth > 0.0]))


def drawn(groups: int, seed: int = 0) -> F8:
    """How often each draw holds each group, float64[RESAMPLES, groups]."""
    rng = np.random.default_rng(seed)
    return np.array([np.bincount(rng.integers(0, groups, groups), minlength=groups) for _ in range(RESAMPLES)], float)


def interval(figure: Callable[[F8], float], confusion: F8, draws: F8, less: F8 | None = None) -> dict[str, float]:
    """A figure with its 95 % interval; of the difference to another's confusions, drawn alike, where one is given."""

    def value(weights: F8) -> float:
        return figure(weights @ confusion) - (0.0 if less is None else figure(weights @ less))

    found = [value(weights) for weights in draws]
    low, high = np.percentile(found, [2.5, 97.5])
    return {"mean": value(np.ones(draws.shape[1])), "low": float(low), "high": float(high)}


def calibration_error(labels: I8, classes: F8, bins: int = 10) -> float:
    """Expected calibration error of the likeliest class (Guo et al. 2017). classes : float64[repeats, rows, 3]"""
    sure = classes.max(axis=2).ravel()
    right = (classes.argmax(axis=2) == labels).ravel().astype(float)
    which = np.minimum((sure * bins).astype(int), bins - 1)
    gaps = np.abs(np.bincount(which, right, bins) - np.bincount(which, sure, bins))
    return float(gaps.sum() / len(sure))


def judged(labels: I8, groups: I8, classes: F8, draws: F8) -> dict[str, Any]:
    """The figures of one classifier."""
    confusion = confusions(labels, groups, classes)
    return {
        "accuracy": interval(accuracy, confusion, draws),
        "macro_f1": interval(macro_f1, confusion, draws),
        "calibration_error": calibration_error(labels, classes),
        "confusion": confusion.sum(axis=0).reshape(_COUNT, _COUNT).round(2).tolist(),
    }


Fit = Callable[[LabelledTexts, I8, I8, I8, int], F8]
"""File, groups, training rows, rows to judge, seed -> classes of the rows to judge, float64[rows, 3]."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the file and what is judged on it."""
    parser.epilog = (
        "examples:\n  tapewatch evaluate sentiment --csv financial_phrasebank_en_ko.csv --language en --json\n"
        "  tapewatch evaluate sentiment --csv phrases.csv --kind encoder --encoder DIR --keep folds/"
    )
    parser.add_argument("--csv", type=Path, required=True, metavar="FILE", help="labelled texts, CSV or TSV")
    parser.add_argument("--text", default="", metavar="COLUMN", help="texts (known shapes: by itself)")
    parser.add_argument("--labels", default="", metavar="COLUMN", help="labels (known shapes: by itself)")
    parser.add_argument("--language", default="", help="en, ko, zh-TW, zh (default: by the texts' script)")
    parser.add_argument("--kind", choices=("lexicon", "linear", "encoder"), default="linear", help="default: linear")
    labelled_texts.configure(parser)
    parser.add_argument("--folds", type=int, default=5, help="default: 5")
    parser.add_argument("--first", type=int, metavar="N", help="judge the first N folds only: a look at a long run")
    parser.add_argument("--repeats", type=int, default=1, help="how often folds are drawn anew (default: 1)")
    parser.add_argument("--seed", type=int, default=0, help="of everything drawn (default: 0)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep each fold's answers here, and go on from there")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Cross-validate and print the figures."""
    if args.folds < 2 or args.repeats < 1 or (args.first and args.repeats > 1):
        raise TapewatchError(
            "--folds must be at least 2, --repeats at least 1; with --first, 1", "See `evaluate sentiment --help`."
        )
    rows = labelled_texts.read(args.csv, args.text, args.labels, args.language)
    grouped = groups(rows.columns)
    smallest = min(len(np.unique(grouped[rows.labels == label])) for label in np.unique(rows.labels))
    if len(np.unique(rows.labels)) < 2 or smallest < args.folds:
        raise TapewatchError(f"too few texts of a class for {args.folds} folds", "Give more texts, or fewer --folds.")
    fits: dict[str, Fit] = {"majority": _majority, "tfidf_logistic": _tfidf, args.kind: _kind(args)}
    found = {name: _judged(rows, grouped, fit, args, name) for name, fit in fits.items()}
    document = _document(args, rows, grouped, found, _seen(rows.labels, grouped, args))
    return finish(args, document, lambda folder: _report(folder, document), text)


def cross_validated(rows: LabelledTexts, grouped: I8, fit: Fit, folds: int, seed: int, first: int | None = None) -> F8:
    """Classes of each row by a fit that saw nothing of its group, float64[rows, 3]; 0 in folds after the `first`."""
    found = np.zeros((len(rows.texts), len(CLASSES)))
    for learnt, test in split(rows.labels, grouped, folds, seed)[:first]:
        with threadpool_limits(1):
            found[test] = fit(rows, grouped, learnt, test, seed)
    return found


def split(labels: I8, grouped: I8, folds: int, seed: int) -> list[tuple[I8, I8]]:
    """Training and test rows of each fold: whole groups, classes in like shares."""
    drawn_folds = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    return [(learnt, test) for learnt, test in drawn_folds.split(labels, labels, grouped) if len(test)]


def _judged(rows: LabelledTexts, grouped: I8, fit: Fit, args: argparse.Namespace, name: str) -> F8:
    """float64[repeats, rows, 3]"""
    kept = _kept(fit, args, rows.hash, name) if args.keep and name == args.kind else fit
    seeds = range(args.seed, args.seed + args.repeats)
    return np.array([cross_validated(rows, grouped, kept, args.folds, seed, args.first) for seed in seeds])


def _seen(labels: I8, grouped: I8, args: argparse.Namespace) -> I8:
    """The rows that are judged, int64[rows]."""
    folds = split(labels, grouped, args.folds, args.seed)
    return np.sort(np.concatenate([test for _, test in folds[: args.first]]))


def _kind(args: argparse.Namespace) -> Fit:
    if args.kind == "lexicon":
        return _lexicon
    if args.kind == "linear":
        return _linear
    if not args.encoder:
        raise TapewatchError("no encoder to fine-tune", "Name a local folder with --encoder.")
    base = bases.read(args.encoder)

    def fit(rows: LabelledTexts, _grouped: I8, learnt: I8, test: I8, seed: int) -> F8:
        def say(line: str) -> None:
            print(line, file=sys.stderr, flush=True)

        recipe = labelled_texts.recipe_of(args)
        model = training.trained(base, _at(rows, learnt), rows.labels[learnt], rows.language, seed, recipe, say)
        return EncoderScorer(model).classes(_at(rows, test), rows.language)

    return fit


def _lexicon(rows: LabelledTexts, _grouped: I8, _learnt: I8, test: I8, _seed: int) -> F8:
    found = LexiconScorer().classes(_at(rows, test), rows.language)
    if not (rows.labels == 1).any():
        # Where nothing is neutral, the side decides; a score of 0 is read as negative.
        found[:, 1] = 0.0
    return found


def _linear(rows: LabelledTexts, grouped: I8, learnt: I8, test: I8, seed: int) -> F8:
    model = linear.trained(_at(rows, learnt), rows.labels[learnt], grouped[learnt], rows.language, seed)
    return LinearScorer(model).classes(_at(rows, test), rows.language)


def _majority(rows: LabelledTexts, _grouped: I8, learnt: I8, test: I8, _seed: int) -> F8:
    shares = np.bincount(rows.labels[learnt], minlength=len(CLASSES)) / len(learnt)
    return np.tile(shares, (len(test), 1))


def _tfidf(rows: LabelledTexts, _grouped: I8, learnt: I8, test: I8, _seed: int) -> F8:
    """What anyone would try first: words, TF-IDF, logistic regression, as scikit-learn has them by default."""
    words = TfidfVectorizer(tokenizer=re.compile(r"\w+").findall, token_pattern=None)
    fitted = make_pipeline(words, LogisticRegression(max_iter=1000))
    fitted.fit(_at(rows, learnt), rows.labels[learnt])
    found = np.zeros((len(test), len(CLASSES)))
    found[:, fitted.classes_] = fitted.predict_proba(_at(rows, test))
    return found


def _at(rows: LabelledTexts, places: I8) -> list[str]:
    return [rows.texts[place] for place in places]


def _kept(fit: Fit, args: argparse.Namespace, data: str, name: str) -> Fit:
    """The same fit, whose answers for a fold are written down and read again: a long run can be cut off and go on."""
    recipe = labelled_texts.recipe_of(args)
    of = [data, name, args.language, args.text, args.encoder and bases.read(args.encoder).hash, str(recipe)]
    of += [args.labels] if args.labels else []
    of += [shipped().hash] if name != "encoder" else []
    folder: Path = args.keep
    folder.mkdir(parents=True, exist_ok=True)

    def kept(rows: LabelledTexts, grouped: I8, learnt: I8, test: I8, seed: int) -> F8:
        key = content_hash(msgspec.json.encode([*of, seed, learnt.tolist(), test.tolist()]))
        path = folder / f"{key}.npy"
        if path.exists():
            return np.asarray(np.load(path, allow_pickle=False))
        found = fit(rows, grouped, learnt, test, seed)
        written = io.BytesIO()
        np.save(written, found, allow_pickle=False)
        place(path, written.getvalue())
        return found

    return kept


def _document(
    args: argparse.Namespace, rows: LabelledTexts, grouped: I8, found: dict[str, F8], seen: I8
) -> dict[str, Any]:
    """What the command prints as JSON. seen : the rows that are judged"""
    labels, group = rows.labels[seen], np.unique(grouped[seen], return_inverse=True)[1]
    draws = drawn(int(group.max()) + 1)
    figures = {name: judged(labels, group, classes[:, seen], draws) for name, classes in found.items()}
    ours, plain = (confusions(labels, group, found[name][:, seen]) for name in (args.kind, "tfidf_logistic"))
    return {
        "evaluate": "sentiment",
        "kind": args.kind,
        "language": rows.language,
        "data": {rows.name: rows.hash},
        "rows": len(rows.texts),
        "classes": {name: int(np.count_nonzero(rows.labels == place)) for place, name in enumerate(CLASSES)},
        "groups": int(grouped.max()) + 1,
        "judged": len(seen),
        **figures[args.kind],
        "baselines": {name: figures[name] for name in ("majority", "tfidf_logistic")},
        "macro_f1_less_tfidf": interval(macro_f1, ours, draws, plain),
        "folds": args.folds,
        "first": args.first or args.folds,
        "repeats": args.repeats,
        "seed": args.seed,
        "encoder": bases.read(args.encoder).hash if args.kind == "encoder" else None,
        "recipe": asdict(labelled_texts.recipe_of(args)) if args.kind == "encoder" else None,
    }


def _report(folder: Path, document: dict[str, Any]) -> Path:
    from evaluation.sentiment_report import write_report

    return write_report(folder, document)


def text(document: dict[str, Any]) -> str:
    """The figures as lines."""
    lines = [
        f"{document['rows']:,} texts ({document['language']}), {document['groups']:,} groups, {document['folds']} folds"
    ]
    for name, one in {document["kind"]: document, **document["baselines"]}.items():
        shown = [f"{key} {one[key]['mean']:.3f} ({one[key]['low']:.3f} to {one[key]['high']:.3f})" for key in _FIGURES]
        lines.append(f"{name:16} {', '.join(shown)}")
    return "\n".join(lines)


_FIGURES = ("accuracy", "macro_f1")
