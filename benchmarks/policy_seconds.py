"""Closed seconds of a market as Parquet, for `tapewatch train ddqn --market`: of the synthetic market or recorded."""

import argparse
import sys
from pathlib import Path

import msgspec

from benchmarks.training_data import START_NS, market_config
from detectors.commands import second_files
from detectors.ddqn.seconds import Seconds
from evaluation.virtual_seconds import seconds_of
from producers.recordings import open_recording
from producers.synthetic import SyntheticConfig, SyntheticMarket
from tapewatch.contract.rows import RowSource
from tapewatch.kernels import source_hash

COOLDOWN_S = 200.0
"""Quiet time after an event that moves the price: eventful markets would have none left otherwise."""


def config_of(instruments: int, seconds: int, eventful: float) -> SyntheticConfig:
    """The usual market, with everything that is injected `eventful` times as often; 1 is the usual one."""
    config = market_config(instruments, seconds, eventful)
    return config if eventful <= 1.0 else msgspec.structs.replace(config, cooldown_s=COOLDOWN_S)


def synthetic(config: SyntheticConfig, seed: int, folder: Path | None = None) -> Seconds:
    """All instruments of one market, every second one with hours; kept in `folder` under what it is a function of."""
    market = SyntheticMarket(config, seed, START_NS)
    if folder is None:
        return seconds_of(market, hours=True)
    programs = source_hash(("tapewatch", "producers", "streams"))
    path = folder / f"{market.fingerprint[:16]}-{programs[:8]}-seconds.parquet"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        second_files.write(path, seconds_of(market, hours=True))
        print(f"made seconds of seed {seed}", file=sys.stderr, flush=True)
    return second_files.read(path)


def recorded(paths: list[Path]) -> Seconds:
    """All instruments of a recording."""
    source: RowSource = open_recording(paths)
    return seconds_of(source)


def main() -> int:
    """Write one market's seconds."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.policy_seconds", description=__doc__)
    parser.add_argument("--recording", nargs="+", type=Path, metavar="FILE", help="instead of the synthetic market")
    parser.add_argument("--instruments", type=int, default=20)
    parser.add_argument("--minutes", type=int, default=25)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--eventful", type=float, default=1.0, help="multiplies how often things are injected")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="Parquet to write")
    parser.epilog = "example: python -m benchmarks.policy_seconds --eventful 20 --out seconds.parquet"
    args = parser.parse_args()
    config = config_of(args.instruments, 60 * args.minutes, args.eventful)
    found = recorded(args.recording) if args.recording else synthetic(config, args.seed)
    second_files.write(args.out, found)
    print(f"{len(found.second):,} seconds of {len(found.first)} sessions", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
