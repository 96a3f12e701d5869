"""Health: lags, rates, refusals, transactions, coverage, dead letters, consumers; each with what it means.

Looks at broker and database every few seconds and remembers half an hour of it: lags, rates, who reads.
"""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from typing import NamedTuple

import msgspec
import sqlalchemy as sa
from confluent_kafka import KafkaException

from console.commit_tail import STEP_S, WINDOW_S, CommitTail, Ends, Group, LogEnds, Work, is_market
from console.health_checks import SILENT_S, CanarySnapshot, Check, HealthSnapshot, judged
from console.recent import Ms
from console.routing import Call, Route
from console.services import Services
from tapewatch.clock import NANOS
from tapewatch.contract.canaries import figures, silent_s, since
from tapewatch.contract.messages import PaperCommit
from tapewatch.errors import TapewatchError
from tapewatch.rfc3339 import from_rfc3339

EVERY_S = 5.0
SLOWLY = 3
"""Consumer groups are asked for every third time."""

Log = tuple[str, int]


class Sample(NamedTuple):
    """Market records that engine, paper broker and PostgreSQL sink have not worked on yet, at a time (UTC ms).

    Other topics are left out: their transactions' markers take offsets that no reader ever passes.
    """

    at_ms: int
    engine: int
    paper: int
    sink: int


class HealthWatch:
    """What was seen last. kafka_problem, database_problem : why nothing newer is known; empty where all is well."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._looker: LogEnds | None = None
        self._rounds = 0
        self.tail = CommitTail(services.settings)
        self.samples: deque[Sample] = deque(maxlen=int(WINDOW_S / EVERY_S))
        self.ends = Ends({}, {})
        self.dead_before: deque[tuple[int, int]] = deque(maxlen=int(WINDOW_S / EVERY_S))
        self.groups: list[Group] = []
        self.sink_offsets: dict[Log, int] = {}
        self.kafka_problem = self.database_problem = ""

    async def run(self) -> None:
        """Look again and again."""
        while True:
            await self._database()
            try:
                await asyncio.to_thread(self._kafka, self.now_ms())
                self.kafka_problem = ""
            except (KafkaException, TapewatchError) as error:
                self.kafka_problem = " ".join(str(error).split())[:300]
            await asyncio.sleep(EVERY_S)

    def now_ms(self) -> int:
        """UTC milliseconds."""
        return self._services.clock.now() // 1_000_000

    async def _database(self) -> None:
        try:
            rows = await self._services.database.rows("SELECT topic, partition, next_offset FROM sink_offsets")
            self.sink_offsets = {(topic, partition): int(offset) for topic, partition, offset in rows}
            self.database_problem = ""
        except (sa.exc.SQLAlchemyError, TapewatchError) as error:
            self.database_problem = " ".join(str(error).split())[:300]

    def _kafka(self, now_ms: int) -> None:
        self.tail.read(now_ms)
        looker = self._looker = self._looker or LogEnds(self._services.settings)
        self.ends = looker.look()
        if self._rounds % SLOWLY == 0:
            self.groups = looker.groups(self.ends.ends)
        self._rounds += 1
        self.dead_before.append((now_ms, sum(self.ends.dead.values())))
        engine = {log: newest.commit.next_offset for log, newest in self.tail.engine.items()}
        paper = {log: commit.next_offset for log, commit in self.tail.paper_commits.items()}
        market = {log: end for log, end in self.ends.ends.items() if is_market(log[0])}
        lags = (
            behind(market, engine),
            behind(market, paper) if paper else 0,
            behind(market, self.sink_offsets),
        )
        self.samples.append(Sample(now_ms, *lags))

    def paper(self) -> Sequence[PaperCommit]:
        """The paper broker's newest commit of each partition."""
        return self.tail.paper()

    def rates(self) -> tuple[list[int], list[int]]:
        """Steps of the last half hour that are over: their numbers, and their ends in UTC ms."""
        now = self.now_ms() // 1000 // STEP_S
        known = [step for step in sorted(dict(self.tail.steps)) if step < now]
        steps = list(range(known[0], now)) if known else []
        return steps, [(step + 1) * STEP_S * 1000 for step in steps]


def behind(ends: dict[Log, int], positions: dict[Log, int]) -> int:
    """Records between positions and ends, over the partitions that have a position."""
    return sum(max(ends.get(log, position) - position, 0) for log, position in positions.items())


@asynccontextmanager
async def watching(services: Services) -> AsyncIterator[HealthWatch]:
    """The watch, at work."""
    watch = HealthWatch(services)
    work = asyncio.create_task(watch.run(), name="health watch")
    try:
        yield watch
    finally:
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work
        await asyncio.to_thread(watch.tail.close)


FIVE_MINUTES_S = 300
LAST_CANARIES = 12
UNJUDGED_NS = 30 * NANOS
"""So long after it was due a canary has to be judged."""


class Partition(msgspec.Struct, frozen=True):
    """A partition of a feed. end : next offset of its log; engine_lag, sink_lag : records behind, null where unknown

    clock : of the partition after the engine's newest transaction; at : when that was written
    """

    topic: str
    partition: int
    end: int
    engine_lag: int | None
    sink_lag: int | None
    clock: str | None
    at: Ms | None


class Rates(msgspec.Struct, frozen=True):
    """A second, over steps of ten. at : ends of the steps"""

    at: list[Ms]
    rows: list[float]
    refused: list[float]
    transactions: list[float]
    scores: list[float]
    alerts: list[float]


class Lags(msgspec.Struct, frozen=True):
    """Records not worked on yet, over time."""

    at: list[Ms]
    engine: list[int]
    paper: list[int]
    sink: list[int]


class Consumers(msgspec.Struct, frozen=True):
    """A consumer group. lag : records behind its committed offsets, null where it commits none"""

    name: str
    state: str
    members: int
    lag: int | None


class Letters(msgspec.Struct, frozen=True):
    """Records that could not be used. topic : where they lie; reason : as the sink noted it, empty for a whole topic"""

    topic: str
    reason: str
    count: int


class StageSeconds(msgspec.Struct, frozen=True):
    """Seconds from an alert's decision until it could be read."""

    median: float
    most: float


class CanarySummary(msgspec.Struct, frozen=True):
    """How canaries of a scenario and stretch fared. hours : of the stretch; stages : seconds from decision to readable

    recall : found in time, of those judged; decision_s : median from the first injected row, market time
    """

    scenario: str
    hours: int
    injected: int
    found: int
    late: int
    missed: int
    recall: float | None
    decision_s: float | None
    stages: dict[str, StageSeconds]


class LastCanary(msgspec.Struct, frozen=True):
    """One of the newest canaries. alert : that found it, empty where none did; at : when it began"""

    id: str
    at: Ms
    scenario: str
    instrument: str
    partition: int
    state: str
    alert: str
    decision_s: float | None
    stages: dict[str, float | None]


class Health(msgspec.Struct, frozen=True):
    """Everything. refusals : rows of half an hour; coverage : instrument-seconds not watched in a day; by reason"""

    at: Ms
    checks: list[Check]
    partitions: list[Partition]
    rates: Rates
    lags: Lags
    refusals: dict[str, int]
    coverage: dict[str, int]
    consumers: list[Consumers]
    dead_letters: list[Letters]
    canaries: list[CanarySummary] = []
    last_canaries: list[LastCanary] = []


_COVERAGE = """
SELECT reason, sum(seconds) FROM coverage
WHERE start_ns > (SELECT coalesce(max(clock_s), 0) - 86400 FROM sink_offsets) * 1000000000 GROUP BY reason ORDER BY 1
"""
_DEAD = "SELECT topic, reason, count(*) FROM dead_letters GROUP BY topic, reason ORDER BY 3 DESC LIMIT 100"


async def health(call: Call) -> Health:
    """What is seen now, and how it was over the last half hour."""
    watch: HealthWatch = call.services.parts["commits"]
    coverage: dict[str, int] = {}
    noted: list[Letters] = []
    if not watch.database_problem:
        rows = await call.services.database.rows(_COVERAGE)
        coverage = {reason: int(seconds) for reason, seconds in rows}
        noted = [Letters(*row) for row in await call.services.database.rows(_DEAD)]
    dead = [Letters(topic, "", count) for topic, count in sorted(watch.ends.dead.items()) if count]
    refusals: Counter[str] = Counter()
    for work in list(watch.tail.steps.values()):
        refusals.update(work.refused)
    samples = list(watch.samples)
    return Health(
        watch.now_ms(), judged(_seen(watch, coverage)), _partitions(watch), _rates(watch), _lags(samples),
        dict(refusals.most_common()), coverage, [Consumers(*group) for group in watch.groups], [*dead, *noted],
        _canaries(watch), _last(watch),
    )  # fmt: skip


def _canaries(watch: HealthWatch) -> list[CanarySummary]:
    """By scenario, over the last hour and the last day."""
    known = list(watch.tail.canaries.values())
    found = []
    for scenario in sorted({each.scenario for each in known}):
        for hours in (1, 24):
            begin = watch.now_ms() * 1_000_000 - hours * 3600 * NANOS
            made = figures(since([each for each in known if each.scenario == scenario], begin))
            if made.injected:
                stages = {stage: StageSeconds(*seconds) for stage, seconds in made.stages.items()}
                counts = (made.injected, made.found, made.late, made.missed)
                found.append(CanarySummary(scenario, hours, *counts, made.recall, made.decision_s, stages))
    return found


def _last(watch: HealthWatch) -> list[LastCanary]:
    """The newest ones first."""
    newest = sorted(watch.tail.canaries.values(), key=lambda each: each.start, reverse=True)[:LAST_CANARIES]
    return [
        LastCanary(
            each.id, from_rfc3339(each.start) // 1_000_000, each.scenario, each.instrument, each.partition, each.state,
            each.alert, each.decision_s, dict(each.stages.items()),
        )
        for each in newest
    ]  # fmt: skip


def _canaries_seen(watch: HealthWatch) -> CanarySnapshot | None:
    """What the check of the canaries rests on; None where there were none in a day."""
    known = sorted(watch.tail.canaries.values(), key=lambda each: each.start)
    if not known:
        return None
    now_ns = watch.now_ms() * 1_000_000
    made = figures(since(known, now_ns - 3600 * NANOS))
    judged_ones = [each for each in known if each.state != "injected"]
    newest = judged_ones[-1] if judged_ones else None
    unjudged = [each for each in known if each.state == "injected" and from_rfc3339(each.due) < now_ns - UNJUDGED_NS]
    return CanarySnapshot(
        made.found, made.found + made.late + made.missed,
        newest.in_a_row if newest is not None and newest.state in ("missed", "late") else 0,
        newest.absent if newest is not None and newest.state == "found" else (),
        silent_s(known[-1], now_ns), len(unjudged),
    )  # fmt: skip


def _partitions(watch: HealthWatch) -> list[Partition]:
    found = []
    for log, end in sorted(watch.ends.ends.items()):
        if not is_market(log[0]) or not end:
            continue
        newest, kept = watch.tail.engine.get(log), watch.sink_offsets.get(log)
        found.append(
            Partition(
                *log, end, None if newest is None else max(end - newest.commit.next_offset, 0),
                None if kept is None else max(end - kept, 0), newest.commit.clock if newest else None,
                newest.at_ms if newest else None,
            )
        )  # fmt: skip
    return found


def _rates(watch: HealthWatch) -> Rates:
    steps, at = watch.rates()
    works = [watch.tail.steps.get(step, Work()) for step in steps]
    return Rates(
        at, [work.rows / STEP_S for work in works], [work.refused.total() / STEP_S for work in works],
        [work.transactions / STEP_S for work in works], [work.scores / STEP_S for work in works],
        [work.alerts / STEP_S for work in works],
    )  # fmt: skip


def _lags(samples: list[Sample]) -> Lags:
    columns = list(zip(*samples, strict=True)) or [()] * 4
    return Lags(*(list(column) for column in columns))


def _seen(watch: HealthWatch, coverage: dict[str, int]) -> HealthSnapshot:
    """What the checks rest on."""
    now, tail = watch.now_ms(), watch.tail
    recent = [work for step, work in list(tail.steps.items()) if step * STEP_S > now / 1000 - FIVE_MINUTES_S]
    engine = {log: newest.commit.next_offset for log, newest in tail.engine.items()}
    commits = watch.paper()
    positions = {
        "engine": engine,
        "paper broker": {(each.topic, each.partition): each.next_offset for each in commits},
        "sink": watch.sink_offsets,
    }
    ends = {log: end for log, end in watch.ends.ends.items() if is_market(log[0])}
    silent: dict[str, float] = {}
    for (topic, _), newest in tail.engine.items():
        age = (now - newest.at_ms) / 1000
        if age > SILENT_S:
            silent[topic] = max(silent.get(topic, 0.0), age)
    running = {commit.running for commit in commits}
    letters = list(watch.dead_before)
    return HealthSnapshot(
        watch.kafka_problem, watch.database_problem,
        {name: behind(ends, found) for name, found in positions.items() if found}, _moved(watch), silent, len(engine),
        sum(work.refused.total() for work in recent), sum(work.rows for work in recent),
        sum(watch.ends.dead.values()), letters[-1][1] - letters[0][1] if letters else 0, sum(coverage.values()),
        "kill" if "kill" in running else "", tuple(each.name for each in watch.groups if each.lag and not each.members),
        _canaries_seen(watch),
    )  # fmt: skip


def _moved(watch: HealthWatch) -> dict[str, float | None]:
    """Seconds since a reader's lag was nought or fell: it works."""
    samples = list(watch.samples)
    found: dict[str, float | None] = {}
    for name, place in (("engine", 1), ("paper broker", 2), ("sink", 3)):
        found[name] = None
        for before, after in pairwise(samples):
            if after[place] == 0 or after[place] < before[place]:
                found[name] = (samples[-1].at_ms - after.at_ms) / 1000
        if len(samples) * 5 < 2 * SILENT_S and found[name] is None:
            found[name] = 0.0
    return found


PARTS = {"commits": watching}
ROUTES = [Route("GET", "/api/v1/health", health, "Lags, rates, refusals, consumers", page="health", answer=Health)]
