"""`make soak`: proofs that take long, each a job with its result in docs/results."""

import argparse
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from benchmarks import soak_feeds, soak_market, soak_stall, soak_webhooks
from benchmarks.engine_run import own_stack
from benchmarks.fuzz import soak as soak_fuzz
from benchmarks.report import DOCS
from benchmarks.sinks import soak as soak_sinks
from tapewatch import settings as configuration
from tapewatch.errors import TapewatchError
from tapewatch.settings import Settings
from tapewatch.settings.delivery import ElasticsearchSettings


@dataclass(frozen=True, slots=True)
class Job:
    """A proof. run : settings of a new stack and minutes to the result; table : for people; minutes : its length

    search : whether the stack has Elasticsearch; servers : whether there is a stack at all
    """

    proves: str
    run: Callable[[Settings, float], Any]
    table: Callable[[Any], str]
    minutes: float
    search: bool = False
    servers: bool = True


JOBS = {
    "market": Job(
        "memory stays flat on a synthetic market at 20,000 rows/s",
        soak_market.run,
        soak_market.markdown,
        60.0,
    ),
    "feeds": Job(
        "a live producer loses nothing at 20,000 messages/s of 1,000 symbols, in flat memory",
        soak_feeds.run,
        soak_feeds.markdown,
        20.0,
    ),
    "stall": Job(
        "memory stays bounded while PostgreSQL, then the broker stands still, and nothing is missing afterwards",
        soak_stall.run,
        soak_stall.markdown,
        10.0,
    ),
    "webhooks": Job(
        "each alert reaches a failing, dying webhook receiver under one id, in order, though the sink is killed too",
        soak_webhooks.run,
        soak_webhooks.markdown,
        10.0,
    ),
    "elasticsearch": Job(
        "Elasticsearch killed and failing: nothing lost or doubled, PostgreSQL not slowed, alerts searchable in time",
        soak_sinks.run,
        soak_sinks.markdown,
        12.0,
        search=True,
    ),
    "fuzz": Job(
        "no input of ten million crashes or hangs what reads strangers' bytes, or changes another instrument's result",
        soak_fuzz.run,
        soak_fuzz.markdown,
        soak_fuzz.USUAL_MINUTES,
        servers=False,
    ),
}


def main(words: list[str] | None = None) -> int:
    """Run the jobs that are named, all of them by default; 1 where one does not prove what it should."""
    parser = argparse.ArgumentParser(
        prog="make soak ARGS=...", description=__doc__, epilog="example: make soak ARGS='market --minutes 5'"
    )
    parser.add_argument("jobs", nargs="*", metavar="JOB", help=f"{', '.join(JOBS)} (default: all)")
    parser.add_argument("--minutes", type=float, help="length of each job (default: its own)")
    parser.add_argument(
        "--out", type=Path, default=DOCS / "results", metavar="DIR", help="folder for results (default: docs/results)"
    )
    parser.add_argument("--json", action="store_true", help="print each result as a JSON line")
    args = parser.parse_args(words)
    unknown = [name for name in args.jobs if name not in JOBS]
    if unknown:
        parser.error(f"no job {unknown[0]!r}; there are: {', '.join(JOBS)}")
    args.out.mkdir(parents=True, exist_ok=True)
    passed = [_run(name, args.minutes or JOBS[name].minutes, args.out, args.json) for name in args.jobs or JOBS]
    return 0 if all(passed) else 1


def _run(name: str, minutes: float, folder: Path, as_json: bool) -> bool:
    """One job; its result is written as soak-NAME.json and soak-NAME.md."""
    job = JOBS[name]
    print(f"{name}: {job.proves}; {minutes:g} minutes", file=sys.stderr)
    settings = configuration.load()
    if job.search:
        embedded = msgspec.structs.replace(settings.embedded, elasticsearch=True)
        settings = msgspec.structs.replace(settings, embedded=embedded, elasticsearch=ElasticsearchSettings())
    with own_stack(settings) if job.servers else nullcontext(settings) as own:
        result = job.run(own, minutes)
    data = msgspec.json.encode(result)
    (folder / f"soak-{name}.json").write_bytes(msgspec.json.format(data, indent=2) + b"\n")
    (folder / f"soak-{name}.md").write_text(f"# {name}: {job.proves}\n\n{job.table(result)}\n")
    print(data.decode() if as_json else job.table(result))
    return bool(result.passed)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except TapewatchError as error:
        print(f"soak: {error.message}\n  next: {error.hint}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
