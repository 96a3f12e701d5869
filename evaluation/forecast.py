"""`tapewatch evaluate forecast`: walk-forward judgement of a forecaster of daily bars, beside the naive forecasts."""

import argparse
import importlib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from threadpoolctl import threadpool_limits

from detectors.commands.bar_folders import read_bars
from detectors.forecast.series import Panel, Series, hash_of
from streams.engine.build import build_hash
from tapewatch.errors import TapewatchError
from tapewatch.settings import Settings

MODELS: dict[str, str] = {
    "lstm": "forecast_lstm",
    "inception": "forecast_inception",
    "ordinal": "forecast_direction",
    "boosted": "forecast_direction",
    "attention": "forecast_direction",
    "dense_attention": "forecast_direction",
    "resnet": "forecast_direction",
}
"""By model: the module of evaluation that judges it, with judge(panel, name, args) and page(folder, document)."""
_YEARS_BEFORE = 5


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the bars and the model."""
    parser.epilog = "example: tapewatch evaluate forecast --model boosted --daily daily_us/ --report report/ --json"
    parser.add_argument("--model", choices=sorted(MODELS), required=True, help="which forecaster")
    parser.add_argument(
        "--daily", nargs="+", type=Path, required=True, metavar="DIR",
        help="folders of daily bars, CSV, one instrument a file; of an instrument in several the first counts",
    )  # fmt: skip
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="fits a year, each by its seed (default: 3)")
    parser.add_argument(
        "--first-year", type=int, metavar="YEAR",
        help="first year judged (default: the sixth in which half of the instruments have bars)",
    )  # fmt: skip
    parser.add_argument(
        "--channels", nargs="+", metavar="NAME", help="inception: instruments of the image (default: known indices)"
    )
    parser.add_argument("--target", metavar="NAME", help="inception: whose rise is asked (default: the first channel)")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Walk forward and print the figures."""
    if args.seeds < 1:
        raise TapewatchError("--seeds must be at least 1", "See `tapewatch evaluate forecast --help`.")
    panel, left_out = read_folders(args.daily)
    args.first_year = args.first_year or first_year(panel)
    judge = importlib.import_module(f"evaluation.{MODELS[args.model]}")
    # One thread, so that the figures do not depend on the number of cores.
    with threadpool_limits(1):
        figures = judge.judge(panel, args.model, args)
    document = {
        "evaluate": "forecast",
        "model": args.model,
        "data": [folder.name for folder in args.daily],
        "data_hash": hash_of(panel),
        "instruments": sorted(panel.series),
        "left_out": left_out,
        "bars": sum(map(len, panel.series.values())),
        "days": len(np.unique(np.concatenate([each.at for each in panel.series.values()]))),
        "first_year": args.first_year,
        "seeds": args.seeds,
        "build": build_hash(),
        **figures,
    }
    encoded = msgspec.json.encode(document).decode()
    if args.out:
        args.out.write_text(encoded + "\n", encoding="utf-8")
    if args.report:
        print(f"report: {judge.page(args.report, document)}", file=sys.stderr)
    print(encoded if args.json else text(document))
    return 0


def read_folders(folders: list[Path]) -> tuple[Panel, list[str]]:
    """The bars of all folders, and the files and instruments left out, since they are no bars or came before."""
    series: dict[str, Series] = {}
    left_out: list[str] = []
    for folder in folders:
        panel, strange = read_bars(folder)
        left_out += [f"{folder.name}/{name}" for name in (*strange, *sorted(panel.series.keys() & series.keys()))]
        series = dict(panel.series) | series
    if not series:
        raise TapewatchError(f"no daily bars in {', '.join(map(str, folders))}", "Give folders of CSV files.")
    return Panel({name: series[name] for name in sorted(series)}), left_out


def first_year(panel: Panel) -> int:
    """The sixth year in which half of the instruments have bars."""
    begins = np.sort([int(np.datetime64(int(each.at[0]), "ns").astype("datetime64[Y]").astype(int)) + 1970
                      for each in panel.series.values()])  # fmt: skip
    return int(begins[(len(begins) - 1) // 2]) + _YEARS_BEFORE


def text(document: Mapping[str, Any]) -> str:
    """For a person: every figure with its interval, then what was concluded."""
    lines = [
        f"{document['model']}: {document['bars']:,} bars of {len(document['instruments'])} instruments, "
        f"judged from {document['first_year']}"
    ]
    lines += [f"{name:40} {shown(value)}" for name, value in figures_of(document) if not name.startswith("compared.")]
    return "\n".join(lines + [str(sentence) for sentence in document.get("verdicts", ())])


def figures_of(document: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Mapping[str, float]]]:
    """Every `{mean, low, high}` of a document with its path in dots."""
    for name, value in document.items():
        if isinstance(value, Mapping):
            if {"mean", "low", "high"} <= value.keys():
                yield before + name, value
            else:
                yield from figures_of(value, f"{before}{name}.")


def shown(figure: Mapping[str, float]) -> str:
    """A figure with its interval, for a person."""
    return f"{figure['mean']:.4f} ({figure['low']:.4f} to {figure['high']:.4f})"
