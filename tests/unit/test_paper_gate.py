"""Frames and signals reach the broker in one order, however the three topics were read."""

import itertools
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.paper.task import Gate
from tapewatch.contract.messages import Commit, Signal
from tapewatch.contract.rows import Rows
from tests.unit.paper_market import TOPIC, Log, random_log, signal

LOG = random_log(11, 8)


def commit(first: int, end: int, signals: int) -> Commit:
    """What the engine says of a transaction."""
    return Commit(
        topic=TOPIC, partition=0, first_offset=first, next_offset=end, frames=end - first, rows={}, refused={},
        signals=signals,
    )  # fmt: skip


def commits_of(log: Log, chance: random.Random) -> list[Commit]:
    """Transactions over the log, cut anywhere."""
    found: list[Commit] = []
    first = 0
    while first < len(log.frames):
        end = min(len(log.frames), first + chance.randint(1, 5))
        signals = sum(len(each) for each in log.signals[first:end])
        found.append(commit(first, end, signals))
        first = end
    return found


def released(log: Log, chance: random.Random, gate: Gate[Rows]) -> list[tuple[int, list[Signal]]]:
    """What the gate lets through when the topics are read in turns drawn by chance."""
    frames = list(enumerate(log.frames))
    signals = [each for part in log.signals for each in part]
    commits = commits_of(log, chance)
    found: list[tuple[int, list[Signal]]] = []
    seen = 0
    while frames or signals or commits:
        topic: Any = chance.choice([each for each in (frames, signals, commits) if each])
        if topic is frames:
            gate.frame(*frames.pop(0))
            seen += 1
        elif topic is signals:
            gate.signal(signals.pop(0))
        else:
            gate.commit(commits.pop(0))
        found += [(offset, caused) for offset, _, caused in gate.released(seen)]
    return found


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10**9))
def test_the_order_does_not_depend_on_how_the_topics_were_read(seed: int) -> None:
    assert released(LOG, random.Random(seed), Gate()) == list(enumerate(LOG.signals))


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**9), st.integers(0, 24))
def test_a_restart_after_a_transaction_hears_only_what_it_had_not_heard(seed: int, which: int) -> None:
    commits = commits_of(LOG, random.Random(seed))
    begin = commits[which % len(commits)].first_offset
    gate: Gate[Rows] = Gate(begin)
    for offset, rows in enumerate(LOG.frames):
        gate.frame(offset, rows)
    for part in LOG.signals:
        for said in part:
            gate.signal(said)
    for each in commits:
        gate.commit(each)
    heard = [(offset, caused) for offset, _, caused in gate.released(len(LOG.frames))]
    assert heard == list(enumerate(LOG.signals))[begin:]


def test_a_frame_waits_for_the_signals_of_its_transaction() -> None:
    gate: Gate[Rows] = Gate()
    gate.frame(0, LOG.frames[0])
    gate.commit(commit(0, 1, 1))
    assert list(gate.released(1)) == []
    gate.signal(signal("buy", 0, 0))
    assert [(offset, len(caused)) for offset, _, caused in gate.released(1)] == [(0, 1)]


def test_frames_that_go_back_are_an_error() -> None:
    gate: Gate[Rows] = Gate()
    gate.frame(3, LOG.frames[0])
    with pytest.raises(ValueError, match="after 3"):
        gate.frame(3, LOG.frames[0])


def test_signals_of_several_partitions_are_put_in_one_order() -> None:
    said = [signal("buy", 1, 0, "B.SIMX"), signal("sell", 1, 0, "A.SIMX"), signal("buy", 0, 0, "B.SIMX")]
    for order in itertools.permutations(said):
        gate: Gate[Rows] = Gate()
        gate.frame(0, LOG.frames[0])
        gate.commit(commit(0, 1, 3))
        for each in order:
            gate.signal(each)
        assert [caused for _, _, caused in gate.released(1)] == [said[::-1]]


def test_signals_from_before_a_transaction_do_not_count_for_it() -> None:
    gate: Gate[Rows] = Gate()
    gate.frame(5, LOG.frames[0])
    gate.signal(signal("buy", 0, 2))
    gate.commit(commit(5, 6, 1))
    assert list(gate.released(6)) == []
