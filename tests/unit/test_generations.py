"""Generations of a feed's topic: names, which one is written, and that a closed partition counts nothing."""

import re
from typing import Any

import pytest

from tapewatch.contract import topics
from tapewatch.contract.frames import FrameHeaders
from tapewatch.contract.rows import StatusKind
from tapewatch.errors import ContractError
from tapewatch.market_log.admission import CLOSES, CONTROL_SOURCE, OPENS, Admission
from tapewatch.market_log.generations import (
    CLOSING,
    OPEN,
    OPENING,
    Generation,
    Generations,
    InitialSnapshot,
    named,
    next_after,
)
from tests.unit import engine_market as m
from tests.unit.registered import T0, Registrations


def generation(number: int, state: str = OPEN, before: str = "market.a") -> Generation:
    openings = [InitialSnapshot(0, 7, 1, "digest", 3)] if state != CLOSING else []
    return Generation("a", number, f"market.a-g{number}", 1, state, before, openings=openings)


def standing(*found: Generation) -> Generations:
    return Generations({each.topic: each for each in found})


def test_a_feed_without_generations_is_written_under_its_own_name() -> None:
    assert standing().current("a") == "a"
    assert next_after("a", standing()) == (2, "a-g2")


def test_a_generation_is_written_once_it_is_open() -> None:
    for state in (CLOSING, OPENING):
        found = standing(generation(2, state))
        assert found.current("a") == "a"
        assert found.under_way("a") is not None
    assert standing(generation(2)).current("a") == "a-g2"
    assert standing(generation(2)).under_way("a") is None


def test_every_name_of_a_feed_leads_to_its_newest_generation() -> None:
    found = standing(generation(2), generation(3, before="market.a-g2"))
    assert {found.current(name) for name in ("a", "a-g2", "a-g3")} == {"a-g3"}
    assert next_after("a-g2", found) == (4, "a-g4")
    second, third = found.successor("market.a"), found.successor("market.a-g2")
    assert second is not None and third is not None
    assert (second.topic, third.topic) == ("market.a-g2", "market.a-g3")
    assert found.successor("market.a-g3") is None


def test_a_partition_begins_with_a_state_from_the_record_opening_on() -> None:
    assert standing(generation(2, CLOSING)).opening("market.a-g2", 0) is None
    found = standing(generation(2, OPENING)).opening("market.a-g2", 0)
    assert found is not None and found.offset == 7
    assert standing(generation(2)).opening("market.a", 0) is None


@pytest.mark.parametrize("name", ["a-g1", "a-g0", "a-g02", "a", "ag2", "-g2"])
def test_names_that_are_no_later_generation(name: str) -> None:
    assert named(name) is None


def test_names_of_later_generations() -> None:
    assert named("a-b-g12") == ("a-b", 12)


def test_an_engine_of_one_feed_reads_all_its_generations_and_no_other_feed() -> None:
    pattern = topics.generations_pattern("a")
    assert re.search(pattern, "market.a")
    assert re.search(pattern, "market.a-g2")
    assert not any(re.search(pattern, name) for name in ("market.a-b", "market.ab", "market.a.dlq", "market.a-g2.dlq"))


def admit(admission: Admission, source: str, sequence: int, epoch: int = 1, when: float = 1.0):
    value = m.frame([m.status(StatusKind.HEARTBEAT, when)], ["*"])
    return admission.admit(value, FrameHeaders("status", source, epoch, sequence, 0).to_kafka(), T0)


def test_behind_the_cut_nothing_counts_but_a_later_cut() -> None:
    admission = Admission(Registrations())
    assert admit(admission, "live", 0) is not None
    assert admit(admission, CLOSES, 0, when=2.0) is not None
    with pytest.raises(ContractError) as refused:
        admit(admission, "live", 1, when=2.5)
    assert refused.value.reason == "closed"
    assert admit(admission, CONTROL_SOURCE, 0) is None
    assert admit(admission, CLOSES, 0, epoch=2, when=3.0) is not None


def test_a_closed_partition_stays_closed_when_its_state_is_taken_up_again() -> None:
    admission, again = Admission(Registrations()), Admission(Registrations())
    admit(admission, CLOSES, 0)
    state: dict[str, Any] = admission.dump()
    again.load(**state)
    with pytest.raises(ContractError):
        admit(again, "live", 0, when=2.0)


def test_a_generations_first_record_closes_nothing() -> None:
    admission = Admission(Registrations())
    assert admit(admission, OPENS, 0, epoch=0) is not None
    assert admit(admission, "live", 0, when=2.0) is not None
