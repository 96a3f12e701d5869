"""One partition in a process's hands: three topics and commands in any turn, states that hold or are refused."""

import random
from typing import Any

import pytest

from streams.members import Key
from streams.paper.paper_partition import ConsumerRecord, PaperPartition, companions, load
from streams.paper.task import PaperTask
from tapewatch.clock import LATEST_NS
from tapewatch.contract import frames, topics
from tapewatch.contract.messages import PaperCommand, PaperCommit, decode, encode, stable_id
from tapewatch.errors import TapewatchError
from tapewatch.settings.paper import PaperSettings
from tests.unit.paper_log import LOG, QUICK, REGISTRY, commit, headers_of
from tests.unit.paper_market import TOPIC

MARKET: Key = (TOPIC, 0)
COUNTS = {TOPIC: 1, topics.SIGNALS: 4, topics.COMMITS: 4}
BESIDE = companions(MARKET, COUNTS)


def new_desk(settings: PaperSettings = QUICK) -> PaperPartition:
    return PaperPartition(PaperTask(*MARKET, REGISTRY, settings), BESIDE)


def command(action: str, instrument: str = "") -> bytes:
    named = {"id": stable_id(action, instrument), "who": "ann", "why": "a test", "at": "2024-01-31T09:00:00Z"}
    return encode(PaperCommand(action=action, instrument=instrument, **named))  # type: ignore[arg-type]


def records() -> list[ConsumerRecord]:
    """All topics of the log, the market first."""
    market = enumerate(LOG.frames)
    found = [
        ConsumerRecord(MARKET, number, frames.encode(rows), headers_of(LOG, number), LATEST_NS)
        for number, rows in market
    ]
    said = [encode(each) for part in LOG.signals for each in part]
    found += [ConsumerRecord((topics.SIGNALS, 0), number, value, None, 0) for number, value in enumerate(said)]
    cuts = range(0, len(LOG.frames), 3)
    ended = [commit(first, min(first + 3, len(LOG.frames))) for first in cuts]
    return found + [ConsumerRecord((topics.COMMITS, 0), number, value, None, 0) for number, value in enumerate(ended)]


def test_a_market_partition_is_read_beside_the_signals_of_its_number_where_topics_are_cut_alike() -> None:
    counts = {TOPIC: 4, topics.SIGNALS: 4, topics.COMMITS: 4}
    assert companions((TOPIC, 2), counts) == [(topics.COMMITS, 2), (topics.SIGNALS, 2), (topics.PAPER_COMMANDS, 0)]
    assert [key for key in companions((TOPIC, 0), COUNTS) if key[0] == topics.SIGNALS] == [
        (topics.SIGNALS, number) for number in range(4)
    ]


def test_a_record_that_was_read_is_not_read_again() -> None:
    desk = new_desk()
    for record in records():
        assert desk.read(record)
    once = desk.take("a")
    assert not any(desk.read(record) for record in records())
    assert not desk.is_dirty
    assert not desk.read(ConsumerRecord(("market.other", 0), 0, b"", None, 0))
    assert len(once) > 10


def test_the_commit_record_says_what_took_effect_where() -> None:
    desk = new_desk(PaperSettings(warm_s=2))
    for record in records()[: len(LOG.frames)]:
        desk.read(record)
    desk.read(ConsumerRecord((topics.COMMITS, 0), 0, commit(0, 3), None, 0))
    desk.read(ConsumerRecord((topics.SIGNALS, 0), 0, b"no signal", None, 0))
    desk.read(ConsumerRecord((topics.PAPER_COMMANDS, 0), 0, command("start"), None, 0))
    desk.read(ConsumerRecord((topics.PAPER_COMMANDS, 0), 1, command("off", "A.SIMX"), None, 0))
    said = decode(PaperCommit, desk.take("a")[-1].value)
    assert said.running == "start"
    assert said.switched == {"A.SIMX": False}
    assert [(each.action, each.instrument) for each in said.taken] == [
        ("settings", ""),
        ("start", ""),
        ("off", "A.SIMX"),
    ]
    assert said.taken[1].before == said.next_offset
    assert desk.refused == 1


@pytest.mark.parametrize("seed", range(5))
def test_what_took_effect_can_be_repeated_at_its_place(seed: int) -> None:
    chance, desk, left = random.Random(seed), new_desk(), {key: list[ConsumerRecord]() for key in (MARKET, *BESIDE)}
    for record in records():
        left[record.key].append(record)
    given = ["kill", "start", "stop", "start", "off", "on"]
    left[topics.PAPER_COMMANDS, 0] = [
        ConsumerRecord((topics.PAPER_COMMANDS, 0), number, command(each, "B.SIMX" if each[0] == "o" else ""), None, 0)
        for number, each in enumerate(given)
    ]
    found, taken = list[bytes](), list[Any]()
    while any(left.values()):
        key = chance.choice([key for key, waiting in left.items() if waiting])
        desk.read(left[key].pop(0))
        if chance.random() < 0.2:
            *out, last = desk.take("a")
            found += [each.value for each in out]
            taken += decode(PaperCommit, last.value).taken
            desk = load(desk.dump(), REGISTRY, BESIDE)
            # What was read and not worked on is read again, as a process that starts would.
            for record in records():
                if record.key == MARKET and record.offset not in {each.offset for each in left[MARKET]}:
                    desk.read(record)
    *out, last = desk.take("a")
    found += [each.value for each in out]
    taken += decode(PaperCommit, last.value).taken
    again = PaperTask(*MARKET, REGISTRY, QUICK)
    for each in taken[1:]:
        again.repeat(each)
    reader = new_desk()
    reader.task = again
    for record in records():
        reader.read(record)
    assert sorted(each.value for each in again.take()) == sorted(found)
    assert again.broker.running == "start"


def test_a_damaged_state_is_refused() -> None:
    whole = new_desk().dump()
    assert load(whole, REGISTRY, BESIDE).market == MARKET
    for damaged in (whole[:-3], bytes(32) + whole[32:], whole[:60] + b"x" + whole[61:]):
        with pytest.raises(TapewatchError, match="state"):
            load(damaged, REGISTRY, BESIDE)


def test_a_state_of_more_bytes_than_its_packed_ones_can_give_is_refused_before_it_is_unpacked() -> None:
    whole = new_desk().dump()
    with pytest.raises(TapewatchError, match=f"do not hold {2**30}"):
        load(whole[:32] + (2**30).to_bytes(8, "little") + whole[40:], REGISTRY, BESIDE)
