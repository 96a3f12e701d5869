"""`tapewatch reconcile`: do PostgreSQL and Elasticsearch hold the alerts that the topic holds? Repairs them from it.
`--rows`: do they hold every row of a feed, every case and document?
"""

import argparse
import signal
import threading
from typing import Any, Protocol

import msgspec
import psycopg2
from confluent_kafka import KafkaException

from sinks.elasticsearch.client import server_errors
from sinks.reconcile import Reconciler, Report
from sinks.reconcile.ledger import POSTGRES, STORES
from sinks.reconcile.reconciler import metrics
from sinks.reconcile.rows import RowsReport, compare_rows, repair_rows
from sinks.reconcile.rows.report import metrics as row_metrics
from tapewatch import logs
from tapewatch.clock import NANOS, WALL
from tapewatch.errors import TapewatchError
from tapewatch.rfc3339 import from_rfc3339
from tapewatch.runtime.monitoring import Monitor, add_flag, asked
from tapewatch.settings import Settings

_BEAT_S = 1.0
_log = logs.get("reconcile")


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of `reconcile`."""
    parser.add_argument(
        "--repair", action="store_true", help="bring the stores (of --rows: PostgreSQL) to what the topics say"
    )
    parser.add_argument("--since", metavar="TIME", help="alerts decided from then on, RFC 3339 (default: all)")
    parser.add_argument("--until", metavar="TIME", help="alerts decided before then (default: all)")
    parser.add_argument("--every", type=float, metavar="SECONDS", help="go on comparing, so often, until stopped")
    parser.add_argument("--settle", type=float, default=3.0, metavar="SECONDS", help="how long sinks may lag behind")
    parser.add_argument("--only", choices=STORES, help="compare this store alone")
    parser.add_argument(
        "--rows", action="store_true", help="compare tables of --feed and documents with the topics, one by one"
    )
    parser.add_argument("--feed", metavar="NAME", help="with --rows: whose rows")
    add_flag(parser)
    parser.add_argument("--json", action="store_true", help="one JSON document; with --every one a line")
    parser.epilog = (
        "examples:\n"
        "  tapewatch reconcile --repair --since 2026-11-01T00:00:00Z --json\n"
        "  tapewatch reconcile --rows --feed binance\n"
        "  tapewatch reconcile --rows --feed binance --only postgres --repair\n"
        "exit status: 0 no difference is left, 1 some are"
    )


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Compare once or again and again; 1 where differences are left after the last comparison."""
    logs.configure(settings.log)
    if args.rows != bool(args.feed):
        raise TapewatchError("--rows goes with --feed", "See `tapewatch reconcile --help`.")
    if args.only != POSTGRES:
        _search(settings)
    watch = _Watch(args, settings, _Rows(args, settings) if args.rows else _Alerts(args, settings))
    try:
        if args.every is None:
            return watch.once()
        return watch.forever()
    finally:
        watch.close()


def _search(settings: Settings) -> str:
    """Elasticsearch's address. TapewatchError where there is none."""
    try:
        return settings.elasticsearch_url()
    except TapewatchError as error:
        raise TapewatchError(error.message, f"{error.hint} Or compare one store alone: `--only postgres`.") from error


class _Comparison(Protocol):
    """What is compared again and again."""

    def compare(self) -> Report | RowsReport:
        """One comparison."""
        ...

    def figures(self, last: Any, rounds: int, failures: int) -> str:
        """Prometheus' text format."""
        ...

    def close(self) -> None:
        """Give connections back."""
        ...


class _Alerts:
    """Alerts in both stores."""

    def __init__(self, args: argparse.Namespace, settings: Settings) -> None:
        self._args = args
        self._since, self._until = _time(args.since, 0), _time(args.until, 2**63 - 1)
        self._reconciler = Reconciler(settings, [args.only] if args.only else STORES, args.settle)

    def compare(self) -> Report:
        """One comparison."""
        # A later alert than now cannot be known; the largest time would not fit into a date.
        until = min(self._until, WALL.now() + 366 * 86_400 * 10**9) if self._args.until is None else self._until
        return self._reconciler.run(self._since, until, self._args.repair)

    def figures(self, last: Report | None, rounds: int, failures: int) -> str:
        """Prometheus' text format."""
        return metrics(last, rounds, failures)

    def close(self) -> None:
        """Give connections back."""
        self._reconciler.close()


class _Rows:
    """Rows of a feed in PostgreSQL, cases, and documents in Elasticsearch."""

    def __init__(self, args: argparse.Namespace, settings: Settings) -> None:
        self._feed, self._settings = args.feed, settings
        self._stores = [args.only] if args.only else STORES
        self._repair = args.repair

    def compare(self) -> RowsReport:
        """One comparison."""
        compare = repair_rows if self._repair else compare_rows
        return compare(self._settings, self._feed, self._stores)

    def figures(self, last: RowsReport | None, rounds: int, failures: int) -> str:
        """Prometheus' text format."""
        return row_metrics(last, rounds, failures)

    def close(self) -> None:
        """Nothing is kept open."""


class _Watch:
    """Comparisons with the command's arguments."""

    def __init__(self, args: argparse.Namespace, settings: Settings, what: _Comparison) -> None:
        self._args, self._what = args, what
        self._last: Report | RowsReport | None = None
        self._rounds = self._failures = 0
        self._monitor = Monitor("reconcile", asked(settings, args.metrics))
        self._monitor.show_text(lambda: what.figures(self._last, self._rounds, self._failures))

    def once(self) -> int:
        """Compare and print."""
        self._last = self._compared()
        self._rounds += 1
        if self._args.json:
            print(msgspec.json.encode(self._last).decode(), flush=True)
        else:
            print("\n".join(self._last.lines()), flush=True)
        return 1 if self._last.differences else 0

    def _compared(self) -> Report | RowsReport:
        """One comparison. TapewatchError where a server does not answer."""
        try:
            return self._what.compare()
        except (psycopg2.Error, KafkaException, *server_errors()) as error:
            said = logs.printable(" ".join(str(error).split()))[:300]
            hint = "Look at `tapewatch status`; `--only postgres` leaves Elasticsearch out."
            raise TapewatchError(f"a server does not do its part: {said}", hint) from error

    def forever(self) -> int:
        """Compare every so often until told to end; a server that fails is tried again in the next round."""
        stop = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        left = 0
        with self._monitor:
            while not stop.is_set():
                try:
                    left = self.once()
                    self._monitor.ready()
                    self._monitor.has("servers")
                except TapewatchError as error:
                    self._failures += 1
                    self._monitor.waits_for("servers", error.message)
                    _log.warning("comparison failed", problem=error.message)
                self._wait(stop)
        return left

    def _wait(self, stop: threading.Event) -> None:
        """Until the next round."""
        until = WALL.elapsed() + int(self._args.every * NANOS)
        while (left_s := (until - WALL.elapsed()) / NANOS) > 0 and not stop.wait(min(left_s, _BEAT_S)):
            self._monitor.beat()

    def close(self) -> None:
        """Give connections back."""
        self._what.close()


def _time(text: str | None, default: int) -> int:
    """A time of the command line, UTC nanoseconds."""
    try:
        return default if text is None else from_rfc3339(text)
    except ValueError as error:
        raise TapewatchError(str(error), "Write it as 2026-11-01T00:00:00Z.") from error
