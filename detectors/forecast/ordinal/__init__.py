"""Ordinal logistic regression of the next day's class, its spread a function of the inputs too."""

from detectors.forecast.ordinal.learner import NAME
from detectors.forecast.ordinal.model import OrdinalModel as Model
from detectors.forecast.ordinal.model import decode, markdown, predict, summary, train

__all__ = ["NAME", "Model", "decode", "markdown", "predict", "summary", "train"]
