"""Inject manipulation and its look-alikes into recorded markets and write them for `tapewatch evaluate scenarios`."""

import argparse
import sys
from pathlib import Path

from benchmarks.injection.inject import ALL_SCENARIOS, BOOK_SCENARIOS, Plan, inject
from benchmarks.injection.market import recorded_markets
from benchmarks.injection.write import write_markets
from tapewatch.errors import TapewatchError


def main() -> int:
    """Read, inject, write; says what was injected."""
    args = _parser().parse_args()
    try:
        plan = Plan(
            scenarios=tuple(args.scenarios),
            strengths=tuple(args.strength),
            each_s=args.each,
            alike_s=args.alike,
            warm_s=args.warm,
        )
        markets = recorded_markets(args.market)
        if not markets:
            raise TapewatchError("no instrument has trades, quotes and books", "Name recordings that have all three.")
        injected = [inject(market, plan, args.seed) for market in markets]
        write_markets(injected, args.out)
    except TapewatchError as error:
        print(f"{error}\n{error.hint}", file=sys.stderr)
        return 1
    for market, each in zip(markets, injected, strict=True):
        print(f"{market.name}: {len(each.manipulations)} manipulations, {len(each.look_alikes)} look-alikes")
    return 0


def _parser() -> argparse.ArgumentParser:
    plan = Plan()
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.injection",
        description=__doc__,
        epilog="example: python -m benchmarks.injection --market RECORDINGS/ --out market/ --seed 1 --strength 3",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--market", type=Path, nargs="+", required=True, metavar="PATH", help="recordings, or folders of recordings"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the tables and labels.csv")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--strength", type=float, nargs="+", default=list(plan.strengths), help="one is drawn for each event"
    )
    parser.add_argument(
        "--scenarios", nargs="+", default=list(BOOK_SCENARIOS), metavar="NAME", help=", ".join(ALL_SCENARIOS)
    )
    parser.add_argument("--each", type=float, default=plan.each_s, metavar="S", help="a manipulation every so many s")
    parser.add_argument("--alike", type=float, default=plan.alike_s, metavar="S", help="a look-alike so often; 0: none")
    parser.add_argument("--warm", type=float, default=plan.warm_s, metavar="S", help="no manipulation before")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
