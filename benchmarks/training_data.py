"""Features of a synthetic market as Parquet, made by the engine's own code through the brokerless driver: what models
are trained on.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from producers.synthetic import SHARES, AssetClass, Label, SyntheticConfig, SyntheticMarket
from streams.driver import Driver, run_source, table
from streams.engine.detector_config import DetectorConfig
from streams.engine.features import NAMES
from streams.engine.models import ActiveModels, ModelStore
from tapewatch.clock import NANOS
from tapewatch.kernels import source_hash
from tapewatch.market_log.registry import FixedRegistry

START_NS = 1_735_689_600 * NANOS
"""First row of every training market: 2025-01-01T00:00:00Z."""
WARMUP_S = 300.0
"""Seconds in which nothing is injected: every window that the models use is warm after it."""
MARGIN_S = 5
"""Seconds around a manipulation that count as neither normal nor manipulated."""
LIQUID = 20.0
"""Rows a second and instrument of the usual market."""
NORMAL, MANIPULATED, UNCERTAIN = 0, 1, -1

_DRAIN_CHUNKS = 120


def market_config(instruments: int, seconds: int, eventful: float = 1.0, rate: float = LIQUID) -> SyntheticConfig:
    """The usual market at `rate` rows a second and instrument.

    eventful : multiplies how often everything is injected, look-alikes included
    """
    usual = SyntheticConfig()
    names = [name for name in SyntheticConfig.__struct_fields__ if name.endswith("_per_hour")]
    rates = {name: getattr(usual, name) * eventful for name in names}
    changes: dict[str, Any] = {"instruments": instruments, "seconds": seconds, "rows_per_second": rate * instruments}
    return msgspec.structs.replace(usual, warmup_s=WARMUP_S, **changes, **rates)


def generate(config: SyntheticConfig, seed: int, listing: AssetClass = SHARES) -> tuple[pa.Table, pa.Table]:
    """Feature rows with their labels, and minute bars, of one market. Features depend on no model: none is run.

    Both have instrument, ts (close of the second or minute), label (see `label_rows`) and scenario (empty for none).
    """
    market = SyntheticMarket(config, seed, START_NS, listing)
    nobody = ActiveModels(ModelStore(), {}, DetectorConfig(watch=False))
    parts: dict[str, list[dict[str, Any]]] = {"features": [], "bars": []}
    last = None
    for count, (driver, _) in enumerate(
        run_source(market, Driver(FixedRegistry(market.instruments), force=nobody)), start=1
    ):
        last = driver
        if count % _DRAIN_CHUNKS == 0:
            _take(driver.task.take(), parts)
    if last is not None:
        _take(last.task.take(), parts)
    features, bars = (_joined(parts[kind]) for kind in ("features", "bars"))
    for rows, step_s in ((features, 1), (bars, 60)):
        rows["label"], rows["scenario"] = label_rows(rows["instrument"], rows["ts"], market.labels(), step_s)
    return _arrow(features), _arrow(bars)


def _take(records: Sequence[Any], parts: Mapping[str, list[dict[str, Any]]]) -> None:
    for kind, kept in parts.items():
        found = table(records, kind)
        if found:
            kept.append(found)


def _joined(parts: Sequence[Mapping[str, Any]]) -> dict[str, npt.NDArray[Any]]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _arrow(columns: Mapping[str, npt.NDArray[Any]]) -> pa.Table:
    kept = {name: values for name, values in columns.items() if name != "offset"}
    return pa.table({name: pa.array(values) for name, values in kept.items()})


def label_rows(
    instruments: npt.NDArray[Any], ts: npt.NDArray[np.int64], labels: Sequence[Label], step_s: int = 1
) -> tuple[npt.NDArray[np.int8], npt.NDArray[Any]]:
    """What each row is: MANIPULATED within a manipulation, UNCERTAIN up to 5 s around it, else NORMAL; and the scenario
    at that time.

    instruments : object[rows]; ts : int64[rows], close of the row's second (or minute, of `step_s` seconds), UTC ns
    Look-alikes name their scenario and stay NORMAL.
    """
    opened = ts - step_s * NANOS
    marks, scenarios = np.zeros(len(ts), dtype=np.int8), np.full(len(ts), "", dtype=object)
    rows_of = {name: np.flatnonzero(instruments == name) for name in {label.instrument for label in labels}}
    for label in labels:
        rows = rows_of[label.instrument]
        near = rows[(ts[rows] > label.start_ns - MARGIN_S * NANOS) & (opened[rows] <= label.end_ns + MARGIN_S * NANOS)]
        within = near[(ts[near] > label.start_ns) & (opened[near] <= label.end_ns)]
        if label.labelled:
            marks[near] = np.where(marks[near] == MANIPULATED, MANIPULATED, UNCERTAIN)
            marks[within] = MANIPULATED
        scenarios[within] = label.scenario
    return marks, scenarios


def cached(folder: Path, config: SyntheticConfig, seed: int, listing: AssetClass = SHARES) -> tuple[pa.Table, pa.Table]:
    """`generate`, kept in `folder` under the market's fingerprint and that of the programs that make market and
    features: what an earlier build kept is made anew.
    """
    programs = source_hash(("tapewatch", "producers", "streams"))
    name = f"{SyntheticMarket(config, seed, START_NS, listing).fingerprint[:16]}-{programs[:8]}"
    paths = [folder / f"{name}-{kind}.parquet" for kind in ("features", "bars")]
    if not all(path.exists() for path in paths):
        folder.mkdir(parents=True, exist_ok=True)
        for path, made in zip(paths, generate(config, seed, listing), strict=True):
            pq.write_table(made, path)
        print(f"made features of seed {seed}", file=sys.stderr)
    features, bars = (pq.read_table(path) for path in paths)
    return features, bars


def main() -> int:
    """Write one market's features and bars."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training_data", description=__doc__)
    parser.add_argument("--instruments", type=int, default=100)
    parser.add_argument("--minutes", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--eventful", type=float, default=1.0, help="multiplies how often things are injected")
    parser.add_argument("--features", type=Path, required=True, metavar="FILE", help="Parquet of feature rows to write")
    parser.add_argument("--bars", type=Path, metavar="FILE", help="Parquet of minute bars to write")
    parser.epilog = "example: python -m benchmarks.training_data --features features.parquet --bars bars.parquet"
    args = parser.parse_args()
    features, bars = generate(market_config(args.instruments, 60 * args.minutes, args.eventful), args.seed)
    pq.write_table(features, args.features)
    if args.bars:
        pq.write_table(bars, args.bars)
    print(f"{features.num_rows} rows of {len(NAMES)} features, {bars.num_rows} bars", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
