"""The lexicon as a file: terms by language and kind, JSON with a term a line, named by its content's hash."""

from functools import cache
from importlib import resources
from typing import Any

import msgspec

from detectors.card_page import counted, limits, measured, origin, page
from detectors.model_file import ModelFile, Origin, first_problem, foreign, sound
from detectors.sentiment.text import LANGUAGES, cleaned

DETECTOR = "sentiment_lexicon"


class Card(Origin, frozen=True, forbid_unknown_fields=True):
    """Where the lexicon comes from, and what it cannot do."""

    metrics: dict[str, float] = msgspec.field(default_factory=dict)
    limits: str = ""


class Terms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Terms of one language. A word that ends in * is any that begins so (English); a term stands in one list, but for
    bad.

    positive, negative, litigious : what they say by themselves; uncertain : makes a clause count less
    up, down : movements, good or bad by what moves; bad : things whose rise is bad, such as costs
    negation, stronger, weaker : change what stands near; neutral : says nothing, and hides what stands within it
    """

    positive: tuple[str, ...]
    negative: tuple[str, ...]
    litigious: tuple[str, ...]
    uncertain: tuple[str, ...]
    up: tuple[str, ...]
    down: tuple[str, ...]
    bad: tuple[str, ...]
    negation: tuple[str, ...]
    stronger: tuple[str, ...]
    weaker: tuple[str, ...]
    neutral: tuple[str, ...]

    def kinds(self) -> dict[str, str]:
        """The kind of each term; those that are only bad things are of the kind `bad`."""
        lists: dict[str, tuple[str, ...]] = msgspec.structs.asdict(self)
        only_bad = {"bad": self.bad}
        return {term: kind for each in (only_bad, lists) for kind, terms in each.items() for term in terms
                if kind != "bad" or each is only_bad}  # fmt: skip

    def problem(self) -> str:
        """What is wrong with the terms; empty where nothing is."""
        apart = [term for kind, terms in msgspec.structs.asdict(self).items() if kind != "bad" for term in terms]
        every = [*apart, *self.bad]
        return first_problem(
            {
                "a list is empty": any(not terms for terms in msgspec.structs.asdict(self).values()),
                "a term stands in two lists": len(set(apart)) != len(apart),
                "a term is not as texts are read": any(cleaned(term) != term.strip() for term in every),
                "a term is empty": not all(term.strip("* ") for term in every),
            }
        )


class Lexicon(ModelFile, frozen=True, forbid_unknown_fields=True):
    """Terms by language (the text's LANGUAGES), and its card."""

    languages: dict[str, Terms]
    card: Card = Card()
    detector: str = DETECTOR
    version: str = "1.0"

    def encoded(self) -> bytes:
        """JSON in a set order, a term a line, for people to read and compare."""
        return msgspec.json.format(msgspec.json.encode(self, order="deterministic"), indent=1) + b"\n"

    def problem(self) -> str:
        """What is wrong with the lexicon; empty where nothing is."""
        known = foreign(self.detector, self.version, DETECTOR) | {
            "a language is unknown, or there is none": not self.languages
            or set(self.languages) - set(LANGUAGES) != set()
        }
        return first_problem(known) or first_problem(
            {f"{name}: {terms.problem()}": bool(terms.problem()) for name, terms in self.languages.items()}
        )


def decode(data: bytes) -> Lexicon:
    """Read a lexicon; ValueError (msgspec.ValidationError is one) says what is wrong with it."""
    return sound(msgspec.json.decode(data, type=Lexicon))


@cache
def shipped() -> Lexicon:
    """The lexicon that comes with the product."""
    return decode((resources.files("detectors.sentiment.lexicon") / "lexicon.json").read_bytes())


def counts(lexicon: Lexicon) -> dict[str, int]:
    """Terms by language."""
    return {name: len(terms.kinds()) for name, terms in sorted(lexicon.languages.items())}


def summary(lexicon: Lexicon) -> dict[str, Any]:
    """What a listing shows."""
    return {
        "detector": lexicon.detector,
        "hash": lexicon.hash,
        "inputs": sum(counts(lexicon).values()),
        "rows": 0,
        "data": lexicon.card.data,
        "languages": list(counts(lexicon)),
    }


def markdown(lexicon: Lexicon) -> str:
    """Its card as a page."""
    facts = {
        "Detector": f"`{lexicon.detector}`",
        "Content hash": f"`{lexicon.hash}`",
        "Terms": counted(counts(lexicon)),
        **origin(lexicon.card, "none"),
    }
    return page("Sentiment lexicon", facts, [measured(lexicon.card.metrics), limits(lexicon.card.limits)])
