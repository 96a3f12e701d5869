"""`tapewatch produce`: a live venue, a recording or a synthetic market as a feed in Kafka."""

import argparse
import importlib
import json
import math
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec
import pyarrow.parquet as pq

from producers.commands import canary
from producers.feed.writer import ReplayProgress
from producers.live import SyntheticFeed, SyntheticFeedSummary, run_synthetic
from producers.recordings import Recording, RecordingOptions, kind_names, open_recording
from producers.replay import MAX_SPEED, ReplaySummary, feed_name, replay, source_name
from producers.sources import SOURCES
from producers.synthetic import SyntheticConfig
from tapewatch.access.check import check
from tapewatch.access.services import service_of
from tapewatch.contract import topics
from tapewatch.errors import TapewatchError
from tapewatch.runtime.monitoring import add_flag, asked
from tapewatch.settings import Settings

_EPILOG = """examples:
  tapewatch produce --list
  tapewatch produce binance --top 50
  tapewatch produce upbit --symbols KRW-BTC,KRW-ETH --dry-run
  tapewatch produce replay spot_btcusdt_20240808.gz spot_btcusdt_20240809.gz --speed max
  tapewatch produce replay trades.parquet --feed mine --speed 10
  tapewatch produce synthetic --instruments 200 --rows-per-second 4000 --labels labels.csv
"""
CANARY_GIVES = "manipulation of our own on instruments of our own, to see whether it is found"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the sources and their arguments."""
    parser.epilog = _EPILOG
    parser.add_argument("--list", action="store_true", help="show every source, what it gives and what it needs")
    parser.add_argument("--json", dest="list_json", action="store_true", help="with --list: as one JSON document")
    sources = parser.add_subparsers(dest="what", metavar="SOURCE", parser_class=_SourceParser)
    _configure_replay(
        sources.add_parser("replay", help="recordings, at recorded speed, N times, or as fast as it goes")
    )
    _configure_synthetic(sources.add_parser("synthetic", help="a simulated market with labelled manipulation"))
    canary.configure(sources.add_parser("canary", help=CANARY_GIVES))
    for name, source in SOURCES.items():
        sources.add_parser(name, help=source.gives).source = name


class _SourceParser(argparse.ArgumentParser):
    """A parser that learns a live source's arguments only when that source is asked for. source : empty for none"""

    source = ""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse, with the source's own arguments loaded first."""
        name, self.source = self.source, ""
        if name:
            live_command().configure(self, name, SOURCES[name])
        return super().parse_known_args(args, namespace)


def live_command() -> Any:
    """The module of live sources; TapewatchError where its packages are not installed."""
    try:
        return importlib.import_module("producers.commands.live")
    except ImportError as error:
        raise TapewatchError(
            f"live sources need {error.name}", "Install the extra: pip install 'tapewatch[live]'."
        ) from error


def _show_sources(as_json: bool) -> None:
    """Every source on a line, or all as one JSON document."""
    own = {
        "replay": ("recordings, at recorded speed or any other", "files"),
        "synthetic": ("a simulated market with labelled manipulation", "nothing"),
        "canary": (CANARY_GIVES, "nothing"),
    }
    table = own | {name: (source.gives, source.needs) for name, source in SOURCES.items()}
    if as_json:
        found = [
            {
                "name": name,
                "gives": gives,
                "needs": needs,
                "simulated": name in SOURCES and bool(SOURCES[name].simulator),
            }
            for name, (gives, needs) in table.items()
        ]
        print(json.dumps(found))
        return
    for name, (gives, needs) in table.items():
        print(f"{name:15} {gives}{'' if needs == 'nothing' else f'; needs {needs}'}")


def _configure_replay(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "example: tapewatch produce replay trades.csv.gz --speed 60"
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="recordings, or folders of Parquet files")
    parser.add_argument("--kind", choices=kind_names(), help="kind of the files (default: told by their content)")
    parser.add_argument("--feed", default="", help="feed to fill (default: one of the recording's own)")
    parser.add_argument(
        "--speed", type=_speed, default=MAX_SPEED, help="1 recorded speed, N times that, or max (default)"
    )
    parser.add_argument("--partitions", type=_count, default=0, help="partitions of a new topic")
    parser.add_argument("--instrument", default="", help="SYMBOL.VENUE of bars whose file name holds none")
    parser.add_argument("--timezone", default="UTC", help="IANA zone of bar times without an offset (default: UTC)")
    parser.add_argument(
        "--interval", type=_count, default=0, metavar="S", help="length of a bar, s (default: as the bars say)"
    )
    parser.add_argument("--date", default="", help="YYYY-MM-DD of a LOBSTER file whose name holds none")
    parser.add_argument(
        "--describe", action="store_true", help="send nothing: print feed, topic and instruments as one JSON document"
    )
    parser.add_argument("--json", action="store_true", help="print a summary as one JSON document")
    add_flag(parser)


def _configure_synthetic(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "example: tapewatch produce synthetic --seed 7 --labels labels.csv"
    usual = SyntheticConfig()
    parser.add_argument("--seed", type=int, default=1, help="of everything drawn (default: 1)")
    parser.add_argument("--instruments", type=_count, default=usual.instruments, help=f"(default: {usual.instruments})")
    parser.add_argument(
        "--rows-per-second",
        type=float,
        default=usual.rows_per_second,
        help=f"mean (default: {usual.rows_per_second:.0f})",
    )
    parser.add_argument("--seconds", type=_count, default=0, help="length after the back-dated part (default: no end)")
    parser.add_argument("--back-date", type=int, default=900, metavar="S", help="seconds sent at once (default: 900)")
    parser.add_argument("--labels", type=Path, metavar="FILE", help="CSV file for the injected manipulation")
    parser.add_argument(
        "--look-alikes", type=Path, metavar="FILE", help="CSV file for look-alikes (default: beside --labels)"
    )
    parser.add_argument(
        "--demo", action="store_true", help="every scenario right after the back-dated part, then more often"
    )
    parser.add_argument("--await-engine", action="store_true", help="send nothing before an engine works on the feed")
    parser.add_argument(
        "--mischief", type=Path, metavar="FILE", help="do to the feed what lines of this file order: see docs/faults.md"
    )
    parser.add_argument(
        "--record", type=Path, metavar="FILE", help="write down every frame that is sent, for `verify --feed --record`"
    )
    parser.add_argument(
        "--resume", action="store_true", help="with --record: go on where the record ends, if it exists"
    )
    parser.add_argument("--feed", default="synthetic", help="feed to fill (default: synthetic)")
    parser.add_argument("--partitions", type=_count, default=0, help="partitions of a new topic")
    parser.add_argument("--json", action="store_true", help="print a summary as one JSON document")
    add_flag(parser)


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Send the source until its end or a signal."""
    if args.list:
        _show_sources(args.list_json)
        return 0
    if not args.what:
        raise TapewatchError("produce what?", "Name a source; `tapewatch produce --list` shows them.")
    if not _sends_nothing(args):
        check(settings, service_of(["produce", args.what]))
    if args.what in SOURCES:
        return int(live_command().run(args, settings, args.what, SOURCES[args.what]))
    stop = until_signal()
    if args.what == "canary":
        return canary.run(args, settings, stop)
    settings = asked(settings, args.metrics)
    return _replay(args, settings, stop) if args.what == "replay" else _synthetic(args, settings, stop)


def _sends_nothing(args: argparse.Namespace) -> bool:
    """Whether Kafka is not needed: a description, a dry run."""
    return any(getattr(args, name, False) for name in ("describe", "dry_run"))


def until_signal() -> threading.Event:
    """An event that the first SIGINT or SIGTERM sets, so that what was begun is flushed; the second one interrupts."""
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    return stop


def _replay(args: argparse.Namespace, settings: Settings, stop: threading.Event) -> int:
    options = RecordingOptions(
        instrument=args.instrument, timezone=args.timezone, interval_s=args.interval, date=args.date
    )
    if args.describe:
        print(json.dumps(_described(open_recording(args.files, kind=args.kind, options=options), args.feed)))
        return 0
    with ReplayProgress(_known_rows(args.files)) as progress:
        summary = replay(
            settings,
            args.files,
            kind=args.kind,
            options=options,
            feed=args.feed,
            speed=args.speed,
            partitions=args.partitions,
            stop=stop,
            watch=progress,
            say=_say,
        )
    _print(summary, args.json)
    return 0 if summary.complete else 130


def _described(recording: Recording, feed: str) -> dict[str, Any]:
    """What a replay would fill, and with which instruments."""
    name = feed or feed_name(recording)
    instruments = [instrument.id for instrument in recording.instruments]
    return {"feed": name, "topic": topics.market(name), "source": source_name(recording), "instruments": instruments}


def _synthetic(args: argparse.Namespace, settings: Settings, stop: threading.Event) -> int:
    if args.look_alikes and not args.labels:
        raise TapewatchError("--look-alikes needs --labels", "Name a file for the labels too.")
    if args.resume and not args.record:
        raise TapewatchError("--resume needs --record", "Name the record of the runs before.")
    beside = args.labels and args.labels.with_name(f"{args.labels.stem}-look-alikes{args.labels.suffix}")
    show = SyntheticFeed(
        config=_config(args),
        seed=args.seed,
        feed=args.feed,
        back_date_s=args.back_date,
        seconds=args.seconds,
        labels=args.labels,
        look_alikes=args.look_alikes or beside,
        partitions=args.partitions,
        await_engine=args.await_engine,
        mischief=args.mischief,
        record=args.record,
        resume=args.resume,
    )
    _print(run_synthetic(settings, show, stop=stop, rate=True, say=_say), args.json)
    return 0


def _config(args: argparse.Namespace) -> SyntheticConfig:
    """The market's settings; nothing is injected in the back-dated part."""
    if args.back_date < 0 or args.seed < 0 or not args.rows_per_second > 0 or not math.isfinite(args.rows_per_second):
        raise TapewatchError("seed and back-dated time are 0 or more, rows per second above 0", "Mend the arguments.")
    return msgspec.structs.replace(
        SyntheticConfig.demo() if args.demo else SyntheticConfig(),
        instruments=args.instruments,
        rows_per_second=args.rows_per_second,
        warmup_s=float(args.back_date),
    )


def _known_rows(paths: list[Path]) -> int | None:
    """Rows of the files where they tell without being read, else None."""
    files = [file for path in paths for file in (sorted(path.glob("*.parquet")) if path.is_dir() else [path])]
    if not files or any(file.suffix != ".parquet" for file in files):
        return None
    try:
        return sum(int(pq.ParquetFile(file).metadata.num_rows) for file in files)
    except (OSError, ValueError):
        return None


def _speed(text: str) -> float:
    """1, N or max."""
    speed = MAX_SPEED if text == "max" else float(text)
    if not speed > 0:
        raise argparse.ArgumentTypeError("a number above 0, or max")
    return speed


def _count(text: str) -> int:
    """A whole number of at least 1."""
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError("a whole number of at least 1")
    return count


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _print(summary: ReplaySummary | SyntheticFeedSummary, as_json: bool) -> None:
    if as_json:
        print(msgspec.json.encode(summary).decode(), flush=True)
        return
    rows = ", ".join(f"{count:,} {kind}" for kind, count in summary.rows.items()) or "no rows"
    print(
        f"{summary.topic}: {rows} and {summary.heartbeats:,} heartbeats in {summary.frames:,} frames "
        f"({summary.bytes / 1e6:.1f} MB), {summary.partitions} partitions, {summary.seconds:.1f} s, "
        f"{summary.rows_per_s:,.0f} rows/s"
    )
    if isinstance(summary, ReplaySummary):
        refused = ", ".join(f"{count:,} {reason}" for reason, count in summary.refused.items()) or "none"
        print(f"refused lines: {refused}; {'complete' if summary.complete else 'stopped before the end'}")
