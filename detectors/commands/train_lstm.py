"""`tapewatch train lstm`: learn to forecast the next close from daily or minute bars, and put it into the registry."""

import argparse
import sys
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from detectors.commands import daily_files, minute_files
from detectors.commands.bar_folders import joined, read_bars
from detectors.forecast import lstm
from detectors.forecast.lstm import distributed
from detectors.forecast.lstm.model import DAY, MINUTE, QUAD, Card, Model
from detectors.forecast.lstm.training import Recipe
from detectors.forecast.series import Panel, Series
from detectors.model_file import kept
from detectors.pytorch import require_torch
from tapewatch.errors import TapewatchError
from tapewatch.settings import Settings

MODEL = lstm.NAME


def configure(kinds: Any) -> None:
    """Add the model to the choices of `tapewatch train`. kinds : what argparse's add_subparsers gave."""
    parser = kinds.add_parser(MODEL, help="an LSTM that forecasts the next close (needs the extra `train`)")
    parser.epilog = (
        "example: tapewatch train lstm --minute btc_1m.csv.gz --held-out 0.15; in two processes: "
        "torchrun --standalone --nproc-per-node 2 -m tapewatch train lstm --daily DIR"
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--minute", nargs="+", type=Path, metavar="FILE", help="minute bars, CSV: 60 s ahead")
    source.add_argument("--daily", nargs="+", type=Path, metavar="DIR", help="folders of daily bars: a day ahead")
    recipe = Recipe()
    parser.add_argument("--epochs", type=int, default=recipe.epochs, help=f"default: {recipe.epochs}")
    parser.add_argument("--units", type=int, default=recipe.units, help=f"of the LSTM (default: {recipe.units})")
    parser.add_argument("--seed", type=int, default=0, help="of everything drawn (default: 0)")
    parser.add_argument(
        "--held-out", type=float, default=0.0, metavar="SHARE", help="newest share of time to measure on (default: 0)"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the model here too")
    parser.add_argument("--json", action="store_true", help="print a summary as one JSON document")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Learn, save and describe a model."""
    _checked(args)
    require_torch()
    panel, files = _panel(args)
    card = Card(
        data=", ".join(path.name for path in files),
        data_hash=daily_files.hashed(files)[:16],
        command=_command(args),
    )
    recipe = replace(Recipe(), epochs=args.epochs, units=args.units)
    try:
        model = lstm.train(
            panel, args.seed, _report, horizon=MINUTE if args.minute else DAY, held_out=args.held_out,
            recipe=recipe, card=card,
        )  # fmt: skip
    except ValueError as error:
        raise TapewatchError(f"cannot train: {error}", "Give more bars.") from error
    if distributed.rank() == 0:
        _keep(model, args, settings)
    return 0


def _panel(args: argparse.Namespace) -> tuple[Panel, list[Path]]:
    """The bars, and the files they are of."""
    if args.daily:
        panel, strange = read_bars(*args.daily)
        files = sorted(path for folder in args.daily for path in folder.glob("*.csv"))
        return panel, [path for path in files if path.name not in strange]
    parts: dict[str, list[Series]] = defaultdict(list)
    for path in args.minute:
        series = minute_files.series(path)
        parts[series.instrument].append(series)
    return Panel({name: joined(name, each) for name, each in parts.items()}), args.minute


def _checked(args: argparse.Namespace) -> None:
    """TapewatchError where a size cannot be."""
    wrong = {
        "--epochs is below 1": args.epochs < 1,
        "--units is no multiple of four": args.units < 1 or args.units % QUAD != 0,
        "--held-out is not from 0 to below 1": not 0.0 <= args.held_out < 1.0,
    }
    for what, is_so in wrong.items():
        if is_so:
            raise TapewatchError(what, "See `tapewatch train lstm --help`.")


def _command(args: argparse.Namespace) -> str:
    kind, paths = ("minute", args.minute) if args.minute else ("daily", args.daily)
    sizes = f"--epochs {args.epochs} --units {args.units} --seed {args.seed} --held-out {args.held_out:g}"
    shared = f"torchrun --nproc-per-node {distributed.processes()} -m " if distributed.processes() > 1 else ""
    return f"{shared}tapewatch train lstm --{kind} {' '.join(path.name for path in paths)} {sizes}"


def _report(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _keep(model: Model, args: argparse.Namespace, settings: Settings) -> None:
    """Put the model into the registry and describe it."""
    saved = kept(settings.data_path / "models", model)
    if args.out:
        args.out.write_bytes(model.encoded())
    if args.json:
        print(msgspec.json.encode(lstm.summary(model) | {"saved": str(saved)}).decode())
    else:
        print(lstm.markdown(model) + f"\nmodel {model.hash} in {saved}")
