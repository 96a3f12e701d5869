"""Terms of a text: n-grams of words, and of characters within words; of jamo, the letters of Hangul, in Korean."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator

from detectors.sentiment.text import cleaned

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
