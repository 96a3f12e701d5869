"""The fault kit's schedule: the same from the same seed, every kind, and nothing together that breaks the promise."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.chaos.faults import KINDS
from infra.chaos.faults.kind import OUTPUT, Fault
from infra.chaos.schedule import HEAD_S, TAIL_S, schedule

TARGETS = {
    "engine": ["engine-1", "engine-2"],
    "producer": ["producer"],
    "sink": ["sink-postgres", "elasticsearch-sink", "notify"],
    "stage": ["cases", "evidence", "paper"],
}
seeds = st.integers(0, 2**63)
lengths = st.floats(0, 3600)
rates = st.floats(0, 60)


def drawn(seed: int, seconds: float, per_minute: float) -> tuple[Fault, ...]:
    return schedule(seed, seconds, per_minute, TARGETS)


@given(seeds, lengths, rates)
def test_the_same_seed_gives_the_same_faults(seed: int, seconds: float, per_minute: float) -> None:
    assert drawn(seed, seconds, per_minute) == drawn(seed, seconds, per_minute)


@given(seeds, lengths, rates)
def test_head_and_tail_are_quiet_and_no_more_faults_come_than_wanted(
    seed: int, seconds: float, per_minute: float
) -> None:
    faults = drawn(seed, seconds, per_minute)
    assert len(faults) <= round(per_minute * max(0.0, seconds - HEAD_S - TAIL_S) / 60)
    assert list(faults) == sorted(faults, key=lambda fault: (fault.at_s, fault.kind))
    for fault in faults:
        assert fault.at_s >= HEAD_S
        assert fault.at_s + fault.length_s <= seconds - TAIL_S + 0.01


@given(seeds, lengths, rates)
def test_a_lane_has_settled_before_its_next_fault(seed: int, seconds: float, per_minute: float) -> None:
    lanes: dict[str, list[Fault]] = {}
    for fault in drawn(seed, seconds, per_minute):
        lanes.setdefault(KINDS[fault.kind].lane, []).append(fault)
    for faults in lanes.values():
        for one, other in pairwise(faults):
            assert one.at_s + one.length_s + KINDS[one.kind].settle_s <= other.at_s + 0.01


@given(seeds, st.floats(900, 3600), st.floats(8, 60))
def test_every_kind_comes_where_there_is_room_and_every_target_of_it_in_turn(
    seed: int, seconds: float, per_minute: float
) -> None:
    faults = drawn(seed, seconds, per_minute)
    assert {fault.kind for fault in faults} == set(KINDS)
    for name, kind in KINDS.items():
        hit = [fault.target for fault in faults if fault.kind == name]
        names = TARGETS.get(kind.of, [""])
        assert len(set(hit[: len(names)])) == min(len(hit), len(names))


@given(seeds, st.floats(0, 3600), rates)
def test_no_kind_comes_twice_more_than_another_of_its_lane(seed: int, seconds: float, per_minute: float) -> None:
    faults = drawn(seed, seconds, per_minute)
    for lane in {kind.lane for kind in KINDS.values()}:
        kinds = [kind for kind in KINDS.values() if kind.lane == lane]
        counts = [sum(fault.kind == kind.name for fault in faults) for kind in kinds]
        taken = sum(KINDS[fault.kind].room_s for fault in faults if KINDS[fault.kind].lane == lane)
        widest = max(kind.room_s for kind in kinds)
        if seconds - HEAD_S - TAIL_S - taken > widest:  # else the lane was full, and only short ones still fitted
            assert max(counts) - min(counts) <= 1


def test_other_seeds_give_other_faults() -> None:
    assert len({drawn(seed, 1800, 5) for seed in range(20)}) == 20


def test_half_an_hour_has_more_than_a_hundred_faults_of_every_kind() -> None:
    faults = drawn(1, 1800, 5)
    assert len(faults) >= 140
    assert {fault.kind for fault in faults} == set(KINDS)


def test_two_minutes_have_faults_of_at_least_ten_kinds() -> None:
    assert len({fault.kind for fault in drawn(1, 120, 12)}) >= 10


def test_brokers_engines_and_the_producer_share_one_lane_so_that_never_two_of_them_are_away() -> None:
    away = {"kill_broker_leader", "freeze_broker_leader", "restart_broker", "kill_controller", "lose_broker"}
    away |= {"part_from_broker", "kill_engine", "freeze_engine", "rebalance", "kill_producer", "freeze_producer"}
    away |= {"expire_offsets", "fill_broker_disk", "refuse_at_control"}
    assert {KINDS[name].lane for name in away} == {OUTPUT}


def test_a_kind_without_a_target_is_left_out() -> None:
    faults = schedule(1, 1800, 10, {"engine": ["engine-1"]})
    assert "kill_engine" in {fault.kind for fault in faults}
    assert not {"kill_sink", "slow_sink", "kill_stage", "kill_producer"} & {fault.kind for fault in faults}


def test_single_kinds_can_be_asked_for() -> None:
    faults = schedule(1, 300, 4, TARGETS, [KINDS["kill_engine"]])
    assert {fault.kind for fault in faults} == {"kill_engine"}


@pytest.mark.parametrize("name", sorted(KINDS))
def test_every_kind_says_what_it_does_and_has_a_length_that_makes_sense(name: str) -> None:
    kind = KINDS[name]
    assert kind.sentence
    assert 0 <= kind.shortest_s <= kind.longest_s
    assert kind.settle_s > 0
