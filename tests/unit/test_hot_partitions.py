"""The hot-partition report: what makes a partition hot, and what is advised."""

from tapewatch.contract.partitioner import partition_for
from tapewatch.market_log.hot_partitions import (
    CANDIDATES,
    HotInstrument,
    PartitionLoad,
    RepartitionEstimate,
    advice,
    skew_with,
)

NAMES = [f"S{number:03d}.SIMX" for number in range(200)]


def load(partition: int, rows: float, behind: int = 0, instance: str = "e1") -> PartitionLoad:
    return PartitionLoad(partition, rows, rows * 90, 0.0, 10, None, None, behind, instance)


def hot(share: float) -> list[HotInstrument]:
    return [HotInstrument("S000.SIMX", 0, 10.0, share)]


def others(partitions: int, skew: float) -> list[RepartitionEstimate]:
    return [RepartitionEstimate(partitions * times, skew) for times in CANDIDATES]


def test_equal_instruments_make_a_skew_near_one_and_one_loud_one_fills_its_partition() -> None:
    even = skew_with(dict.fromkeys(NAMES, 10), 4)
    assert 1.0 <= even < 1.3
    loud = dict.fromkeys(NAMES, 10) | {NAMES[0]: 100_000}
    assert skew_with(loud, 4) > 3.8


def test_the_heaviest_partition_is_that_of_the_loud_instrument() -> None:
    rows = dict.fromkeys(NAMES, 1) | {NAMES[7]: 500}
    own = sum(number for name, number in rows.items() if partition_for(name, 8) == partition_for(NAMES[7], 8))
    assert skew_with(rows, 8) == own * 8 / sum(rows.values())


def test_one_instrument_that_is_too_much_is_not_answered_by_more_partitions() -> None:
    said = advice("a", [load(0, 900.0), load(1, 100.0)], hot(0.85), 1.8, others(2, 1.1))
    assert len(said) == 1
    assert "no number of partitions splits one instrument" in said[0]
    assert "rescale" not in said[0]


def test_an_uneven_feed_of_small_instruments_is_told_the_smallest_number_that_helps() -> None:
    said = advice("a", [load(0, 900.0), load(1, 100.0)], hot(0.05), 1.8, others(2, 1.1))
    assert "tapewatch rescale a --partitions 4" in said[0]


def test_an_engine_that_is_behind_gets_processes_first_and_partitions_when_each_has_one() -> None:
    behind = [load(0, 500.0, 90_000), load(1, 500.0, 90_000)]
    assert "start more processes, up to 2" in advice("a", behind, hot(0.05), 1.0, others(2, 1.0))[0]
    own = [load(0, 500.0, 90_000, "e1"), load(1, 500.0, 90_000, "e2")]
    assert "tapewatch rescale a --partitions 4" in advice("a", own, hot(0.05), 1.0, others(2, 1.0))[0]


def test_an_even_feed_whose_engine_keeps_up_needs_nothing() -> None:
    said = advice("a", [load(0, 500.0), load(1, 510.0)], hot(0.05), 1.01, others(2, 1.0))
    assert said == ["the partitions are even (1.01 times the mean at most), the engine keeps up."]
