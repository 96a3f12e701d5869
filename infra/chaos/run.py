"""The run: start, warm up, faults at their times, drain, verify, report."""

import shutil
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from infra.chaos import server
from infra.chaos.faults import KINDS, Outcome, inject
from infra.chaos.faults.kind import ELASTICSEARCH, POSTGRES, SINKS, Fault, Kind
from infra.chaos.levels import Levels
from infra.chaos.schedule import schedule
from infra.chaos.site import Plan, Site, end_all
from infra.chaos.stall import Gap, Meter, Span, longest, worst, worst_by_kind
from infra.chaos.verdict import FaultSummary, Machine, Result, Verdict, judge, where
from tapewatch.clock import NANOS, WALL
from tapewatch.errors import TapewatchError
from tapewatch.rfc3339 import from_rfc3339

WARM_S = 10.0
WARM_UP_S = 900.0
PRODUCER_ENDS_S = 60.0
DRAIN_S = 900.0
REST_S = 30.0
PROGRESS_S = 5.0
LATE_S = 1.0
HEALED_S = 60.0
"""How long a fault may take to be taken back after the run's end."""


class Wishes(msgspec.Struct, frozen=True):
    """What is asked for. seconds : of faults; per_minute : faults; kinds : names, empty for all that are possible
    keep : leave the folder; plan : of the site
    """

    seconds: float = 120.0
    per_minute: float = 4.0
    kinds: tuple[str, ...] = ()
    keep: bool = False
    plan: Plan = Plan()


@dataclass(slots=True)
class InjectedFault:
    """What came of one fault. late_s : how far its beginning lay behind its time"""

    outcome: Outcome
    late_s: float


class Course:
    """One run over a site that is up. problems : what did not do its part"""

    def __init__(self, site: Site, wishes: Wishes, say: Callable[[str], None]) -> None:
        self._site, self._wishes, self._say = site, wishes, say
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._injected: list[InjectedFault] = []
        self._open: Counter[str] = Counter()
        self.problems: list[str] = []
        self.peak_mib: dict[str, int] = {}

    def warm_up(self, meter: Meter) -> None:
        """Until every partition gives output, and a little longer. TapewatchError where none comes."""
        self._say("warming up")
        deadline = WALL.elapsed() + int(WARM_UP_S * NANOS)
        while not meter.runs:
            if WALL.elapsed() > deadline:
                failures = "; ".join(self._site.failures())[:600] or "all processes run"
                raise TapewatchError(f"no engine commits anything: {failures}", f"See {self._site.logs}.")
            WALL.sleep(0.2)
        with closing(Levels(self._site.settings, self._site.topic, self._site.processes)) as levels:
            while not levels.stores_begun and WALL.elapsed() < deadline:
                WALL.sleep(0.5)
        self._site.compare()
        WALL.sleep(WARM_S)
        meter.begin()

    def inject_all(self, faults: tuple[Fault, ...], meter: Meter) -> None:
        """Every fault at its time, whatever became of the ones before; returns when the run's time is over."""
        begun = WALL.elapsed()
        end = begun + int(self._wishes.seconds * NANOS)
        threads: list[threading.Thread] = []
        left = list(faults)
        told = 0
        while (now := WALL.elapsed()) < end:
            while left and begun + int(left[0].at_s * NANOS) <= now:
                fault = left.pop(0)
                thread = threading.Thread(target=self._one, args=(fault, begun), name=fault.kind, daemon=True)
                thread.start()
                threads.append(thread)
            if now - told > PROGRESS_S * NANOS:
                told = now
                self._progress((now - begun) / NANOS, len(faults), meter)
                self._note_peaks()
            WALL.sleep(0.05)
        self._ended.set()
        deadline = WALL.elapsed() + int(HEALED_S * NANOS)
        for thread in threads:
            thread.join(max(0.1, (deadline - WALL.elapsed()) / NANOS))
            if thread.is_alive():
                self.problems.append(f"a fault was not taken back: {thread.name}")

    def drain(self) -> float:
        """Take faults back, let the producer end, wait until every reader is level; seconds that took."""
        self._site.calm()
        self._say("draining: the producer ends, every reader comes to the end of what was written")
        begun = WALL.elapsed()
        producer = self._site.processes["producer"]
        producer.hold()
        producer.ask()
        deadline = begun + int(PRODUCER_ENDS_S * NANOS)
        while producer.pid and WALL.elapsed() < deadline:
            WALL.sleep(0.1)
        if producer.pid:
            self.problems.append("the producer did not end when it was asked to")
            producer.kill()
        levels = Levels(self._site.settings, self._site.topic, self._site.processes)
        try:
            self._await_level(levels, begun)
        finally:
            levels.close()
        self._note_peaks()
        return round((WALL.elapsed() - begun) / NANOS, 1)

    def rest(self) -> None:
        """End every process of ours: the verifiers get the machine."""
        end_all([kept for kept in self._site.processes.values() if kept.kind not in _SERVERS], REST_S)

    def result(self, verdict: Verdict, gaps: list[Gap], drained_s: float, machine: Machine) -> Result:
        """Everything together."""
        done = [each for each in self._injected if not each.outcome.problem]
        spans = [
            Span(
                each.outcome.fault.kind,
                each.outcome.began_ns,
                each.outcome.ended_ns,
                KINDS[each.outcome.fault.kind].lane not in _OF_READERS,
            )
            for each in done
        ]
        times = Counter(span.kind for span in spans)
        stalls, stall = worst_by_kind(gaps, spans), worst(gaps, spans)
        broken = [f"{each.outcome.fault.kind}: {each.outcome.broken}" for each in self._injected if each.outcome.broken]
        problems = [*self.problems, *broken, *verdict.problems]
        bad = verdict.lost or verdict.duplicated or verdict.different or problems or not verdict.rows_in
        return Result(
            minutes=round(self._wishes.seconds / 60, 2),
            seed=self._wishes.plan.seed,
            rows_in=verdict.rows_in,
            faults=dict(sorted(times.items())),
            lost=verdict.lost,
            duplicated=verdict.duplicated,
            different=verdict.different,
            late=verdict.late,
            longest_stall_s=stall.longest_s,
            beyond_faults_s=stall.beyond_s,
            by_fault=[
                FaultSummary(
                    kind,
                    times[kind],
                    _within(verdict, spans, kind, "lost"),
                    _within(verdict, spans, kind, "duplicated"),
                    stalls[kind].longest_s,
                    stalls[kind].beyond_s,
                )
                for kind in sorted(times)
            ],
            sound=not bad,
            problems=problems,
            faults_in_all=len(done),
            not_injected=[
                f"{each.outcome.fault.kind}: {each.outcome.problem}" for each in self._injected if each.outcome.problem
            ],
            injected_late_s=round(max((each.late_s for each in self._injected), default=0.0), 2),
            drained_s=drained_s,
            rows_per_s=round(verdict.rows_in / max(self._wishes.seconds, 1.0), 1),
            webhooks=verdict.webhooks,
            verified=verdict.by_verifier,
            ended_by_themselves={k.name: len(k.failures) for k in self._site.processes.values() if k.failures},
            restarts={k.name: k.restarts for k in self._site.processes.values() if k.restarts},
            where=machine,
            counted_again=verdict.counted_again,
            peak_mib=dict(sorted(self.peak_mib.items())),
        )

    def _note_peaks(self) -> None:
        """The most memory that a process of each kind has had, as the kernel counts it."""
        for kept in self._site.processes.values():
            if pid := kept.pid:
                self.peak_mib[kept.kind] = max(
                    self.peak_mib.get(kept.kind, 0), server.resident_bytes(pid, "VmHWM") >> 20
                )

    def _one(self, fault: Fault, begun: int) -> None:
        late = (WALL.elapsed() - begun) / NANOS - fault.at_s
        with self._lock:
            self._open[fault.kind] += 1
        outcome = inject(self._site, fault, lambda seconds: not self._ended.wait(seconds))
        with self._lock:
            self._open[fault.kind] -= 1
            self._injected.append(InjectedFault(outcome, late))
        said = outcome.problem or outcome.broken or outcome.target
        self._say(f"{fault.at_s:7.1f} s  {fault.kind}: {said}{f', {late:.1f} s late' if late > LATE_S else ''}")

    def _progress(self, seconds: float, planned: int, meter: Meter) -> None:
        opened = ", ".join(sorted((+self._open).keys())) or "none"
        done = sum(not each.outcome.problem for each in self._injected)
        self._say(
            f"{seconds:7.1f} s  {meter.rows:,} rows through  {done} of {planned} faults done, open: {opened}; "
            f"longest stall {longest(meter.gaps):.1f} s"
        )

    def _await_level(self, levels: Levels, begun: int) -> None:
        """Until nobody has anything left, twice running: the last outputs make work themselves."""
        deadline, calm, told = begun + int(DRAIN_S * NANOS), 0, WALL.elapsed()
        while calm < 2:
            behind = levels.behind()
            calm = 0 if behind else calm + 1
            now = WALL.elapsed()
            if now > deadline:
                left = ", ".join(
                    f"{name} {count if count >= 0 else 'does not answer'}" for name, count in behind.items()
                )
                self.problems.append(f"not level after {DRAIN_S:.0f} s: {left}")
                return
            if now - told > PROGRESS_S * NANOS and behind:
                told = now
                self._say(f"behind: {behind}")
            WALL.sleep(1.0)


_OF_READERS = (SINKS, POSTGRES, ELASTICSEARCH)
_SERVERS = ("broker", "postgres", "elasticsearch", "receiver")


def run_chaos(wishes: Wishes, say: Callable[[str], None]) -> Result:
    """Do all of it. TapewatchError where the site does not come up; call it before any thread is started."""
    chosen = _kinds(wishes)
    machine, no_mounts = where(), server.own_mounts()
    with own_folder(wishes.keep, say) as folder:
        site = Site(folder, wishes.plan, no_mounts)
        try:
            site.start(say)
            if site.no_tmpfs:
                say(f"PostgreSQL lies on an ordinary folder: {site.no_tmpfs}")
            course = Course(site, wishes, say)
            meter = Meter(site.settings, wishes.plan.partitions)
            course.warm_up(meter)
            targets = {kept.kind: [each.name for each in site.of(kept.kind)] for kept in site.processes.values()}
            faults = schedule(wishes.plan.seed, wishes.seconds, wishes.per_minute, targets, chosen)
            course.inject_all(faults, meter)
            gaps = meter.close()
            drained_s = course.drain()
            course.rest()
            result = course.result(judge(site, say), gaps, drained_s, machine)
            if not result.sound and not wishes.keep:
                say(f"the logs, and what the verifiers found, are in {_kept_logs(site)}")
            return result
        finally:
            site.stop()


def _kinds(wishes: Wishes) -> list[Kind]:
    """The kinds asked for that this site has servers for. TapewatchError names one that there is not."""
    unknown = set(wishes.kinds) - KINDS.keys()
    if unknown:
        raise TapewatchError(f"no fault is called {', '.join(sorted(unknown))}", "See `tapewatch chaos --list`.")
    possible = [kind for kind in KINDS.values() if kind.lane not in wishes.plan.without]
    return [kind for kind in possible if not wishes.kinds or kind.name in wishes.kinds]


@contextmanager
def own_folder(keep: bool, say: Callable[[str], None]) -> Iterator[Path]:
    """An empty folder for a run, gone at its end unless it is to be kept."""
    folder = Path(tempfile.mkdtemp(prefix="tapewatch-chaos-"))
    try:
        yield folder
    finally:
        if keep:
            say(f"logs, the producer's record and Kafka's logs are in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _kept_logs(site: Site) -> Path:
    """A copy of a site's logs, which outlives it."""
    kept = Path(tempfile.mkdtemp(prefix="tapewatch-chaos-logs-"))
    shutil.copytree(site.logs, kept, dirs_exist_ok=True)
    return kept


def _within(verdict: Verdict, spans: list[Span], kind: str, what: str) -> int:
    """Differences of a kind whose second lies in a fault of this kind."""
    found = 0
    for difference in verdict.differences:
        if difference.kind == what and difference.second:
            at = from_rfc3339(difference.second)
            found += any(span.kind == kind and span.touches(Gap(0, at, at)) for span in spans)
    return found


def told(text: str) -> None:
    """A line on standard error."""
    print(text, file=sys.stderr, flush=True)
