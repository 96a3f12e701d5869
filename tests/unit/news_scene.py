"""Pieces of news for tests, and a stand-in that scores them by two words."""

from collections.abc import Sequence

import numpy as np

from detectors.sentiment.scorer import F8
from tapewatch.clock import NANOS
from tapewatch.contract.messages import News, stable_id
from tapewatch.rfc3339 import to_rfc3339

HOUR = 3_600 * NANOS
START = 1_699_999_200 * NANOS
"""Begin of an hour."""


class TwoWords:
    """Good is 0.7, bad is -0.4. Scores every language."""

    hash = "a" * 16

    def of(self, headline: str, language: str) -> "TwoWords":
        """Itself."""
        return self

    def score(self, texts: Sequence[str], language: str = "") -> F8:
        """-1 to 1, float64[texts]."""
        return np.array([0.7 * ("good" in text.lower()) - 0.4 * ("bad" in text.lower()) for text in texts])

    def classes(self, texts: Sequence[str], language: str = "") -> F8:
        """Its own side, and the rest neutral."""
        scores = self.score(texts, language)
        return np.column_stack([np.maximum(-scores, 0.0), 1.0 - np.abs(scores), np.maximum(scores, 0.0)])


def item(headline: str, hours: float = 0.0, *instruments: str, **changes) -> News:
    """A headline so long after the start, received when it was published."""
    at = START + round(hours * HOUR)
    fields = {
        "id": stable_id("wire", headline, at),
        "source": "wire",
        "published": to_rfc3339(at),
        "received": to_rfc3339(at),
        "language": "en",
        "headline": headline,
        "instruments": instruments or ("AAPL.XNAS",),
    }
    return News(**{**fields, **changes})
