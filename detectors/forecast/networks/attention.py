"""Convolution of days before self-attention, as the daily pipeline takes a model."""

from functools import partial

from detectors.forecast.networks import model
from detectors.forecast.networks.model import decode, markdown, summary

__all__ = ["NAME", "decode", "markdown", "predict", "summary", "train"]

NAME = "attention"
train = partial(model.train, NAME)
predict = model.predict
