"""Reading files of labelled texts: any CSV or TSV with a header, and two known shapes without being told columns.

Arguments of fine-tuning an encoder, common to training one and to judging the kind.
"""

import argparse
import csv
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from detectors.sentiment.encoder.training import Recipe
from detectors.sentiment.scorer import I8, places
from detectors.sentiment.text import LANGUAGES, language_of
from tapewatch.errors import TapewatchError


def configure(parser: argparse.ArgumentParser) -> None:
    """Add them."""
    usual = Recipe()
    parser.add_argument("--encoder", type=Path, metavar="DIR", help="pretrained encoder to fine-tune, a local folder")
    parser.add_argument("--epochs", type=int, default=usual.epochs, help=f"of the encoder (default: {usual.epochs})")
    parser.add_argument(
        "--frozen", type=int, default=usual.frozen, help=f"lowest layers that stay (default: {usual.frozen})"
    )
    parser.add_argument("--rate", type=float, default=usual.rate, help=f"of the top layer (default: {usual.rate:g})")


def recipe_of(args: argparse.Namespace) -> Recipe:
    """What was asked for."""
    return Recipe(epochs=args.epochs, frozen=args.frozen, rate=args.rate)


_PHRASEBANK = {"en": "sentence", "ko": "kor_sentence"}
_SHAPES = (("labels", _PHRASEBANK), ("label", {"zh": "text"}))
"""Known shapes: the column of labels, and the column of texts by language."""


@dataclass(frozen=True, slots=True)
class LabelledTexts:
    """Labelled texts. labels : int64[rows], places in CLASSES; columns : the texts, and their translations if any

    language : one of text.LANGUAGES; name, hash : of the file
    """

    texts: list[str]
    labels: I8
    columns: list[list[str]]
    language: str
    name: str
    hash: str


def read(path: Path, text: str = "", labels: str = "", language: str = "") -> LabelledTexts:
    """The file's texts; TapewatchError says which column or label is amiss.

    text, labels : columns, found by themselves in known shapes; language : en, ko, zh-TW, zh, ...; by script if empty
    """
    try:
        data = path.read_bytes()
        rows = _rows(data.decode("utf-8-sig"), "\t" if path.suffix == ".tsv" else ",")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TapewatchError(f"cannot read {path}: {error}", "Give a CSV or TSV file in UTF-8.") from error
    header = rows[0] if rows else []
    translations = {text}
    if not text or not labels:
        labels, by_language = _known(path, header)
        text = by_language.get(language.partition("-")[0], "") if language else next(iter(by_language.values()))
        translations = set(by_language.values())
    unknown = [name for name in (text, labels) if name not in header]
    if unknown:
        raise TapewatchError(
            f"{path} has no column {unknown[0]!r}", f"It has {', '.join(header)}: see --text, --labels."
        )
    kept = [row for row in rows[1:] if len(row) == len(header)]
    columns = {name: [row[header.index(name)] for row in kept] for name in {*translations, labels, text}}
    try:
        found = places(columns[labels])
    except ValueError as error:
        raise TapewatchError(f"{path}: {error}", "Labels are negative, neutral, positive; or 0 and 1.") from error
    if not kept:
        raise TapewatchError(f"{path} has no labelled rows", "Give a file with a header and a row a text.")
    texts = columns[text]
    others = [columns[name] for name in sorted(translations - {text})]
    return LabelledTexts(
        texts, found, [texts, *others], _language(texts, language), path.name, hashlib.sha256(data).hexdigest()
    )


def _rows(text: str, separator: str) -> list[list[str]]:
    lines = io.StringIO(text, newline="")
    # Quotes in tab-separated files are characters as others are.
    return list(csv.reader(lines, "excel-tab", quoting=csv.QUOTE_NONE) if separator == "\t" else csv.reader(lines))


def _known(path: Path, header: Sequence[str]) -> tuple[str, dict[str, str]]:
    for labels, by_language in _SHAPES:
        if {labels, *by_language.values()} <= set(header):
            return labels, by_language
    raise TapewatchError(f"{path} is of no known shape", "Name its columns with --text and --labels.")


def _language(texts: Sequence[str], stated: str) -> str:
    """The language stated, else of most of the first texts."""
    votes = [language_of(text, stated) for text in texts[:200]]
    found = max(LANGUAGES, key=votes.count)
    if not votes.count(found):
        raise TapewatchError("the texts are in no known language", "Name it: --language en, ko, zh-TW or zh.")
    return found
