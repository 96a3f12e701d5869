"""`tapewatch run desk`: from options to the process."""

import argparse

from detectors.ranking import model as ranking_model
from streams.coin_ranking.process import CoinRankingProcess, Options
from streams.coin_ranking.ranking import Question
from tapewatch.errors import TapewatchError
from tapewatch.settings import Settings


def process_of(args: argparse.Namespace, settings: Settings) -> CoinRankingProcess:
    """The coin desk as its options have it; TapewatchError where the question makes no sense."""
    model = ranking_model.shipped()
    question = Question(args.target or model.target, args.stop or model.stop, args.min_turnover)
    if not (question.target > 0.0 and -1.0 < question.stop < 0.0):
        raise TapewatchError(f"{question.target:g} before {question.stop:g} cannot be asked", "The stop is negative.")
    options = Options(question, tuple(args.feed or ()), args.name, args.silent_after, args.snapshot_seconds)
    return CoinRankingProcess(settings, options)
