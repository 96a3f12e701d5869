"""`tapewatch train all`: every model that forecasts, on what was known at a day, and their predictions to the topic."""

import argparse
import os
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from detectors.forecast.series import hash_of
from streams.engine.build import build_hash
from streams.forecast import data, training
from streams.forecast.publishing import instrument_ids, predictions, publish
from streams.forecast.schedule import ExchangeSessions, Schedule
from streams.forecast.tracking import Run, RunDescription, Step, alone
from streams.forecast.training import StoppedError, Work, trained
from tapewatch.clock import NANOS, WALL
from tapewatch.errors import TapewatchError
from tapewatch.rfc3339 import to_rfc3339
from tapewatch.settings import Settings

NAME = "all"
_FOLDER = "forecasts"
_MINUTE_NS = 60 * NANOS


def configure(kinds: Any) -> None:
    """Add `all` to the choices of `tapewatch train`. kinds : what argparse's add_subparsers gave."""
    summary = "every model that forecasts, now or each day; publishes predictions"
    parser = kinds.add_parser(
        NAME, help=summary, description=summary, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.epilog = (
        "examples:\n  tapewatch train all --as-of 2023-12-29 --daily daily_us/\n"
        "  tapewatch train all --schedule                    (PostgreSQL's daily bars and factors, after each close)"
    )
    parser.add_argument("--as-of", metavar="DATE", help="learn from nothing later than this day (default: today)")
    parser.add_argument(
        "--daily", nargs="+", type=Path, default=[], metavar="DIR", help="folders of daily bars (default: PostgreSQL)"
    )
    parser.add_argument(
        "--models", nargs="+", default=[], metavar="MODEL", help=f"default: all of {', '.join(training.MODELS)}"
    )
    parser.add_argument("--jobs", type=int, metavar="N", help="models at a time (default: forecast.jobs, the cores)")
    parser.add_argument("--seed", type=int, default=1, help="of everything drawn (default: 1)")
    parser.add_argument(
        "--venue", default="FILE", help="venue of instruments whose files have none in their names (default: FILE)"
    )
    parser.add_argument("--no-publish", action="store_true", help="train and forecast, send nothing")
    parser.add_argument("--schedule", action="store_true", help="go on each day, after the close of forecast.calendar")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    parser.add_argument("--json", action="store_true", help="print a summary as one JSON document")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Train once, or each day until told to stop."""
    chosen = training.chosen(args.models)
    if args.jobs is not None and args.jobs < 1:
        raise TapewatchError("--jobs is below 1", "Leave it out for as many as there are cores.")
    if args.schedule and args.as_of:
        raise TapewatchError("--schedule has days of its own", "Leave out --as-of.")
    if args.dry_run:
        return _planned(args, settings, chosen)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with alone(settings.data_path / _FOLDER):
        if args.schedule:
            return _each_day(args, settings, chosen, stop)
        try:
            found = once(args, settings, chosen, args.as_of or _today(), stop)
        except StoppedError:
            _tell("stopped; the same command goes on where this one was")
            return 130
    _print(found, args.json)
    return 1 if any(each["state"] == "failed" for each in found["models"]) else 0


def once(
    args: argparse.Namespace, settings: Settings, chosen: Mapping[str, str], day: str, stop: threading.Event
) -> dict[str, Any]:
    """Train for a day what is not trained yet, publish what is not published yet, and tell of both."""
    panel, where = data.panel_of(settings, args.daily, day)
    instrument_ids(panel.series, args.venue)
    current = _run(settings, day, where, hash_of(panel), args.seed)
    jobs = args.jobs or settings.forecast.jobs or os.cpu_count() or 1
    _tell(f"{day}: {len(panel.series)} instruments, {len(panel.readings):,} readings from {where}")
    steps = trained(Work(panel, chosen, jobs, settings.data_path / "models"), current, _tell, stop)
    messages = predictions(steps, args.venue, data.newest(panel))
    if not args.no_publish:
        publish(settings, current, steps, messages)
    known = current.published
    sent = known is not None and {each.id for each in messages} <= {*known.ids}
    return {
        "run": current.described.id,
        "folder": str(current.folder),
        **msgspec.to_builtins(current.described),
        "instruments": len(panel.series),
        "models": [_line(step) for step in steps.values()],
        "predictions": len(messages),
        "published": bool(messages) and sent,
    }


def _each_day(args: argparse.Namespace, settings: Settings, chosen: Mapping[str, str], stop: threading.Event) -> int:
    """Train after each session's close. A day that fails is told of, and the next one comes."""

    def day(day: str) -> bool:
        try:
            found = once(args, settings, chosen, day, stop)
        except StoppedError:
            return False
        except TapewatchError as error:
            _tell(f"{day}: {error.message}. {error.hint}")
            return False
        _tell(f"{day}: {found['predictions']} predictions, run {found['run']}")
        return all(each["state"] != "failed" for each in found["models"])

    schedule = Schedule(
        ExchangeSessions(settings.forecast.calendar),
        settings.forecast.after_close_min * _MINUTE_NS,
        settings.data_path / _FOLDER / "schedule.json",
        day,
        WALL,
    )
    schedule.run(stop, _tell)
    if args.json:
        print(msgspec.json.encode({"days": schedule.days}).decode())
    return 0


def _planned(args: argparse.Namespace, settings: Settings, chosen: Mapping[str, str]) -> int:
    """What a run would do."""
    day = args.as_of or _today()
    panel, where = data.panel_of(settings, args.daily, day)
    current = _run(settings, day, where, hash_of(panel), args.seed)
    steps = {name: current.step(name) for name in chosen}
    found = {
        "run": current.described.id,
        **msgspec.to_builtins(current.described),
        "instruments": len(panel.series),
        "models": {name: "to train" if step is None else step.state for name, step in steps.items()},
    }
    if args.json:
        print(msgspec.json.encode(found).decode())
    else:
        print(f"run {found['run']}: {len(panel.series)} instruments, {len(panel.readings):,} readings from {where}")
        print("\n".join(f"  {name}: {state}" for name, state in found["models"].items()))
    return 0


def _run(settings: Settings, day: str, where: str, data_hash: str, seed: int) -> Run:
    return Run(settings.data_path / _FOLDER / "runs", RunDescription(day, where, data_hash, seed, build_hash()))


def _line(step: Step) -> dict[str, Any]:
    """A step in a summary."""
    told = {name: getattr(step, name) for name in ("name", "state", "model", "reason", "cpu_s", "wall_s")}
    return {**told, "forecasts": len(step.forecasts)}


def _print(found: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        print(msgspec.json.encode(found).decode())
        return
    for each in found["models"]:
        what = f"model {each['model']}, {each['forecasts']} forecasts" if each["model"] else each["reason"]
        print(f"{each['name']:<16} {each['state']:<9} {each['cpu_s']:>8.1f} s  {what}")
    state = "published" if found["published"] else "not published"
    print(f"{found['predictions']} predictions {state}; record of the run in {found['folder']}")


def _today() -> str:
    return to_rfc3339(WALL.now())[:10]


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
