"""Any sentiment model file as a scorer."""

from collections.abc import Callable

from detectors.model_file import detector_of
from detectors.sentiment.encoder import model as encoder
from detectors.sentiment.lexicon import model as lexicon
from detectors.sentiment.lexicon.score import LexiconScorer
from detectors.sentiment.linear import model as linear
from detectors.sentiment.scorer import Scorer


def read(data: bytes) -> Scorer:
    """The scorer of a model file: lexicon, linear or encoder; ValueError says what is wrong with the file."""
    detector = detector_of(data)
    if detector not in READERS:
        raise ValueError(f"{detector!r} is no sentiment model")
    return READERS[detector](data)


def knows(scorer: Scorer, language: str) -> bool:
    """Whether it scores texts of a language; the others are neutral to it. language : of text.LANGUAGES"""
    if isinstance(scorer, LexiconScorer):
        return language in scorer.lexicon.languages
    if isinstance(scorer, linear.LinearScorer | encoder.EncoderScorer):
        return scorer.model.described.language[:2] == language[:2]
    return True


def _lexicon(data: bytes) -> Scorer:
    return LexiconScorer(lexicon.decode(data))


def _linear(data: bytes) -> Scorer:
    return linear.LinearScorer(linear.decode(data))


def _encoder(data: bytes) -> Scorer:
    return encoder.EncoderScorer(encoder.decode(data))


READERS: dict[str, Callable[[bytes], Scorer]] = {
    lexicon.DETECTOR: _lexicon,
    linear.DETECTOR: _linear,
    encoder.DETECTOR: _encoder,
}
"""By the detector that a file names."""
