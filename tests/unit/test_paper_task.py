"""A partition of the paper broker over records: refused and repeated frames, three topics, restart."""

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.engine.task import OutputRecord
from streams.paper.broker import PaperBroker
from streams.paper.task import PaperTask
from tapewatch.clock import LATEST_NS
from tapewatch.contract import frames
from tapewatch.contract.messages import encode
from tapewatch.errors import ContractError, TapewatchError
from tests.unit.paper_log import LOG, QUICK, REGISTRY, commit, headers_of
from tests.unit.paper_market import REFERENCE, TOPIC, Log


def fed(task: PaperTask, first: int, end: int) -> list[OutputRecord]:
    """Market, signals and commit of one transaction."""
    for number in range(first, end):
        task.market(number, frames.encode(LOG.frames[number]), headers_of(LOG, number), LATEST_NS)
        for each in LOG.signals[number]:
            task.signal(encode(each))
    task.commit(commit(first, end))
    return [each for each in task.take() if each.topic != "positions"]


def directly() -> list[bytes]:
    """What the broker says without records."""
    broker = PaperBroker(QUICK, REFERENCE, TOPIC, 0)
    for number, rows in enumerate(LOG.frames):
        broker.frame(number, rows)
        for each in LOG.signals[number]:
            broker.signal(each)
    return [encode(each) for each in broker.take()[0]]


def test_records_give_what_rows_give() -> None:
    task = PaperTask(TOPIC, 0, REGISTRY, QUICK)
    out = fed(task, 0, len(LOG.frames))
    assert [each.value for each in out] == directly()
    assert {each.topic for each in out} == {"orders", "fills"}
    assert {each.topic: each.key for each in out} == {
        each.topic: json.loads(each.value)[{"orders": "id", "fills": "order"}[each.topic]].encode() for each in out
    }
    assert task.begin == len(LOG.frames)


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 10**9))
def test_a_restart_between_transactions_changes_no_byte(seed: int) -> None:
    chance = random.Random(seed)
    task: Any = PaperTask(TOPIC, 0, REGISTRY, QUICK)
    found: list[bytes] = []
    first = 0
    while first < len(LOG.frames):
        end = min(len(LOG.frames), first + chance.randint(1, 12))
        found += [each.value for each in fed(task, first, end)]
        if chance.random() < 0.5:
            task = PaperTask.load(task.dump(), REGISTRY)
        first = end
    assert found == directly()


def test_two_hundred_deaths_lose_no_order_and_double_none() -> None:
    """Three topics read in turns; outputs, state and positions are kept together or not at all, as in a transaction."""
    chance = random.Random(4)
    topics: dict[str, list[Any]] = {
        "market": [(frames.encode(rows), headers_of(LOG, number)) for number, rows in enumerate(LOG.frames)],
        "signals": [encode(each) for part in LOG.signals for each in part],
        "commits": [commit(first, min(first + 3, len(LOG.frames))) for first in range(0, len(LOG.frames), 3)],
    }
    kept, written, deaths = PaperTask(TOPIC, 0, REGISTRY, QUICK).dump(), list[bytes](), 0
    positions = dict.fromkeys(topics, 0)
    task, at = PaperTask.load(kept, REGISTRY), dict(positions)
    while at != {name: len(records) for name, records in topics.items()} or deaths < 200:
        left = [name for name, records in topics.items() if at[name] < len(records)]
        if left:
            name = chance.choice(left)
            record = topics[name][at[name]]
            if name == "market":
                value, headers = record
                task.market(at[name], value, headers, LATEST_NS)
            else:
                (task.signal if name == "signals" else task.commit)(record)
            at[name] += 1
        draw = chance.random()
        if deaths < 200 and (draw < 0.4 or not left):
            deaths += 1
            task = PaperTask.load(kept, REGISTRY)
            at = positions | {"market": task.begin}
        elif draw > 0.8:
            written += [each.value for each in task.take() if each.topic != "positions"]
            kept, positions = task.dump(), dict(at)
    written += [each.value for each in task.take() if each.topic != "positions"]
    assert written == directly()


def test_a_repeated_frame_and_an_unreadable_record_change_nothing() -> None:
    task = PaperTask(TOPIC, 0, REGISTRY, QUICK)
    task.market(0, frames.encode(LOG.frames[0]), headers_of(LOG, 0), LATEST_NS)
    task.market(1, frames.encode(LOG.frames[0]), headers_of(LOG, 0), LATEST_NS)
    task.market(2, b"nothing", headers_of(LOG, 2), LATEST_NS)
    nothing = Log(LOG.frames, [[] for _ in LOG.frames])
    task.commit(commit(0, 3, nothing))
    before = task.broker.lanes.state.copy()
    other = PaperTask(TOPIC, 0, REGISTRY, QUICK)
    other.market(0, frames.encode(LOG.frames[0]), headers_of(LOG, 0), LATEST_NS)
    other.commit(commit(0, 1, nothing))
    assert before.tolist() == other.broker.lanes.state.tolist()


def test_what_is_no_message_or_no_state_is_refused() -> None:
    task = PaperTask(TOPIC, 0, REGISTRY, QUICK)
    with pytest.raises(ContractError):
        task.signal(b"{}")
    with pytest.raises(TapewatchError, match="no state"):
        PaperTask.load(b"[]", REGISTRY)
