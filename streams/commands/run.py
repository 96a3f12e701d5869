"""`tapewatch run STAGE`: one process of a stage's consumer group."""

import argparse
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from streams.coin_ranking import options
from tapewatch.access.check import check
from tapewatch.clock import NANOS, WALL
from tapewatch.runtime.monitoring import Monitor, add_flag, asked
from tapewatch.settings import Settings


class Stage(Protocol):
    """A process of a stage."""

    totals: Any
    monitor: Monitor

    def run(self, stop: threading.Event, until_idle_s: float = 0.0) -> None:
        """Work until told to stop, or until nothing came for so long."""


Told = Callable[[], tuple[int, str]]
"""How much a stage has taken in so far, and a line that says what it did."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("stage", choices=list(STAGES), help="what to run")
    parser.add_argument(
        "--instance", metavar="NAME", help="static member id, unique in the group (default: host and process id)"
    )
    parser.add_argument(
        "--until-idle",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="end when all is read and nothing came for that long",
    )
    parser.add_argument(
        "--feed",
        action="append",
        metavar="NAME",
        help="work on this feed only; may be given again (default: every feed)",
    )
    parser.add_argument("--batch-frames", type=int, metavar="N", help="the engine's: frames of one transaction at most")
    parser.add_argument(
        "--restore-offsets",
        action="store_true",
        default=None,
        help="of engine, paper and forecast: go on where their own records end, where their group's offsets expired or "
        "were set",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress line")
    parser.add_argument("--json", action="store_true", help="print totals as one JSON document at the end")
    add_flag(parser)
    options.add_arguments(parser)
    parser.epilog = (
        "example: tapewatch run engine --instance engine-1; tapewatch run desk --min-turnover 100000; "
        "tapewatch run forecast"
    )


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Run the stage until SIGINT or SIGTERM, or until it is idle."""
    check(settings, args.stage)
    stage, told = STAGES[args.stage](args, asked(settings, args.metrics))
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    if not args.quiet:
        threading.Thread(target=_report, args=(told, stop), daemon=True).start()
    with stage.monitor:
        stage.run(stop, args.until_idle)
    stop.set()
    if args.json:
        print(msgspec.json.encode(stage.totals).decode())
    return 0


def _engine(args: argparse.Namespace, settings: Settings) -> tuple[Stage, Told]:
    """An engine, and its progress line. Each stage loads what it needs alone."""
    from streams.engine.process import Engine
    from streams.engine.recovery import told_recovery

    changes = {
        "instance": args.instance,
        "batch_frames": args.batch_frames,
        "feeds": tuple(args.feed or ()),
        "restore_offsets": args.restore_offsets,
    }
    engine = Engine(msgspec.structs.replace(settings, engine=_changed(settings.engine, changes)))
    totals = engine.totals

    def told() -> tuple[int, str]:
        line = (
            f"engine  {totals.rows:>12,} rows  {totals.features:,} features  {totals.alerts:,} alerts  "
            f"{totals.refused:,} refused  {totals.transactions:,} transactions"
        )
        far = engine.recovering
        replayed = sum(each.offset - each.start for each in far)
        return totals.rows + replayed, f"{line}  {told_recovery(far)}" if far else line

    return engine, told


def _spark(args: argparse.Namespace, settings: Settings) -> tuple[Stage, Told]:
    """The engine's work as a Structured Streaming job, and its progress line."""
    from streams.spark.stage import SparkStage

    stage = SparkStage(
        msgspec.structs.replace(settings, engine=_changed(settings.engine, {"feeds": tuple(args.feed or ())}))
    )
    totals = stage.totals
    return stage, lambda: (
        totals.rows,
        f"spark  {totals.rows:>12,} rows  {totals.features:,} features  {totals.alerts:,} alerts  "
        f"{totals.batches:,} batches  {totals.transactions:,} transactions  {totals.recovered:,} recovered",
    )


def _paper(args: argparse.Namespace, settings: Settings) -> tuple[Stage, Told]:
    """A process of the paper broker, and its progress line."""
    from streams.paper.process import Paper

    changes = {
        "instance": args.instance,
        "feeds": tuple(args.feed or ()),
        "restore_offsets": args.restore_offsets,
    }
    paper = Paper(msgspec.structs.replace(settings, paper=_changed(settings.paper, changes)))
    totals = paper.totals
    return paper, lambda: (
        totals.records,
        f"paper  {totals.records:>10,} records  {totals.orders:,} order messages  {totals.fills:,} fills  "
        f"{totals.commands:,} commands  {totals.transactions:,} transactions",
    )


def _desk(args: argparse.Namespace, settings: Settings) -> tuple[Stage, Told]:
    """The coin desk, and its progress line."""
    from streams.coin_ranking.running import process_of

    desk = process_of(args, settings)
    totals = desk.totals
    return desk, lambda: (
        totals.minutes,
        f"desk  {totals.minutes:,} minutes  {totals.coins:,} coins  {totals.rankings:,} rankings  "
        f"{totals.late:,} bars too late  {totals.snapshots} snapshots",
    )


def _evidence(args: argparse.Namespace, settings: Settings) -> tuple[Stage, Told]:
    """The archiver of evidence, and its progress line."""
    from streams.evidence.follower import Follower

    follower = Follower(settings, args.instance or "")
    totals = follower.totals
    return follower, lambda: (
        totals.records,
        f"evidence  {totals.records:,} records  {totals.bundles:,} bundles  {totals.bytes / 1e6:,.1f} MB  "
        f"{totals.unproved} unproved  {totals.known} known already",
    )


def _cases(_: argparse.Namespace, settings: Settings) -> tuple[Stage, Told]:
    """The case stage, and its progress line."""
    from streams.cases.process import CaseStage

    stage = CaseStage(settings)
    totals = stage.totals
    return stage, lambda: (
        totals.alerts + totals.commands,
        f"cases  {totals.alerts:,} alerts  {totals.commands:,} commands  {totals.cases:,} case revisions  "
        f"{totals.answers:,} answers  {totals.refused:,} refused",
    )


def _forecast(args: argparse.Namespace, settings: Settings) -> tuple[Stage, Told]:
    """Forecasts of the next minute, and their progress line."""
    from streams.forecast import minute_process
    from streams.forecast.minute_process import MinuteForecasts

    changes = {"instance": args.instance, "restore_offsets": args.restore_offsets}
    changed = msgspec.structs.replace(settings, forecast=_changed(settings.forecast, changes))
    stage = MinuteForecasts(changed, minute_process.chosen(changed), tuple(args.feed or ()))
    totals = stage.totals
    return stage, lambda: (
        totals.bars,
        f"forecast  {totals.bars:,} bars  {totals.predictions:,} predictions  {totals.refused:,} refused  "
        f"{totals.transactions:,} transactions",
    )


def _news(_: argparse.Namespace, settings: Settings) -> tuple[Stage, Told]:
    """The news stage, and its progress line."""
    from streams.news.process import NewsStage
    from streams.news.scorers import chosen

    stage = NewsStage(settings, chosen(settings))
    totals = stage.totals
    return stage, lambda: (
        totals.items,
        f"news  {totals.items:>8,} records  {totals.scored:,} scored  {totals.duplicates:,} said before  "
        f"{totals.factors:,} factors  {totals.refused:,} refused  {totals.latency_ms:,.0f} ms from arrival",
    )


STAGES: dict[str, Callable[[argparse.Namespace, Settings], tuple[Stage, Told]]] = {
    "engine": _engine,
    "spark": _spark,
    "paper": _paper,
    "desk": _desk,
    "cases": _cases,
    "evidence": _evidence,
    "forecast": _forecast,
    "news": _news,
}


def _changed(section: Any, changes: dict[str, Any]) -> Any:
    """A section of the settings with those changes that say anything."""
    return msgspec.structs.replace(section, **{key: value for key, value in changes.items() if value})


def _report(told: Told, stop: threading.Event) -> None:
    """A progress line every two seconds in which something happened."""
    last, since = 0, WALL.elapsed()
    while not stop.wait(2.0):
        now = WALL.elapsed()
        count, line = told()
        if count != last:
            print(f"{line}  {(count - last) / ((now - since) / NANOS):,.0f}/s", file=sys.stderr)
        last, since = count, now
