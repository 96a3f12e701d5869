"""A rolling upgrade under live load: every process of one build replaced by another build's, one after the other.

`python -m benchmarks.rolling_upgrade --from e27d209 --back --out docs/results/rolling-upgrade.json`
"""

import argparse
import re
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from benchmarks import builds
from benchmarks.builds import ENGINES, ROOT, Build, Step, Upgrade
from benchmarks.document import give
from infra.chaos import server
from infra.chaos.run import Course, Wishes, own_folder, told
from infra.chaos.site import OPTIONAL, Plan, Site
from infra.chaos.stall import Meter, Span, longest, worst_by_kind
from infra.chaos.verdict import Machine, judge, where
from tapewatch.clock import NANOS, WALL
from tapewatch.contract import topics
from tapewatch.errors import TapewatchError
from tapewatch.runtime import kafka

_RECOVERED = re.compile(r"partition recovered .*partition=(\d+) offset=(\d+) snapshot_offset=(\d+) seconds=([\d.]+)")


class PartitionRecovery(msgspec.Struct, frozen=True):
    """A partition that an engine took up. snapshot_offset : the snapshot's it began with, 0 for none; s : it took"""

    process: str
    partition: int
    offset: int
    snapshot_offset: int
    s: float


class UpgradeResult(msgspec.Struct, frozen=True):
    """The JSON document.

    old, new : builds; steps : each process, in the order in which it was replaced; commits : the engines' by build
    recovered : what the new engines began with; unreadable_snapshots : that a build could not read
    other figures : as `tapewatch chaos` has them
    """

    bench: str
    old: Build
    new: Build
    steps: list[Step]
    seconds: float
    rows_in: int
    lost: int
    duplicated: int
    different: int
    late: int
    longest_stall_s: float
    longest_engine_stall_s: float
    commits: dict[str, int]
    recovered: list[PartitionRecovery]
    unreadable_snapshots: int
    webhooks: Any
    verified: dict[str, dict[str, int]]
    problems: list[str]
    sound: bool
    plan: Plan
    where: Machine


def rehearse(
    trees: tuple[Path, Path], known: tuple[Build, Build], wishes: Wishes, back: bool, say: Callable[[str], None]
) -> UpgradeResult:
    """Start the old build, replace all of it, verify with the new one.

    back : the engines go back to the old build afterwards; wishes.seconds : load before, between and after the steps
    """
    machine, no_mounts = where(), server.own_mounts()
    with own_folder(wishes.keep, say) as folder:
        site = Site(folder, wishes.plan, no_mounts, trees[0])
        try:
            site.start(say)
            course = Course(site, wishes, say)
            meter = Meter(site.settings, wishes.plan.partitions)
            course.warm_up(meter)
            begun = WALL.elapsed()
            upgrade = Upgrade(site, trees[1], wishes.seconds, say)
            steps = list(upgrade.forward())
            if back:
                steps += upgrade.engines(trees[0], "back")
            seconds = (WALL.elapsed() - begun) / NANOS
            gaps = meter.close()
            course.drain()
            course.rest()
            verdict = judge(site, say)
            spans = [
                Span(f"{step.process} {step.to}", step.began_ns, step.ready_ns, step.process in ENGINES)
                for step in steps
            ]
            stalls = worst_by_kind(gaps, spans)
            steps = [
                msgspec.structs.replace(each, stall_s=stalls[f"{each.process} {each.to}"].longest_s) for each in steps
            ]
            recovered, unreadable = _took_up(site)
            commits = _commits(site)
            problems = [*course.problems, *verdict.problems, *_missing(commits, known)]
            bad = verdict.lost or verdict.duplicated or verdict.different or problems or not verdict.rows_in
            return UpgradeResult(
                bench="rolling upgrade",
                old=known[0],
                new=known[1],
                steps=steps,
                seconds=round(seconds, 1),
                rows_in=verdict.rows_in,
                lost=verdict.lost,
                duplicated=verdict.duplicated,
                different=verdict.different,
                late=verdict.late,
                longest_stall_s=longest(gaps),
                longest_engine_stall_s=max(step.stall_s for step in steps if step.process in ENGINES),
                commits=commits,
                recovered=recovered,
                unreadable_snapshots=unreadable,
                webhooks=verdict.webhooks,
                verified=verdict.by_verifier,
                problems=problems,
                sound=not bad,
                plan=wishes.plan,
                where=machine,
            )
        finally:
            site.stop()


def _took_up(site: Site) -> tuple[list[PartitionRecovery], int]:
    """What engines say they began with, beside empty partitions, and how many snapshots they could not read."""
    found, unreadable = [], 0
    for name in ENGINES:
        text = (site.logs / f"{name}.log").read_text(errors="replace")
        unreadable += text.count("snapshot cannot be used; trying")
        for match in _RECOVERED.finditer(text):
            partition, offset, snapshot = (int(match[each]) for each in (1, 2, 3))
            found.append(PartitionRecovery(name, partition, offset, snapshot, float(match[4])))
    return found, unreadable


def _commits(site: Site) -> dict[str, int]:
    """The engines' commit records, by build."""
    found: Counter[str] = Counter()
    kafka.read_all(site.settings, topics.COMMITS, lambda message: found.update([_build_of(message.value() or b"")]))
    return dict(found)


def _build_of(value: bytes) -> str:
    return msgspec.json.decode(value, type=_Commit).build


class _Commit(msgspec.Struct):
    """What is counted of a commit record."""

    build: str


def _missing(commits: dict[str, int], known: tuple[Build, Build]) -> list[str]:
    """Builds that have not committed anything: the rehearsal was none."""
    return [f"build {build.hash} ({build.source}) committed nothing" for build in known if not commits.get(build.hash)]


@contextmanager
def _old_tree(commit: str) -> Iterator[tuple[Path, str]]:
    """The old build's tree, and what it is."""
    with tempfile.TemporaryDirectory(prefix="tapewatch-build-") as folder:
        tree = Path(folder) / "tree"
        made = builds.of_commit(commit, tree) if commit else builds.copied(tree)
        try:
            yield made, f"commit {commit}" if commit else "a copy of this tree"
        finally:
            builds.forget_kernels(made)


def main(words: list[str]) -> int:
    """Run it; 1 where something was lost, twice there or different."""
    usual = Plan()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rolling_upgrade", description=__doc__)
    parser.add_argument("--from", dest="commit", default="", help="commit of the old build (default: this tree's copy)")
    parser.add_argument("--back", action="store_true", help="take the engines back to the old build afterwards")
    parser.add_argument("--pause", type=float, default=8.0, metavar="S", help="of load between steps (default: 8)")
    parser.add_argument("--rate", type=float, default=2000.0, metavar="ROWS_PER_S", help="(default: 2000)")
    parser.add_argument("--instruments", type=int, default=60, metavar="N", help="(default: 60)")
    parser.add_argument("--seed", type=int, default=usual.seed)
    parser.add_argument("--without", default="", metavar="PART,...", help=f"any of {', '.join(OPTIONAL)}")
    parser.add_argument("--keep", action="store_true", help="leave the folder with logs and topics")
    parser.add_argument("--out", type=Path, metavar="FILE")
    args = parser.parse_args(words)
    signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
    plan = Plan(
        seed=args.seed,
        instruments=args.instruments,
        rows_per_second=args.rate,
        without=frozenset(filter(None, args.without.split(","))),
        database_mb=2048,
    )
    with _old_tree(args.commit) as (old, source):
        told("compiling both builds' kernels")
        for tree in (old, ROOT):
            builds.warm(tree)
        known = builds.described(old, source), builds.described(ROOT, "this tree")
        if known[0].hash == known[1].hash:
            raise TapewatchError(f"{source} is this build", "Name another commit with --from, or leave it out.")
        result = rehearse((old, ROOT), known, Wishes(seconds=args.pause, keep=args.keep, plan=plan), args.back, told)
    give(result, args.out)
    return 0 if result.sound else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
