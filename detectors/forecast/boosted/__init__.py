"""Boosted trees (XGBoost) of the next day's class; predicted from a JSON file without XGBoost."""

from detectors.forecast.boosted.learner import NAME
from detectors.forecast.boosted.model import BoostedModel as Model
from detectors.forecast.boosted.model import decode, markdown, predict, summary, train

__all__ = ["NAME", "Model", "decode", "markdown", "predict", "summary", "train"]
