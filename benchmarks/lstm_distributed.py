"""The LSTM in one process and in several: loss curves, errors over seeds, windows a second.

`python -m benchmarks.lstm_distributed --daily DIR --out docs/results/lstm-distributed.json`
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import msgspec
import numpy as np

from benchmarks.figures import Figure, machine, versions
from detectors.commands.bar_folders import read_bars
from detectors.forecast.lstm import distributed
from detectors.forecast.lstm.forecasting import Rows, expected, rows_of
from detectors.forecast.lstm.model import DAY, LstmMetadata, Model, arranged
from detectors.forecast.lstm.training import Recipe
from detectors.pytorch import require_torch

TRAINED = 0.8
"""Oldest share of time that is learnt from; the errors are on the rest."""
_PACKAGES = ("tapewatch", "torch", "numpy")


def work(folders: Sequence[Path], epochs: int, seeds: int, out: Path) -> None:
    """What each process that torchrun started does; the first writes a run a seed."""
    rows = rows_of(read_bars(*folders)[0])
    times = np.unique(rows.at)
    begin = times[int(len(times) * TRAINED)]
    with distributed.joined(require_torch()):
        # The first run of a process loads what the others find loaded.
        one_run(rows, begin, Recipe(epochs=1, units=4))
        runs = [one_run(rows, begin, Recipe(epochs=epochs, seed=seed)) for seed in range(seeds)]
    if distributed.rank() == 0:
        out.write_bytes(msgspec.json.encode(runs))


def one_run(rows: Rows, begin: int, recipe: Recipe) -> dict[str, Any]:
    """Learn from what was known by then, and measure on what came later. begin : UTC ns"""
    chosen, later = rows.known <= begin, rows.at > begin
    windows, targets = rows.inputs[chosen], rows.targets[chosen]
    began, cpu = perf_counter(), process_time()
    fitted = distributed.fit(windows, targets, recipe)
    seconds, cpu_s = perf_counter() - began, process_time() - cpu
    actual = np.log(rows.close[later] / rows.reference[later])
    error = expected(Model(LstmMetadata(DAY), arranged(fitted.state)), rows, later) - actual
    return {
        "windows": len(windows),
        "steps": len(fitted.losses),
        "seconds": seconds,
        "cpu_s": cpu_s,
        "losses": fitted.losses.tolist(),
        "rmse": float(np.sqrt(np.mean(error**2))),
        "rmse_of_no_change": float(np.sqrt(np.mean(actual**2))),
    }


def started(args: argparse.Namespace, processes: int) -> list[dict[str, Any]]:
    """All seeds' runs in one start of torchrun."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "runs.json"
        command = [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1"),
            *("--nproc-per-node", str(processes), "-m", "benchmarks.lstm_distributed", "--work", str(out)),
            *("--seeds", str(args.seeds), "--epochs", str(args.epochs), "--daily", *map(str, args.daily)),
        ]
        subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=sys.stderr)  # noqa: S603 - our own
        found: list[dict[str, Any]] = msgspec.json.decode(out.read_bytes())
    for seed, one in enumerate(found):
        print(f"seed {seed}, {processes} processes: {one['seconds']:.1f} s, RMSE {one['rmse']:.6f}", file=sys.stderr)
    return found


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """All figures."""
    before = machine()
    counts = (1, args.processes)
    runs = {count: started(args, count) for count in counts}
    alone, shared = (runs[count] for count in counts)
    apart = [float(np.abs(np.subtract(a["losses"], b["losses"])).max()) for a, b in zip(alone, shared, strict=True)]
    recipe = {name: value for name, value in asdict(Recipe(epochs=args.epochs)).items() if name != "seed"}
    return {
        "benchmark": "LSTM, data-parallel",
        "command": f"python -m benchmarks.lstm_distributed --daily {' '.join(path.name for path in args.daily)}"
        " --out docs/results/lstm-distributed.json",
        "windows": alone[0]["windows"],
        "steps": alone[0]["steps"],
        "recipe": recipe,
        "seeds": args.seeds,
        "backend": "gloo",
        "loss_curves_apart": max(apart),
        "rmse_of_no_change": alone[0]["rmse_of_no_change"],
        "processes": {
            str(count): {
                "windows_per_s": Figure.of(one["windows"] * args.epochs / one["seconds"] for one in found),
                "seconds": Figure.of(one["seconds"] for one in found),
                "cpu_s_of_the_first": Figure.of(one["cpu_s"] for one in found),
                "rmse": [one["rmse"] for one in found],
            }
            for count, found in runs.items()
        },
        "versions": versions(_PACKAGES),
        "machine": before,
    }


def main() -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--daily", type=Path, nargs="+", required=True, help="folders of daily bars")
    parser.add_argument("--out", type=Path, help="write the document here too")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.work:
        work(args.daily, args.epochs, args.seeds, args.work)
        return 0
    document = msgspec.json.format(msgspec.json.encode(measure(args))).decode()
    if args.out:
        args.out.write_text(document + "\n", encoding="utf-8")
    print(document)
    return 0


if __name__ == "__main__":
    sys.exit(main())
