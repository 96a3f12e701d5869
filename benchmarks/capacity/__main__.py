"""`python -m benchmarks.capacity`: predicted and measured throughput here, and what four markets take."""

import argparse
import sys
from pathlib import Path

import msgspec

from benchmarks.capacity.scenarios import SCENARIOS, Assumptions, Plan, plan
from benchmarks.capacity.service import Backlog, ServiceTimes, service_times
from benchmarks.document import give

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results"


class ThroughputPrediction(msgspec.Struct, frozen=True):
    """One number of processes on this machine. off : predicted over measured, less 1"""

    processes: int
    predicted_rows_s: float
    measured_rows_s: float
    off: float


class Capacity(msgspec.Struct, frozen=True):
    """The document."""

    times: ServiceTimes
    assumptions: Assumptions
    predicted: list[ThroughputPrediction]
    plans: list[Plan]


def predictions(times: ServiceTimes, results: Path) -> list[ThroughputPrediction]:
    """The simulation beside what `bench scale` measured."""
    document = msgspec.json.decode((results / "bench-scale.json").read_bytes())
    found = []
    for point in document["points"]:
        count, measured = point["processes"], point["rows_per_s"]["median"]
        # What other programs and other guests of the host took meanwhile was not there for anybody.
        taken = (point["profile"]["others"] + point["profile"]["stolen"]) * measured / document["input"]["rows"]
        rate = Backlog(times, count, document["machine"]["cores"] - taken, document["input"]["rows"]).rate()
        found.append(ThroughputPrediction(count, round(rate), measured, round(rate / measured - 1, 3)))
    return found


def main() -> int:
    """Print the document."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.capacity",
        description=__doc__,
        epilog="example: python -m benchmarks.capacity --core-hour 0.04 --out capacity.json",
    )
    parser.add_argument(
        "--results", type=Path, default=RESULTS, help="folder of bench-scale.json, bench-feeds.json, bench-sinks.json"
    )
    for field in msgspec.structs.fields(Assumptions):
        name = f"--{field.name.replace('_', '-')}"
        parser.add_argument(name, type=type(field.default), default=field.default, help="(default: %(default)s)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the document to a file too")
    args = parser.parse_args()
    given = Assumptions(**{field.name: getattr(args, field.name) for field in msgspec.structs.fields(Assumptions)})
    times = service_times(args.results, lambda text: print(text, file=sys.stderr, flush=True))
    give(
        Capacity(times, given, predictions(times, args.results), [plan(times, each, given) for each in SCENARIOS]),
        args.out,
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
