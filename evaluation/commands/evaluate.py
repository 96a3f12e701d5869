"""`tapewatch evaluate`: measure a detector by a written protocol, on data that it was not trained on."""

import argparse
import importlib
from pathlib import Path

from tapewatch.settings import Settings

WHATS: dict[str, str] = {
    "pumps": "announced pumps in days of raw trades: found, how soon, at how many false alerts",
    "onset": "cross-validation on the published pump features",
    "scenarios": "labelled manipulation in quotes, trades and books: found, how soon, at how many false alerts",
    "cross-market": "one market pushed for the sake of another: pairs of instruments over stored history",
    "what-if": "alerts over stored history under a changed configuration or model, beside those in force",
    "budget": "thresholds that keep the alert budget over stored history, as a file for `config apply`",
    "drift": "scores over stored history beside those the models were made on: shifts, and discoveries at a held rate",
    "ddqn": "a daily long-or-short policy of a Double DQN beside buying and holding, by the TDQN protocol",
    "promotion": "a challenger policy against the champion on the same stretches, by a sequential test",
    "ranking": "the coin desk: probability to reach a target before a stop, and regimes, on held-out weeks of minutes",
    "abnormal-days": "abnormal moves of the next day from daily bars: autoencoder and GAN beside plain volatility",
    "forecast": "forecasts of daily bars, walk-forward, beside the naive ones: error or direction, with intervals",
    "sentiment": "labelled headlines: accuracy and macro F1 in grouped folds, beside TF-IDF and the majority",
    "nab": "the univariate detector on the Numenta Anomaly Benchmark, by its published score",
}
"""What can be evaluated, and its one-line summary; each is the module evaluation.<name>."""

_EPILOG = """examples:
  tapewatch evaluate nab --data DIR --json
  tapewatch evaluate pumps --streams DIR --report report/
  tapewatch evaluate what-if --set scenario.pump_and_dump.min_rise=0.03 --feed binance
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add what can be evaluated and its arguments."""
    parser.epilog = _EPILOG
    what = parser.add_subparsers(dest="what", metavar="WHAT", required=True)
    for name, summary in WHATS.items():
        sub = what.add_parser(
            name, help=summary, description=summary, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        _module(name).configure(sub)
        sub.add_argument("--json", action="store_true", help="print the result as one JSON document")
        sub.add_argument("--out", type=Path, metavar="FILE", help="write the JSON document to a file too")
        sub.add_argument("--report", type=Path, metavar="DIR", help="write an HTML page with pictures")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Evaluate what was named."""
    return int(_module(args.what).run(args, settings))


def _module(name: str):  # type: ignore[no-untyped-def]  # a module with configure() and run()
    return importlib.import_module(f"evaluation.{name.replace('-', '_')}")
