"""The group grows and shrinks while it works, a member is frozen beyond every time-out and thawed, two processes have
one name: what came out is what the brokerless driver makes of the log.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tapewatch.settings import KafkaSettings, Settings
from tapewatch.settings.stack import Addresses
from tests.faults import engine_runs as runs

pytestmark = pytest.mark.slow  # real processes, and time-outs of the broker

FEED, TWINS = "group-life", "twins"


@dataclass(frozen=True)
class Life:
    """What was seen of a group. Each: partitions held by each member that worked."""

    settings: Settings
    one: dict[str, int]
    three: dict[str, int]
    shrunk: dict[str, int]
    thawed: dict[str, int]
    alone: dict[str, int]


@pytest.fixture(scope="module")
def site(stack: Addresses, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(data=str(tmp_path_factory.mktemp("group")), kafka=KafkaSettings(bootstrap=stack.bootstrap))


@pytest.fixture(scope="module")
def life(site: Settings) -> Iterator[Life]:
    """1 -> 3 -> 1 -> 2 -> 1 members over one log: b ends in order, c is frozen and thawed, a ends in order."""
    total = runs.write_market(site, FEED, seconds=330, partitions=4, instruments=12, flushes=2)
    engines = runs.Engines(site, FEED, "group-life", batch_frames=4)
    engines.start("a")
    try:
        one = engines.wait_for_members(1)
        engines.wait(total // 20)
        engines.start("b")
        engines.start("c")
        three = engines.wait_for_members(3)
        engines.wait(min(engines.position() + total // 20, total - total // 10))
        engines.freeze("c")
        engines.end("b")
        engines.wait(total)  # by a alone: c holds partitions until its session is over
        shrunk = engines.wait_for_members(1)
        engines.thaw("c")
        thawed = engines.wait_for_members(2)
        engines.end("a")
        total = runs.write_market(site, FEED, seconds=330, partitions=4, instruments=12, flushes=2, epoch=2)
        engines.wait(total)
        alone = engines.wait_for_members(1)
    finally:
        engines.stop()
    yield Life(site, one, three, shrunk, thawed, alone)


def test_group_grows_from_one_to_three_members_while_it_works(life: Life) -> None:
    assert life.one == {"a": 4}
    assert life.three.keys() == {"a", "b", "c"}
    assert sum(life.three.values()) == 4


def test_group_shrinks_to_one_member_that_takes_over_all(life: Life) -> None:
    assert life.shrunk == {"a": 4}


def test_thawed_zombie_comes_back_as_a_member_and_works(life: Life) -> None:
    assert life.thawed == {"a": 2, "c": 2}
    assert life.alone == {"c": 4}


def test_group_that_grows_shrinks_and_freezes_changes_no_bit(life: Life) -> None:
    runs.assert_same(runs.written(life.settings, FEED), runs.expected(life.settings, FEED))


@pytest.mark.long
def test_group_of_four_over_eight_partitions_grows_and_shrinks_while_it_works(site: Settings) -> None:
    feed = "group-of-four"
    total = runs.write_market(site, feed, seconds=640, partitions=8, instruments=32, flushes=6)
    engines = runs.Engines(site, feed, feed, batch_frames=8)
    engines.start("a")
    held = []
    try:
        engines.wait(total // 50)
        for names in ("b", "cd"):
            for name in names:
                engines.start(name)
            held.append(engines.wait_for_members(len(engines.processes)))
            engines.wait(min(engines.position() + total // 50, total - total // 5))
        engines.kill("c")
        del engines.processes["c"]
        held.append(engines.wait_for_members(3))
        engines.end("b")
        engines.end("d")
        engines.wait(total)
        held.append(engines.wait_for_members(1))
    finally:
        engines.stop()
    assert [sorted(each.values()) for each in held] == [[4, 4], [2, 2, 2, 2], [2, 3, 3], [8]]
    runs.assert_same(runs.written(site, feed), runs.expected(site, feed))


def test_zombie_whose_name_was_taken_ends_and_writes_nothing_twice(site: Settings) -> None:
    total = runs.write_market(site, TWINS, seconds=120, partitions=2, instruments=8, flushes=2)
    engines = runs.Engines(site, TWINS, "group-twins", batch_frames=2)
    engines.start("a")
    try:
        engines.wait(total // 20)
        engines.freeze("a")
        engines.start("a", name="twin")
        # It may have been done before it froze: then its twin only has to take its place.
        engines.wait(min(engines.position() + total // 20, total))
        engines.thaw("a")
        zombie = engines.processes["a"]
        assert zombie.wait(600) == 1, "the zombie goes on"
        del engines.processes["a"]
        assert "another process has this one's name and place in the group now, this one ends" in engines.said("a")
        engines.wait(total)
    finally:
        engines.stop()
    runs.assert_same(runs.written(site, TWINS), runs.expected(site, TWINS))
