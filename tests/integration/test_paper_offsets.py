"""A paper broker whose group's offsets were lost or set by somebody trades on from no place that its states belie."""

import threading
from collections import Counter

import msgspec
import pytest
from confluent_kafka import TopicPartition

from benchmarks import paper_faults
from benchmarks.paper_log import PaperLog
from streams.paper import replay
from streams.paper.control import tell
from streams.paper.process import Paper
from tapewatch import doctor
from tapewatch.contract import topics
from tapewatch.contract.messages import Fill, Order, decode
from tapewatch.errors import TapewatchError
from tapewatch.market_log.registry import Registry
from tapewatch.runtime import kafka
from tapewatch.runtime.topic_ids import TopicRecreatedError
from tapewatch.settings import Settings
from tests.eventually import eventually
from tests.integration import group_places
from tests.integration.made_anew import make_anew


class Book:
    """A log with signals, and paper brokers that work on all of it and end."""

    def __init__(self, settings: Settings, feed: str) -> None:
        self.settings = paper_faults.of_feed(settings, feed)
        self.log = PaperLog(self.settings, feed, 1)
        self.instruments = {each.id for each in self.log.walks[0].instruments}
        tell(self.settings, "start", "", "trade", "ann", wait_s=0.0)
        self.go_on()
        self.work()

    def go_on(self) -> None:
        for _ in range(40):
            self.log.step()
        self.log.commit()

    def work(self, restore: bool = False) -> None:
        paper = msgspec.structs.replace(self.settings.paper, restore_offsets=restore)
        Paper(msgspec.structs.replace(self.settings, paper=paper)).run(threading.Event(), until_idle_s=2.0)

    def written(self) -> tuple[int, int]:
        """How many order revisions and fills there are; none is there twice."""
        orders, fills = Counter[tuple[str, int]](), Counter[str]()

        def order(message: object) -> None:
            found = decode(Order, message.value())  # type: ignore[attr-defined]
            orders[found.id, found.revision] += found.instrument in self.instruments

        def fill(message: object) -> None:
            found = decode(Fill, message.value())  # type: ignore[attr-defined]
            fills[found.id] += found.instrument in self.instruments

        kafka.read_all(self.settings, topics.ORDERS, order)
        kafka.read_all(self.settings, topics.FILLS, fill)
        assert max(orders.values()) == max(fills.values()) == 1
        return sum(orders.values()), sum(fills.values())

    def stand_at(self, offset: int | None) -> None:
        """Let the group stand elsewhere, or nowhere."""
        if offset is None:
            group_places.forget(self.settings, self.settings.paper.group)
        else:
            place = TopicPartition(self.log.topic, 0, offset)
            group_places.stand_at(self.settings, self.settings.paper.group, place)

    def holds(self) -> bool:
        """Whether the books worked out again from the log are those that were written, byte for byte."""
        registry = Registry(self.settings)
        registry.refresh()
        try:
            (kept,) = [each for each in replay.books(self.settings) if each.market[0] == self.log.topic]
            return replay.verify(self.settings, registry, kept).holds
        finally:
            registry.close()


@pytest.mark.parametrize(("name", "offset"), [("expired", None), ("setback", 3), ("setahead", 60)])
def test_group_whose_offsets_were_lost_or_set_trades_on_only_when_it_is_told_to_restore(
    settings: Settings, name: str, offset: int | None
) -> None:
    book = Book(settings, f"paper{name}")
    before = book.written()
    assert min(before) > 0
    book.stand_at(offset)
    book.go_on()
    has = "no offset" if offset is None else f"offset {offset}"
    with pytest.raises(TapewatchError, match=f"has {has} for {book.log.topic}.0., its newest state is of offset") as no:
        book.work()
    assert "--restore-offsets" in no.value.hint

    def is_told() -> bool:
        failing = [
            each for each in doctor.examined(doctor.CheckContext(book.settings), "groups") if each.state == doctor.FAIL
        ]
        return (f"group {book.settings.paper.group} offsets", no.value.message) in [(x.name, x.found) for x in failing]

    eventually(is_told, what="the group is empty, and the doctor says so", pause=0.5)
    assert book.written() == before
    book.work(restore=True)
    assert book.written() > before
    book.go_on()
    # From here on it stands as if nothing had happened.
    book.work()
    assert book.holds()
    book.written()


def test_broker_trades_on_on_no_topic_that_was_made_anew(settings: Settings) -> None:
    book = Book(settings, "paperanew")
    before = book.written()
    make_anew(settings, "paperanew", 1)
    for restore in (False, True):
        with pytest.raises(TopicRecreatedError, match=f"{book.log.topic} was made anew"):
            book.work(restore)
    assert book.written() == before
