"""The recoveries that an engine has under way: worked on in short steps, put aside over a rebalance, taken up again."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from streams.driver import Driver
from streams.engine.rebuilding import RebuildQueue
from streams.engine.recovery import Progress
from streams.engine.snapshots import Pointer, Pointers
from streams.engine.task import Task
from tapewatch.clock import NANOS, ManualClock
from tapewatch.market_log.registry import FixedRegistry
from tapewatch.settings import EngineSettings
from tests.unit import engine_market as m

KEPT = Pointers((Pointer(5, 60, 2, 400, 1),), 12)


def worked(next_offset: int) -> Task:
    """A task whose clock stands in the market's first second."""
    driver = m.run([m.quote("A.SIMX", 0, 99, 101)])
    driver.task.next_offset = next_offset
    return driver.task


@dataclass
class Work:
    """A recovery that needs so many steps of so long, s. steps : for how long it was asked to work each time"""

    topic: str
    partition: int
    target: int
    pointers: Pointers
    clock: ManualClock
    needs: int = 1
    takes_s: float = 0.1
    replay_ns: int = 0
    steps: list[float] = field(default_factory=list)

    def advance(self, for_s: float) -> bool:
        self.steps.append(round(for_s, 6))
        self.clock.sleep(self.takes_s)
        return len(self.steps) >= self.needs

    def __post_init__(self) -> None:
        self.task = worked(self.target or 33)

    @property
    def progress(self) -> Progress:
        return Progress(self.topic, self.partition, 0, len(self.steps), self.target, 0.0)


class Scene:
    """Recoveries by hand. begun : all that were begun; plan : steps and seconds of those to come"""

    def __init__(self, *plan: tuple[int, float]) -> None:
        self.clock, self.recovered = ManualClock(1_000 * NANOS), 0
        self.begun: list[Work] = []
        self._plan = list(plan)
        recovery: Any = self
        settings = EngineSettings(snapshot_seconds=30.0, replay_seconds=2.0)
        self.rebuilding = RebuildQueue(settings, recovery, self, self.clock)

    def begin(self, topic: str, partition: int, committed: int, pointers: Pointers) -> Work:
        needs, takes_s = self._plan.pop(0) if self._plan else (1, 0.1)
        self.begun.append(Work(topic, partition, committed, pointers, self.clock, needs, takes_s))
        return self.begun[-1]

    def give(self, *partitions: int, committed: int = 400) -> None:
        for partition in partitions:
            self.rebuilding.begin(("market.x", partition), committed, KEPT)

    def step(self) -> list[int]:
        """The partitions that a step made whole."""
        return [partition for _, partition in self.rebuilding.step()]

    def under_way(self) -> dict[int, Any]:
        """Recoveries by partition, in the order in which they are worked on."""
        return {partition: work for (_, partition), work in self.rebuilding.under_way.items()}


def test_step_of_a_quarter_of_a_second_works_on_one_partition_after_the_other() -> None:
    scene = Scene((2, 0.1), (1, 0.1), (1, 0.1))
    scene.give(3, 1, 2)
    assert scene.step() == [3, 1]
    assert [work.steps for work in scene.begun] == [[0.25, 0.15], [0.05], []]
    assert scene.under_way() == {2: scene.begun[2]}
    assert scene.clock.now() == 1_000 * NANOS + 300_000_000
    assert scene.step() == [2] and scene.begun[2].steps == [0.25]
    assert scene.step() == [] and scene.under_way() == {}


def test_step_ends_with_its_time_even_where_nothing_is_whole() -> None:
    scene = Scene((2, 0.25), (1, 0.1))
    scene.give(0, 1)
    assert scene.step() == [] and scene.begun[0].steps == [0.25]
    assert scene.step() == [0] and scene.begun[1].steps == []
    assert scene.recovered == 1


def test_recovery_that_comes_back_after_a_rebalance_goes_on() -> None:
    scene = Scene((9, 0.25), (9, 0.25), (9, 0.25))
    scene.give(0, 1, 2)
    scene.step()
    scene.rebuilding.put_aside()
    assert scene.under_way() == {} and scene.step() == []
    scene.give(0)
    scene.give(1, committed=401)
    assert [work.target for work in scene.begun] == [400, 400, 400, 401]
    assert list(scene.under_way().items()) == [(0, scene.begun[0]), (1, scene.begun[3])]
    scene.rebuilding.drop_aside()
    scene.give(2)
    assert len(scene.begun) == 5 and scene.under_way()[2] is scene.begun[4]


def test_recovery_that_was_put_aside_comes_back_once() -> None:
    scene = Scene()
    scene.give(0)
    scene.rebuilding.put_aside()
    for _ in range(2):
        scene.give(0)
    assert len(scene.begun) == 2 and scene.under_way()[0] is scene.begun[1]


def test_recovered_partition_keeps_its_pointers_and_what_its_replay_took() -> None:
    scene = Scene()
    scene.give(4)
    scene.begun[0].replay_ns = 3 * NANOS
    (held,) = scene.rebuilding.step().values()
    assert held.pointers == KEPT and held.task.next_offset == 400
    assert scene.recovered == 1
    # 2025-06-15, the day of the task's clock.
    assert held.opened == 20_254
    # 3 s behind it where 2 s may be; 1 s where 30 s may be, by the clock.
    now = scene.clock.now()
    assert held.cadence.overdue_ns(now, 1) == NANOS
    held.cadence.behind_ns = 0
    assert held.cadence.overdue_ns(now + 31 * NANOS, 1) == NANOS


@pytest.mark.parametrize("partition", [0, 7])
def test_partition_of_which_nothing_was_committed_begins_where_its_log_does(partition: int) -> None:
    scene = Scene()
    scene.give(partition, committed=0)
    ((key, held),) = scene.rebuilding.step().items()
    assert key == ("market.x", partition)
    assert held.pointers == Pointers((), 33)
    assert scene.recovered == 0


def test_progress_is_that_of_each_recovery_under_way() -> None:
    scene = Scene((1, 0.25), (9, 0.1))
    scene.give(0, 1)
    scene.step()
    assert scene.rebuilding.progress == [Progress("market.x", 1, 0, 0, 400, 0.0)]
    scene.step()
    assert scene.rebuilding.progress == [Progress("market.x", 1, 0, 3, 400, 0.0)]


def test_task_that_saw_no_row_has_no_day() -> None:
    scene = Scene()
    scene.give(0)
    scene.begun[0].task = Driver(FixedRegistry([])).task
    (held,) = scene.rebuilding.step().values()
    assert held.opened == -1
