"""Factor images of several indices, and Inception networks that read from them whether an index rises in 14 days."""

from detectors.forecast.inception.card import markdown
from detectors.forecast.inception.model import NAME, InceptionModel, decode, predict, summary, train

__all__ = ["NAME", "InceptionModel", "decode", "markdown", "predict", "summary", "train"]
