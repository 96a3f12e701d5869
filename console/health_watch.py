"""Looks at broker and database every few seconds and remembers half an hour of it: lags, rates, who reads."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

import sqlalchemy as sa
from confluent_kafka import KafkaException

from console.commit_tail import STEP_S, WINDOW_S, CommitTail
from console.log_ends import Ends, Group, LogEnds, is_market
from console.services import Services
from tapewatch.errors import TapewatchError
from tapewatch.messages import PaperCommit

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
