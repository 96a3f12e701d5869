"""Ordinal logistic regression of the next day's class, its spread a function of the inputs too."""

from detectors.forecast.ordinal.model import NAME, decode, markdown, predict, summary, train
from detectors.forecast.ordinal.model import OrdinalModel as Model

__all__ = ["NAME", "Model", "decode", "markdown", "predict", "summary", "train"]
