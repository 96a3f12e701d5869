"""`tapewatch bench`: measure the engine, alone, by stage, and beside other stream processors."""

import argparse
from pathlib import Path

import msgspec

from benchmarks import compare, console_tape, engine, feeds, profile, recovery, scale
from benchmarks.engine import say
from benchmarks.sinks import rates
from tapewatch.settings import Settings

_EPILOG = """examples:
  tapewatch bench engine --json
  tapewatch bench engine --stages ddqn --json
  tapewatch bench engine --stages all --json
  tapewatch bench engine --profile
  tapewatch bench feeds --json
  tapewatch bench tape --json
  tapewatch bench sinks --json
  tapewatch bench recovery --json
  tapewatch bench scale --json
  tapewatch bench peers --peer quix --peer faust
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add what can be measured and its arguments."""
    parser.epilog = _EPILOG
    what = parser.add_subparsers(dest="what", metavar="WHAT", required=True)
    _configure_engine(what.add_parser("engine", help="quotes to feature and score rows, Kafka to Kafka"))
    _configure_peers(what.add_parser("peers", help="the same features and score on other stream processors"))

    live = what.add_parser("feeds", help="live messages, from decoding to Kafka's acknowledgement")
    live.epilog = "example: tapewatch bench feeds --runs 3 --json"
    live.add_argument("--runs", type=_count, default=3, help="(default: 3)")
    _configure_output(live)

    again = what.add_parser("recovery", help="a dead engine's state, made again from snapshot and log")
    again.epilog = "example: tapewatch bench recovery --instruments 2000 --log-seconds 10 30 --json"
    again.add_argument("--instruments", type=_count, nargs="+", default=[500, 2000, 5000], metavar="N")
    again.add_argument(
        "--log-seconds",
        type=_count,
        nargs="+",
        default=[10, 30, 60],
        metavar="S",
        help="of market behind the snapshot (default: %(default)s)",
    )
    again.add_argument("--runs", type=_count, default=3, help="of each (default: 3)")
    _configure_output(again)

    _configure_scale(what.add_parser("scale", help="1, 2 and 4 engine processes over one log, and what bounds them"))

    tape = what.add_parser("tape", help="the console: its tape in a real browser, its event streams")
    tape.epilog = "example: tapewatch bench tape --seconds 30 --json"
    tape.add_argument("--seconds", type=float, default=30.0, help="how long it is watched (default: 30)")
    _configure_output(tape)

    sinks = what.add_parser("sinks", help="rows a second that each sink keeps from a full topic")
    sinks.epilog = "example: tapewatch bench sinks --runs 3 --json"
    sinks.add_argument("--runs", type=_count, default=3, help="of each sink (default: 3)")
    sinks.add_argument("--share", type=float, default=1.0, help="of the usual number of rows (default: 1)")
    _configure_output(sinks)


def _configure_engine(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "example: tapewatch bench engine --runs 3 --json"
    parser.add_argument(
        "--instruments",
        type=_count,
        nargs="+",
        default=list(engine.SHAPES),
        metavar="N",
        help="numbers of instruments; the first gives the main figures (default: %(default)s)",
    )
    parser.add_argument("--runs", type=_count, default=3, help="runs with each number (default: 3)")
    _configure_share(parser)
    parser.add_argument(
        "--stages",
        choices=list(engine.STAGES),
        default=engine.FEATURES,
        help="features: features and K-means scores, scenarios off; ddqn: and a policy that "
        "decides on every row; all: as shipped (default: %(default)s)",
    )
    parser.add_argument(
        "--secure",
        action="store_true",
        help="a broker with TLS, SCRAM and the least rights: compare with a run without",
    )
    parser.add_argument("--profile", action="store_true", help="nanoseconds of CPU a row by stage instead")
    _configure_output(parser)


def _configure_scale(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "example: tapewatch bench scale --processes 1 2 4 --json"
    parser.add_argument(
        "--processes",
        type=_count,
        nargs="+",
        default=list(scale.PROCESSES),
        metavar="N",
        help="numbers of engine processes; the others are compared with the first (default: %(default)s)",
    )
    parser.add_argument("--runs", type=_count, default=3, help="runs with each number (default: 3)")
    _configure_share(parser)
    parser.add_argument(
        "--stages",
        choices=[engine.FEATURES, engine.ALL],
        default=engine.ALL,
        help="features: features and K-means scores, scenarios off; all: as shipped, with the policy "
        "(default: %(default)s)",
    )
    _configure_output(parser)


def _configure_peers(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "example: tapewatch bench peers --json"
    known = list(compare.PEERS)
    parser.add_argument("--peer", action="append", choices=known, help=f"one of {', '.join(known)} (default: all)")
    _configure_share(parser)
    _configure_output(parser)


def _configure_share(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--share", type=float, default=1.0, help="of the usual number of rows, for a quick look (default: 1)"
    )


def _configure_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=int, default=1, help="of the quotes (default: 1)")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON document")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the result to a file too")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Measure and print."""
    result: (
        engine.EngineResult
        | profile.ProfileResult
        | compare.PeersResult
        | feeds.FeedsResult
        | console_tape.ConsoleResult
        | rates.SinksResult
        | recovery.RecoveryResult
        | scale.ScaleResult
    )
    if args.what == "tape":
        result = console_tape.bench(settings, args.seconds, say)
    elif args.what == "feeds":
        result = feeds.bench(settings, args.runs, say)
    elif args.what == "sinks":
        result = rates.bench(settings, args.runs, args.share, args.seed, say)
    elif args.what == "recovery":
        result = recovery.bench(settings, args.instruments, args.log_seconds, args.runs, args.seed, say)
    elif args.what == "scale":
        result = scale.bench(settings, args.processes, args.runs, args.seed, args.share, args.stages, say)
    elif args.what == "peers":
        result = compare.bench(settings, args.peer or list(compare.PEERS), args.seed, args.share, say)
    elif args.profile:
        result = profile.bench(settings, args.instruments[0], args.seed, args.share, say)
    else:
        if args.secure:
            changed = msgspec.structs.replace(settings.embedded, secure=True)
            settings = msgspec.structs.replace(settings, embedded=changed)
        result = engine.bench(settings, args.instruments, args.runs, args.seed, args.share, args.stages, say)
    if args.out:
        args.out.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n")
    print(msgspec.json.encode(result).decode() if args.json else result.text())
    return 0


def _count(text: str) -> int:
    """A whole number of at least 1."""
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError("a whole number of at least 1")
    return count
