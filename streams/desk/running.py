"""`tapewatch run desk`: its options, and a progress line."""

import argparse
import sys
import threading

import msgspec

from detectors.ranking import model as ranking_model
from streams.desk.desk import Question
from streams.desk.process import DeskProcess, Options, Totals
from tapewatch.errors import TapewatchError
from tapewatch.settings import Settings


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


def run(args: argparse.Namespace, settings: Settings, stop: threading.Event) -> int:
    """Run the desk until `stop` is set, or until it is idle."""
    model = ranking_model.shipped()
    question = Question(args.target or model.target, args.stop or model.stop, args.min_turnover)
    if not (question.target > 0.0 and -1.0 < question.stop < 0.0):
        raise TapewatchError(f"{question.target:g} before {question.stop:g} cannot be asked", "The stop is negative.")
    options = Options(question, tuple(args.feed or ()), args.name, args.silent_after, args.snapshot_seconds)
    desk = DeskProcess(settings, options)
    if not args.quiet:
        threading.Thread(target=_report, args=(desk.totals, stop), daemon=True).start()
    desk.run(stop, args.until_idle)
    stop.set()
    if args.json:
        print(msgspec.json.encode(desk.totals).decode())
    return 0


def _report(totals: Totals, stop: threading.Event) -> None:
    """A progress line every two seconds in which something happened."""
    last = -1
    while not stop.wait(2.0):
        if totals.minutes != last:
            print(
                f"desk  {totals.minutes:,} minutes  {totals.coins:,} coins  {totals.rankings:,} rankings  "
                f"{totals.late:,} bars too late  {totals.snapshots} snapshots",
                file=sys.stderr,
            )
        last = totals.minutes
