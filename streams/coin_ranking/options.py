"""Options of `tapewatch run desk`.

`tapewatch run desk`: from options to the process.
"""

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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What only the desk takes."""
    group = parser.add_argument_group("desk")
    group.add_argument("--target", type=float, metavar="RETURN", help="target return (default: the model's)")
    group.add_argument("--stop", type=float, metavar="RETURN", help="stop return, negative (default: the model's)")
    group.add_argument(
        "--min-turnover", type=float, metavar="AMOUNT",
        help="turnover of a day, in the quote currency, below which a coin is left out (default: about 1 M USD)",
    )  # fmt: skip
    group.add_argument("--name", default="coins", help="of this desk; its state goes by it (default: coins)")
    group.add_argument(
        "--silent-after", type=float, default=120.0, metavar="SECONDS",
        help="leave an input out that holds the others back for so long (default: 120)",
    )  # fmt: skip
    group.add_argument(
        "--snapshot-seconds", type=float, default=600.0, metavar="SECONDS", help="between snapshots (default: 600)"
    )
