"""What a replayed dead letter does in the engine: it counts in the second that is open, and changes no other."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from producers.feed.log_tail import LogTail
from streams.driver import FOREVER_NS, Driver
from tapewatch.clock import NANOS
from tapewatch.contract.checks import Reason
from tapewatch.contract.frames import Decoder, FrameHeaders
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.rows import StatusKind
from tapewatch.market_log.admission import REPLAY_SOURCE, Admission
from tapewatch.market_log.registry import FixedRegistry
from tests.unit import engine_market as m
from tests.unit.engine_market import Event, quote, status

A, B = "A.SIMX", "B.SIMX"
NAMES = ["*", A, B]


def replayed(driver: Driver, event: Event, sequence: int = 0, epoch: int = 1) -> None:
    headers = FrameHeaders(event.type.label, REPLAY_SOURCE, epoch, sequence, 0).to_kafka()
    driver.record(m.frame([event], NAMES), headers)


def market(driver: Driver, *whens: float) -> None:
    for when in whens:
        m.send(driver, [quote(A, when, 99, 101)], NAMES)


def reasons(driver: Driver) -> list[str]:
    return [dict(letter.headers)["reason"].decode() for letter in driver.collect().get("market.driver.dlq", [])]


def test_replayed_row_of_the_open_second_counts_in_its_features() -> None:
    driver = m.new_driver([A, B])
    market(driver, 0.5, 1.1)
    replayed(driver, quote(B, 1.05, 99, 101))
    m.send(driver, [status(StatusKind.HEARTBEAT, 2)], NAMES)
    assert m.feature(driver, B, "quote_rate_1s") == {1: 1.0}
    assert reasons(driver) == []


def test_replayed_row_of_a_sealed_second_changes_no_feature_and_is_no_dead_letter_again() -> None:
    plain, other = m.new_driver([A]), m.new_driver([A])
    for driver in (plain, other):
        market(driver, 0.5, 1.1)
    replayed(other, quote(A, 0.6, 90, 110))
    for driver in (plain, other):
        market(driver, 2.1, 3.1)
    assert other.task.tally.refused == {"sealed": 1}
    assert reasons(other) == []
    # Only the offsets behind the replayed record differ.
    assert m.bits(other.outgoing(), with_offsets=False) == m.bits(plain.outgoing(), with_offsets=False)


def test_replayed_row_moves_no_clock_forward() -> None:
    driver = m.new_driver([A])
    market(driver, 0.5)
    replayed(driver, quote(A, 7.0, 99, 101))
    market(driver, 0.7)
    assert reasons(driver) == ["early"]
    assert driver.task.clock_ns // NANOS == m.START


def test_replayed_row_that_is_still_bad_is_a_dead_letter_again() -> None:
    driver = m.new_driver([A])
    market(driver, 0.5)
    replayed(driver, quote(A, 0.5, 102, 101))
    assert reasons(driver) == ["crossed_quote"]


def test_same_replay_read_twice_counts_once() -> None:
    driver = m.new_driver([A])
    market(driver, 0.5)
    for _ in range(2):
        replayed(driver, quote(A, 0.6, 99, 101))
    m.send(driver, [status(StatusKind.HEARTBEAT, 1)], NAMES)
    assert m.feature(driver, A, "quote_rate_1s") == {0: 2.0}


def test_stores_keep_what_counts_and_replayed_rows_of_sealed_seconds() -> None:
    admission = Admission(FixedRegistry([Instrument(A), Instrument(B)]))
    feed, replay = (FrameHeaders("quote", source, 0, 0, 0).to_kafka() for source in ("feed", REPLAY_SOURCE))
    admission.admit(m.frame([quote(A, 5.0, 99, 101)], NAMES), feed, FOREVER_NS)
    mixed = [quote(A, 4.0, 99, 101), quote(A, 5.0, 102, 101), quote(B, 5.0, 99, 101), quote(B, 6.0, 99, 101)]
    found = admission.admit(m.frame(mixed, NAMES), replay, FOREVER_NS)
    assert found is not None
    assert [Reason(int(each)).label for each in found.reasons] == ["sealed", "crossed_quote", "accepted", "early"]
    assert found.stored().tolist() == [0, 2]
    late = FrameHeaders("quote", "feed", 0, 1, 0).to_kafka()
    found = admission.admit(m.frame([quote(A, 4.0, 99, 101)], NAMES), late, FOREVER_NS)
    assert found is not None
    assert found.stored().tolist() == []


def test_next_writer_of_a_feed_does_not_take_a_replays_time_for_the_feeds() -> None:
    class ReplayMessage:
        def headers(self):
            return FrameHeaders("quote", REPLAY_SOURCE, 5, 0, 0).to_kafka()

        def value(self):
            return m.frame([quote(A, 1e6, 99, 101)], NAMES)

        def timestamp(self):
            return 2, (m.START + 2_000_000) * 1000

    tail = LogTail()
    tail.take(ReplayMessage(), Decoder())
    assert (tail.newest_ns, tail.epochs) == (0, {})


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 9.9), st.booleans()), max_size=30))
@example([(0.99999, False)])
def test_no_replay_reopens_a_second(rows: list[tuple[float, bool]]) -> None:
    driver, newest = m.new_driver([A]), 0.0
    market(driver, 0.0)
    for number, (when, is_replay) in enumerate(rows):
        if is_replay:
            replayed(driver, quote(A, when, 99, 101), number)
        else:
            newest = max(newest, when)
            market(driver, newest)
        assert driver.task.clock_ns // NANOS == m.at(newest) // NANOS
    m.send(driver, [status(StatusKind.HEARTBEAT, 20)], NAMES)
    stamps = list(m.feature(driver, A, "quote_rate_1s"))
    assert stamps == sorted(set(stamps))
