"""A fine-tuned encoder as a file: safetensors with configuration, tokenizer and card in its description; its scorer."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from detectors.card_page import counted, limits, measured, origin, page
from detectors.model_file import Origin, TensorFile, decode_model, first_problem, foreign
from detectors.pytorch import require_torch
from detectors.sentiment.encoder.base import HEAD, LONGEST, logits, network, tokenizer_of, tokens_of
from detectors.sentiment.scorer import CLASSES, F8, neutral, score_of
from detectors.sentiment.text import LANGUAGES, cleaned, language_of, problem

DETECTOR = "sentiment_encoder"


class Card(Origin, frozen=True, forbid_unknown_fields=True):
    """Where a model comes from. base : hash of the pretrained weights; rows : training texts by class"""

    base: str = ""
    rows: dict[str, int] = msgspec.field(default_factory=dict)
    recipe: dict[str, float] = msgspec.field(default_factory=dict)
    metrics: dict[str, float] = msgspec.field(default_factory=dict)
    limits: str = ""


class EncoderMetadata(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the weights are of. language : of text.LANGUAGES; config, tokenizer : the encoder's JSON files"""

    language: str
    config: str
    tokenizer: str
    card: Card = Card()
    detector: str = DETECTOR
    version: str = "1.0"


class EncoderModel(TensorFile[EncoderMetadata], frozen=True):
    """A fine-tuned encoder: description, and weights as `network.weights` names them."""

    @property
    def card(self) -> Card:
        """Where it comes from."""
        return self.described.card

    def problem(self) -> str:
        """What is wrong with the model; empty where nothing is."""
        found = foreign(self.described.detector, self.described.version, DETECTOR) | {
            f"language {self.described.language!r} is unknown": self.described.language not in LANGUAGES,
            "it has no head": any(name not in self.arrays for name in HEAD),
            "a weight is not finite": not self.finite,
        }
        return first_problem(found)


class EncoderScorer:
    """Scores by a fine-tuned encoder; needs the extra `encoder`. A text is scored by itself, in float32.

    ValueError where configuration, weights and tokenizer do not fit together.
    """

    def __init__(self, model: EncoderModel) -> None:
        self.model = model
        self._hash = model.hash
        self._parts = network(model.described.config, model.arrays)
        self._tokenizer = tokenizer_of(model.described.tokenizer)
        try:
            # The longest text of the last word: what does not fit is said now, and not by a headline.
            self._probabilities([self._tokenizer.get_vocab_size() - 1] * LONGEST)
        except (IndexError, RuntimeError) as error:
            raise ValueError(f"configuration, weights and tokenizer do not fit together: {error}") from error

    @property
    def hash(self) -> str:
        """Content hash of the model."""
        return self._hash

    def classes(self, texts: Sequence[str], language: str = "") -> F8:
        """Probability of each class, float64[texts, 3]."""
        found = neutral(len(texts))
        wanted = self.model.described.language
        read = [
            place
            for place, text in enumerate(texts)
            if not problem(text) and language_of(text, language)[:2] == wanted[:2]
        ]
        rows = tokens_of(self._tokenizer, [cleaned(texts[place]) for place in read])
        for place, row in zip(read, rows, strict=True):
            if row:
                found[place] = self._probabilities(row)
        return found

    def score(self, texts: Sequence[str], language: str = "") -> F8:
        """-1 to 1, float64[texts]."""
        return score_of(self.classes(texts, language))

    def _probabilities(self, row: Sequence[int]) -> F8:
        """Of a text's tokens, float64[3]."""
        with require_torch().inference_mode():
            return np.asarray(logits(self._parts, [row])[0].double().softmax(0).numpy())


def decode(data: bytes) -> EncoderModel:
    """Read a model file; ValueError says what is wrong with it."""
    return decode_model(data, EncoderModel, EncoderMetadata)


def summary(model: EncoderModel) -> dict[str, Any]:
    """What a listing shows."""
    return {
        "detector": model.detector,
        "hash": model.hash,
        "inputs": LONGEST,
        "rows": sum(model.card.rows.values()),
        "data": model.card.data,
        "language": model.described.language,
    }


def markdown(model: EncoderModel) -> str:
    """Its card as a page."""
    card = model.card
    facts = {
        "Detector": f"`{model.detector}`",
        "Content hash": f"`{model.hash}`",
        "Language": model.described.language,
        "Pretrained weights": f"`{card.base}`",
        "Classes": ", ".join(CLASSES),
        **origin(card, counted(card.rows), "texts"),
    }
    return page("Sentiment encoder", facts, [measured(card.metrics), limits(card.limits)])
