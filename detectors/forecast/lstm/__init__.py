"""LSTM over windows of bars: forecasts the next close, by the day or by the minute."""

from detectors.forecast.lstm.forecasting import predict, train
from detectors.forecast.lstm.model import NAME, Model, decode, markdown, summary

__all__ = ["NAME", "Model", "decode", "markdown", "predict", "summary", "train"]
