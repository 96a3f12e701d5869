"""Boosted trees (XGBoost) of the next day's class; predicted from a JSON file without XGBoost."""

from detectors.forecast.boosted.model import NAME, decode, markdown, predict, summary, train
from detectors.forecast.boosted.model import BoostedModel as Model

__all__ = ["NAME", "Model", "decode", "markdown", "predict", "summary", "train"]
