"""Whether and as what an instrument is registered for a record is the same live, while its registration is under way,
and whenever the log is read again.
"""

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from streams.driver import Driver
from tapewatch.contract import topics
from tapewatch.contract.frames import FrameHeaders
from tapewatch.contract.instruments import Instrument
from tapewatch.market_log.registry import BEGUN, EFFECTIVE, REGISTRATION, UNMARKED_TOLERANCE_NS, Registry
from tapewatch.settings import Settings
from tests.unit import engine_market as m
from tests.unit.engine_market import quote

A, B = "A.SIMX", "B.SIMX"
BASE_MS = m.at(0.0) // 1_000_000


class Record:
    """A record of the registry's topic. at, seen : ms after the base at which it was appended and could be read"""

    def __init__(self, instrument: Instrument, at: int, step: bytes | None = None, seen: int | None = None) -> None:
        self._value, self._at = msgspec.json.encode(instrument), at
        self._headers = None if step is None else [(REGISTRATION, step)]
        self.seen = at if seen is None else seen

    def value(self) -> bytes:
        return self._value

    def headers(self) -> list[tuple[str, bytes]] | None:
        return self._headers

    def timestamp(self) -> tuple[int, int]:
        return 2, BASE_MS + self._at


class Topic(Registry):
    """A registry over records in memory, of which it sees those that can be read at its time. Each look takes 1 ms."""

    def __init__(self, records: list[Record], now: int) -> None:
        super().__init__(Settings())
        self.records, self.now, self.looks = records, now, 0

    def refresh(self) -> None:
        self.now, self.looks = self.now + 1, self.looks + 1
        while self._next < len(self.records) and self.records[self._next].seen <= self.now:
            self._take(self.records[self._next])
            self._next += 1

    def partitions(self, topic: str) -> int:
        return 0


def ns(at: int) -> int:
    return (BASE_MS + at) * 1_000_000


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Record], list[tuple[str, int, int]]]:
    """Registrations, and records of instruments: who, when appended, and how long afterwards it is read."""
    records: list[Record] = []
    at = 0
    delay = st.integers(0, 6)
    for _ in range(draw(st.integers(1, 4))):
        instrument = Instrument(draw(st.sampled_from([A, B])), kind=draw(st.sampled_from(["share", "spot"])))
        at += draw(delay)
        begun = Record(instrument, at, BEGUN, at + draw(delay))
        # Its mark is written once it is acknowledged, in a later millisecond.
        at = begun.seen + 1 + draw(delay)
        mark = Record(instrument, at, EFFECTIVE, at + draw(delay))
        records += [begun, mark]
        at = mark.seen
    rows = st.tuples(st.sampled_from([A, B]), st.integers(0, at + 4), delay)
    return records, draw(st.lists(rows, max_size=12))


@given(histories())
@example(([Record(Instrument(A), 0, BEGUN, 1), Record(Instrument(A), 2, EFFECTIVE, 9)], [(A, 3, 0)]))
def test_answer_is_the_same_while_a_registration_is_under_way_and_afterwards(
    history: tuple[list[Record], list[tuple[str, int, int]]],
) -> None:
    records, rows = history
    live, later = Topic(records, -1), Topic(records, 1_000)
    for name, at, delay in sorted(rows, key=lambda row: row[1] + row[2]):
        live.now = max(live.now, at + delay)
        assert live.kind(name, ns(at)) == later.kind(name, ns(at))


def test_record_of_the_marks_own_millisecond_counts_and_none_before_it() -> None:
    topic = Topic([Record(Instrument(A), 0, BEGUN), Record(Instrument(A), 5, EFFECTIVE)], 100)
    assert [topic.kind(A, ns(at)) for at in (0, 4, 5, 6)] == [None, None, "share", "share"]


def test_first_mark_counts_whoever_registers_at_the_same_time_and_whatever_is_registered_again() -> None:
    one, again = Instrument(A, name="one"), Instrument(A, name="again")
    raced = [Record(one, 0, BEGUN), Record(one, 0, BEGUN), Record(one, 5, EFFECTIVE), Record(one, 7, EFFECTIVE)]
    whole = [*raced, Record(again, 20, BEGUN)]
    # Compaction keeps the newest reference data alone, and every mark, which has a key of its own.
    for records in (raced, whole, [*raced[2:], whole[-1]]):
        topic = Topic(records, 100)
        assert (topic.kind(A, ns(4)), topic.kind(A, ns(5)), topic.since(A)) == (None, "share", ns(5))


def test_changed_class_counts_from_its_own_mark_on() -> None:
    records = [Record(Instrument(A, kind=kind), at, step) for kind, at, step in (
        ("share", 0, BEGUN), ("share", 2, EFFECTIVE), ("spot", 10, BEGUN), ("spot", 12, EFFECTIVE))]  # fmt: skip
    topic = Topic(records, 100)
    assert [topic.kind(A, ns(at)) for at in (1, 2, 11, 12)] == [None, "share", "share", "spot"]


def test_what_was_registered_without_marks_counts_by_its_writers_clock_with_its_tolerance() -> None:
    stamped = Instrument(A, registered_at=ns(90_000))
    topic = Topic([Record(stamped, 0), Record(Instrument(B), 90_000)], 1_000_000)
    tolerance = UNMARKED_TOLERANCE_NS // 1_000_000
    for name in (A, B):
        assert [topic.kind(name, ns(at - tolerance)) for at in (89_999, 90_000)] == [None, "share"]


def test_topic_is_read_once_for_a_micro_batch_and_again_for_a_later_record() -> None:
    topic = Topic([], 100)
    topic.fetched([Record(Instrument(A), at) for at in (50, 60, 55)])
    assert [topic.kind(A, ns(at)) for at in (50, 60, 55, 40)] == [None] * 4
    assert topic.looks == 1
    topic.kind(A, ns(61))
    assert topic.looks == 2
    topic.read_whole()
    topic.kind(A, ns(900))
    assert topic.looks == 3


def test_live_rows_before_and_after_a_late_registration_give_the_bytes_of_the_log_read_again() -> None:
    records: list[Record] = []
    late = [Record(Instrument(B, kind="spot"), 1_500, BEGUN), Record(Instrument(B, kind="spot"), 1_510, EFFECTIVE)]
    growing, whole = Topic(records, 0), Topic(late, 10_000)
    live, again = Driver(growing), Driver(whole)
    known = [Record(Instrument(A), 0, BEGUN), Record(Instrument(A), 2, EFFECTIVE)]
    records += known
    whole.records[:0] = known
    log = [(at, [quote(A, at / 1_000, 99, 101), quote(B, at / 1_000, 99, 101)]) for at in range(100, 4_000, 100)]
    for offset, (at, events) in enumerate(log):
        if at >= 1_500 and len(records) < 4:
            records += late
        headers = FrameHeaders("quote", "test", 0, offset, 0).to_kafka()
        growing.now = max(growing.now, at)
        for driver in (live, again):
            driver.task.feed(offset, m.frame(events, [A, B]), headers, ns(at))
    assert live.outgoing() == again.outgoing()
    refused = [record for record in live.outgoing() if record.topic == topics.dead_letters("market.driver")]
    assert len(refused) == sum(at < 1_510 for at, _ in log)
    assert live.task.kinds == ["share", "spot"]


def test_registration_topic_is_compacted_and_stamped_by_the_broker() -> None:
    spec = next(each for each in topics.shared_topics(Settings().topics) if each.name == topics.INSTRUMENTS)
    assert spec.partitions == 1
    assert spec.properties["message.timestamp.type"] == "LogAppendTime"
    assert spec.properties["cleanup.policy"] == "compact"
