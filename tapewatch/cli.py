"""The one command. Each subcommand is a module with `configure(parser)` and `run(args, settings)`, imported only when
it is called.
"""

import argparse
import errno
import importlib
import signal
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from types import ModuleType

from tapewatch import __version__, logs, settings
from tapewatch.errors import TapewatchError

FOLDERS = ("streams", "detectors", "producers", "sinks", "infra", "console", "evaluation", "benchmarks")
"""What is installed beside tapewatch/: names that are not ours alone."""

COMMANDS: dict[str, tuple[str, str]] = {
    "up": ("infra.commands.up", "start the embedded Kafka and PostgreSQL, and Elasticsearch on request"),
    "down": ("infra.commands.down", "stop the embedded stack"),
    "status": ("infra.commands.status", "show what is running and where"),
    "doctor": ("infra.commands.doctor", "check what this machine lacks and say how to get it"),
    "demo": ("infra.commands.demo", "market in, alerts out: the whole product in one command"),
    "produce": ("producers.commands.produce", "send a recording or a synthetic market into Kafka"),
    "run": ("streams.commands.run", "run a stream stage: the engine, the paper broker, the coin desk, the cases"),
    "paper": ("streams.commands.paper", "start, stop or kill paper trading, switch instruments, show where it stands"),
    "cases": ("tapewatch.commands.cases", "the queue of cases: list, show, assign, close, approve, suppress"),
    "sink": ("sinks.commands.sink", "keep topics in stores; bring alerts to subscribers; send orders to a venue"),
    "subscriptions": ("tapewatch.commands.subscriptions", "who is told of which alerts; what was sent; send again"),
    "db": ("infra.commands.db", "migrate the database, drop old partitions"),
    "acl": ("infra.commands.acl", "Kafka: the least rights of each service, accounts and passwords"),
    "kibana": ("infra.commands.kibana", "write Kibana dashboards, or install them"),
    "tail": ("tapewatch.commands.tail", "show any topic readably, frames included"),
    "train": ("streams.commands.train", "train a model, or every model that forecasts, each day"),
    "models": ("streams.commands.models", "list, show, promote and roll back models"),
    "config": ("streams.commands.config", "show settings; apply a detector configuration"),
    "evaluate": ("evaluation.commands.evaluate", "measure a detector by a written protocol"),
    "backtest": ("evaluation.commands.backtest", "what a policy would have earned, beside four simple rules"),
    "etl": ("streams.commands.etl", "clean bars of many instruments on Spark, to Parquet and TFRecord"),
    "export": ("streams.commands.export", "topics to partitioned Parquet: exact, taken up again where it ended"),
    "backfill": ("streams.commands.backfill", "compute a feed's history again, by partition and day, on Spark"),
    "verify": ("streams.commands.verify", "recompute an alert, a signal or a whole feed; compare every byte"),
    "evidence": ("tapewatch.commands.evidence", "archived evidence: list, export, check, give up after its lock"),
    "coverage": ("tapewatch.commands.coverage", "what of a day was watched, and trades against the venues' totals"),
    "partitions": ("tapewatch.commands.partitions", "hot partitions and instruments of a feed, and what to do"),
    "rescale": ("streams.commands.rescale", "go on with a feed in a new topic of more partitions, nothing lost"),
    "reconcile": ("sinks.commands.reconcile", "compare alerts in topic, PostgreSQL and Elasticsearch; repair"),
    "chaos": ("infra.commands.chaos", "a site of its own under faults: what was lost, twice there or different"),
    "dlq": ("tapewatch.commands.dlq", "dead letters: list, show, and send chosen ones once more, none twice"),
    "audit": ("tapewatch.commands.audit", "check the hash chain of the audit log"),
    "console": ("console.commands.console", "the web console and its HTTP API"),
    "accounts": ("console.commands.accounts", "the console's accounts, passwords and API tokens"),
    "bench": ("benchmarks.commands.bench", "measure the engine, alone and beside its peers"),
    "contract": ("tapewatch.commands.contract", "write JSON Schemas and the AsyncAPI document"),
}


def parser_for(command: str | None) -> argparse.ArgumentParser:
    """The argument parser, with the named subcommand's own arguments loaded."""
    parser = argparse.ArgumentParser(
        prog="tapewatch",
        description="Real-time market surveillance and signals on Kafka.",
        epilog="example: tapewatch demo --seconds 60",
    )
    parser.add_argument("--version", action="version", version=f"tapewatch {__version__}")
    parser.add_argument("--settings", type=Path, metavar="FILE", help="settings file (default: ./tapewatch.toml)")
    parser.add_argument("--data", metavar="DIR", help="data folder (default: .tapewatch)")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (module, summary) in COMMANDS.items():
        sub = commands.add_parser(
            name, help=summary, description=summary, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        if name == command:
            _imported(module).configure(sub)
    return parser


def _imported(module: str) -> ModuleType:
    """A command's module; TapewatchError where it cannot be imported and another package has a folder of our names."""
    try:
        return importlib.import_module(module)
    except (ImportError, AttributeError) as error:
        by_name = metadata.packages_distributions()
        strangers = {(name, package) for name in FOLDERS for package in by_name.get(name, ()) if package != "tapewatch"}
        if not strangers:
            raise
        named = ", ".join(f"{name}/ by {package}" for name, package in sorted(strangers))
        raise TapewatchError(
            f"other packages have taken names of tapewatch's folders: {named}",
            "Give tapewatch an environment of its own: `uv tool install tapewatch`, a container, or `make setup`.",
        ) from error


def command_in(words: Sequence[str]) -> str | None:
    """The subcommand among the words of a command line: the first that is neither a common option nor its value."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--settings")
    common.add_argument("--data")
    _, rest = common.parse_known_args(words)
    first = next((word for word in rest if not word.startswith("-")), None)
    return first if first in COMMANDS else None


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; an error names what to do next and exits with 1."""
    words = list(sys.argv[1:] if argv is None else argv)
    signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
    try:
        args = parser_for(command_in(words)).parse_args(words)
        loaded = settings.load(args.settings, flags={"data": args.data})
        logs.configure(loaded.log)
        return int(_imported(COMMANDS[args.command][0]).run(args, loaded))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 141
    except TapewatchError as error:
        return _failed(error)
    except Exception as error:
        told = _explained(error)
        if told is None:
            raise
        return _failed(told)


def _explained(error: Exception) -> TapewatchError | None:
    """What a server's or the system's refusal means for people; None for what is a mistake of ours."""
    from tapewatch.security.login import explained

    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return TapewatchError(f"another program listens there: {error.strerror}", "Give another port, or end it.")
    # Only a command that has loaded them can have met their errors.
    kinds = [(sys.modules.get(name), "OperationalError") for name in ("sqlalchemy.exc", "psycopg2")]
    if any(module and isinstance(error, getattr(module, kind)) for module, kind in kinds):
        problem = " ".join(str(getattr(error, "orig", error)).split())
        return TapewatchError(f"PostgreSQL: {problem}", "Run `tapewatch status`; check postgres.url.")
    return explained(error)


def _failed(error: TapewatchError) -> int:
    """Say what went wrong and what to do; the exit status."""
    print(f"tapewatch: {error.message}", file=sys.stderr)
    if error.hint:
        print(f"  next: {error.hint}", file=sys.stderr)
    return 1
