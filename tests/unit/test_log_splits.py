"""Any splitting of the log gives the same bytes: into frames, micro-batches and transactions, with transactions that
fail, snapshots taken and taken up anywhere, partitions in any order, and models and thresholds that change on the way.
"""

from dataclasses import dataclass, field
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.driver import FOREVER_NS
from streams.engine import snapshots
from streams.engine.models import ActiveModels, ModelStore
from streams.engine.task import OutputRecord, Task
from tapewatch.contract import topics
from tests.unit import engine_market as m
from tests.unit.nervous_models import nervous
from tests.unit.split_log import Log, events, log

TOPIC = "market.splits"


def fresh(partition: int, force: ActiveModels | None = None) -> Task:
    names = m.names_in(events(partition))
    driver = m.new_driver(names)
    return Task(TOPIC, partition, driver.task._registry, force or nervous(), driver.task.build)


@dataclass
class Engine:
    """What a process and the broker keep of one partition. A transaction that fails takes everything since the one
    before it; the state is then that of the newest snapshot, and the log from there to the committed offset, silently.
    """

    partition: int
    records: Log
    task: Task = field(init=False)
    committed: int = 0
    snapshot: tuple[int, bytes] | None = None
    written: list[OutputRecord] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.task = fresh(self.partition)

    @property
    def done(self) -> bool:
        return self.committed == len(self.records)

    def feed(self, until: int) -> None:
        for offset in range(self.task.next_offset, until):
            self.task.feed(offset, *self.records[offset], FOREVER_NS)

    def transaction(self, frames: int, fails: bool, keeps: bool) -> None:
        """A micro-batch and its transaction. keeps : with a snapshot"""
        self.feed(min(self.committed + frames, len(self.records)))
        if fails:
            self.recover()
            return
        self.written += self.task.take()
        self.committed = self.task.next_offset
        if keeps:
            self.snapshot = (self.committed, snapshots.dump(self.task))

    def recover(self) -> None:
        """Begin again in a new process."""
        force = nervous()
        self.task = fresh(self.partition, force)
        if self.snapshot is not None:
            snapshots.restore(self.task, self.snapshot[1], force._shelf)
        self.task.silent = True
        self.feed(self.committed)
        self.task.drain()
        self.task.silent = False


@cache
def truth(partition: int) -> dict[str, object]:
    """The whole log at once, one frame after the other, in one transaction."""
    engine = Engine(partition, log(partition))
    engine.transaction(10**6, fails=False, keeps=False)
    return m.bits(engine.written)


def test_logs_of_these_tests_bring_alerts_and_a_change_of_thresholds() -> None:
    for partition in (0, 1):
        engine = Engine(partition, log(partition))
        before = engine.task.force.config_hash
        engine.transaction(10**6, fails=False, keeps=False)
        assert engine.task.force.config_hash != before
        assert not engine.task.tally.refused["bad_control"]
        found = truth(partition)
        assert found[topics.ALERTS]
        assert found[topics.COVERAGE]
        assert len(found["refused"]) == 1  # type: ignore[arg-type]


STEPS = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.one_of(st.integers(1, 3), st.integers(4, 80)),
        st.sampled_from([False, False, False, True]),
        st.booleans(),
    ),
    max_size=25,
)
"""Partition, frames of the micro-batch, whether the transaction fails, whether it carries a snapshot."""


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(steps=STEPS)
def test_micro_batches_transactions_and_snapshots_anywhere_change_no_byte(
    steps: list[tuple[int, int, bool, bool]],
) -> None:
    engines = [Engine(partition, log(partition)) for partition in (0, 1)]
    for partition, frames, fails, keeps in steps:
        engines[partition].transaction(frames, fails, keeps)
    for engine in engines:
        while not engine.done:
            engine.transaction(10**6, fails=False, keeps=False)
        assert m.bits(engine.written) == truth(engine.partition)


@pytest.mark.slow
@settings(max_examples=10, deadline=None)
@given(cuts=st.frozensets(st.integers(0, 2000), max_size=30), steps=STEPS)
def test_frames_cut_anywhere_change_no_byte_but_the_offsets(
    cuts: frozenset[int], steps: list[tuple[int, int, bool, bool]]
) -> None:
    engine = Engine(0, log(0, cuts))
    for _, frames, fails, keeps in steps:
        engine.transaction(frames, fails, keeps)
    while not engine.done:
        engine.transaction(10**6, fails=False, keeps=False)
    found, wanted = m.bits(engine.written, with_offsets=False), truth(0)
    for kind in ("features", "scores", "bars", "sealed"):
        rows = {name: values for name, values in wanted[kind].items() if name != "offset"}  # type: ignore[attr-defined]
        assert found[kind] == rows


def test_shelf_of_a_new_process_holds_what_a_snapshot_names() -> None:
    engine = Engine(0, log(0))
    engine.transaction(200, fails=False, keeps=True)
    state = snapshots.dump(engine.task)
    engine.recover()
    assert snapshots.dump(engine.task) == state
    assert isinstance(engine.task.force._shelf, ModelStore)
