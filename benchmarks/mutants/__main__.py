"""Mutants of the core: which of them a test notices (docs/mutants.md).

A mutant is a line of the product with one small slip in it. The list is drawn by a seed and kept
(benchmarks/mutants/list.tsv); each mutant runs the tests that guard its file, in a process of its own, and no file is
ever changed. It is killed where a test fails or does not end in time.
"""

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path
from time import perf_counter

import msgspec

from benchmarks.figures import machine
from benchmarks.mutants import listing, page
from benchmarks.mutants.job import Job, Outcome
from benchmarks.mutants.targets import BY_FILE, TARGETS
from tapewatch.settings.stack import Addresses

COUNT = 247
"""Mutants that are drawn, about."""
AT_ONCE = 16
"""Mutants of one file that a process works off: what it does first, once, takes about as long as one of them."""


def main(words: Sequence[str] | None = None) -> int:
    """Draw the list, or try the mutants on it; 1 where too few are killed, 2 where some were not tried."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.mutants",
        description=__doc__,
        epilog="example: python -m benchmarks.mutants --only streams/cases/risk.py",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", action="append", choices=BY_FILE, metavar="FILE", help="mutants of this file alone")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes at a time (default: one a core)")
    parser.add_argument("--json", action="store_true", help="one document on one line")
    parser.add_argument("--write", action="store_true", help="fill the tables of docs/mutants.md")
    parser.add_argument("--draw", action="store_true", help="draw the list anew, and end")
    parser.add_argument("--all", action="store_true", help="every mutant there is of the files, not only those listed")
    args = parser.parse_args(words)
    files = args.only or [target.file for target in TARGETS]
    sources = {file: (listing.ROOT / file).read_text() for file in files}
    part = bool(args.only or args.all)
    if part and (args.draw or args.write):
        parser.error("--draw and --write are for the whole list: leave out --only and --all")
    if args.draw:
        listing.LIST.write_text(listing.written(listing.draw(sources, COUNT)))
        return 0
    if args.all:
        chosen = [mutant for file, text in sources.items() for mutant in listing.mutants(file, text)]
    else:
        chosen = [mutant for mutant in listing.read() if mutant.file in sources]
    began, where = perf_counter(), machine()
    outcomes = tried(chosen, args.jobs)
    found = page.result(chosen, outcomes, listing.equivalent(), perf_counter() - began, where)
    print(msgspec.json.encode(found).decode() if args.json else page.tables(found))
    if args.write:
        page.write(found)
    if len(outcomes) < len(chosen):
        return 2
    enough = part or found.judged >= page.LEAST
    return 0 if enough and found.share >= page.LEAST_SHARE else 1


def tried(chosen: Sequence[listing.Mutant], jobs: int) -> list[Outcome]:
    """What becomes of each mutant; those are missing whose tests do not pass without one."""
    parts = list(_parts(chosen))
    with contextlib.ExitStack() as open_now:
        folder = open_now.enter_context(tempfile.TemporaryDirectory(prefix="tapewatch-mutants-"))
        servers = any(BY_FILE[part[0].file].servers for part in parts)
        stack = open_now.enter_context(_servers(folder)) if servers else None
        work = [Job(part, stack if BY_FILE[part[0].file].servers else None) for part in parts]
        pool = ThreadPoolExecutor(jobs)
        open_now.callback(pool.shutdown, cancel_futures=True)
        return [outcome for part in pool.map(_worked_off, work, repeat(folder)) for outcome in part]


def _parts(chosen: Sequence[listing.Mutant]) -> Iterator[list[listing.Mutant]]:
    """What one process works off: mutants of one file, of those that wait for servers first."""
    for target in sorted(TARGETS, key=lambda target: not target.servers):
        mine = [mutant for mutant in chosen if mutant.file == target.file]
        for start in range(0, len(mine), AT_ONCE):
            yield mine[start : start + AT_ONCE]


@contextlib.contextmanager
def _servers(folder: str) -> Iterator[Addresses]:
    """One Kafka and one PostgreSQL for all: tests that need them make topics and databases of their own."""
    from infra import embedded
    from tapewatch.settings import Settings

    with embedded.session(Settings(data=str(Path(folder) / "stack"))) as addresses:
        yield addresses


def _worked_off(job: Job, folder: str) -> list[Outcome]:
    """One process' work. Kernels are not compiled where they are mutated, nor is anything kept of them."""
    source = (listing.ROOT / job.mutants[0].file).read_text()
    changed = {"NUMBA_DISABLE_JIT": "1", "XDG_CACHE_HOME": folder} if "tapewatch.kernels" in source else {}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.mutants.worker"],
        input=msgspec.json.encode(job),
        stdout=subprocess.PIPE,
        cwd=listing.ROOT,
        env=os.environ | changed,
        check=False,
    )
    return [msgspec.json.decode(line, type=Outcome) for line in done.stdout.splitlines()]


if __name__ == "__main__":
    sys.exit(main())
