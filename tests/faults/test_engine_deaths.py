"""The protocol's steps (docs/exactly-once.md): an engine dies at each of them, over one log. Where the group stands
then, and that what came out in the end is what the brokerless driver makes of the log.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tapewatch.settings import KafkaSettings, Settings
from tapewatch.settings.stack import Addresses
from tests.faults import engine_runs as runs
from tests.faults.dying_engine import STEPS
from tests.faults.last_words import LastWords

pytestmark = pytest.mark.slow  # real processes, each dying at a step

FEED = "deaths"
BEFORE = 3
"""Transactions that a process commits before it dies."""


@dataclass(frozen=True)
class Deaths:
    """What each dead process said, and where the group stood after it, by step."""

    settings: Settings
    words: dict[str, LastWords]
    stood: dict[str, dict[str, int]]


@pytest.fixture(scope="module")
def deaths(stack: Addresses, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deaths]:
    """One log, an engine that dies at every step once, and one that does the rest."""
    settings = Settings(data=str(tmp_path_factory.mktemp("deaths")), kafka=KafkaSettings(bootstrap=stack.bootstrap))
    total = runs.write_market(settings, FEED, seconds=680, partitions=2, instruments=24, flushes=1)
    engines = runs.Engines(settings, FEED, "group-deaths", batch_frames=10, snapshot_seconds=0.2)
    words, stood = {}, {}
    for step in STEPS:
        words[step] = engines.die("a", step, after=0 if step == "recovering" else BEFORE)
        stood[step] = {f"{place.topic}/{place.partition}": place.offset for place in engines.committed()}
    assert engines.position() < total, "the log was too short for the last deaths to fall into work"
    engines.start("a")
    try:
        engines.wait(total)
    finally:
        engines.stop()
    yield Deaths(settings, words, stood)


def stands_before(deaths: Deaths, step: str) -> bool:
    """Whether the group stands where the last transaction before the death put it."""
    words, stood = deaths.words[step], deaths.stood[step]
    return bool(words.before) and all(stood[place] == offset for place, offset in words.before.items())


def stands_after(deaths: Deaths, step: str) -> bool:
    """Whether the group stands where the newest transaction of the dead process put it."""
    words, stood = deaths.words[step], deaths.stood[step]
    return bool(words.next) and all(stood[place] == offset for place, offset in words.next.items())


@pytest.mark.parametrize("step", ["polled", "computed"])
def test_death_before_the_transaction_moves_no_offset(deaths: Deaths, step: str) -> None:
    # The transaction before may be under way then: it is whole or it is not.
    assert stands_before(deaths, step) or stands_after(deaths, step)


def test_death_with_a_snapshot_written_moves_no_offset(deaths: Deaths) -> None:
    assert stands_before(deaths, "snapshot")


def test_death_with_outputs_written_moves_no_offset(deaths: Deaths) -> None:
    assert stands_before(deaths, "written")
    assert not stands_after(deaths, "written")


def test_death_with_offsets_added_moves_no_offset(deaths: Deaths) -> None:
    assert stands_before(deaths, "offsets")
    assert not stands_after(deaths, "offsets")


def test_death_while_the_broker_decides_is_one_or_the_other(deaths: Deaths) -> None:
    assert stands_before(deaths, "deciding") or stands_after(deaths, "deciding")


def test_death_after_the_commit_keeps_it(deaths: Deaths) -> None:
    assert stands_after(deaths, "committed")


def test_death_in_mid_recovery_changes_nothing(deaths: Deaths) -> None:
    assert deaths.stood["recovering"] == deaths.stood["snapshot"]


def test_deaths_at_every_step_change_no_bit(deaths: Deaths) -> None:
    found = runs.written(deaths.settings, FEED)
    assert any("alerts/alert" in by_topic for by_topic in found.values()), "a market without alerts says too little"
    runs.assert_same(found, runs.expected(deaths.settings, FEED))
