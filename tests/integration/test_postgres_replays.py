"""What the PostgreSQL sink makes of records that come again, of those it cannot hold, and of those it is given back."""

from collections.abc import Iterator

import pytest

from tapewatch.contract import topics
from tapewatch.contract.messages import Alert, Coverage, Label, encode, stable_id
from tapewatch.dlq import retry
from tapewatch.dlq.retry import RetryRecord
from tapewatch.market_log import dead_letters
from tapewatch.settings.stack import Addresses
from tests.integration.console_at_work import of_its_own
from tests.integration.made_messages import made, row_of
from tests.integration.sink_at_hand import HandSink, Record, hand_sink

RETRIES = topics.retry(dead_letters.POSTGRES)


@pytest.fixture(scope="module")
def sink(stack: Addresses, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HandSink]:
    with of_its_own(stack, tmp_path_factory.mktemp("data")) as settings, hand_sink(settings) as found:
        yield found


@pytest.fixture(autouse=True)
def _no_letters(sink: HandSink) -> None:
    sink.restart()
    sink.letters.sent.clear()


def bad(name: str) -> Label:
    """A label that the database cannot hold."""
    return made(Label, 1, id=stable_id(name), why="nul \0 here")


def good(name: str) -> Label:
    return made(Label, 2, id=stable_id(name))


def labels(sink: HandSink, *names: str) -> list[str]:
    """Which of these are kept."""
    kept = {row["id"] for row in sink.rows("labels")}
    return [name for name in names if stable_id(name) in kept]


def position(sink: HandSink, topic: str, partition: int) -> list[int]:
    found = sink.rows("sink_offsets", "topic = %s AND partition = %s", topic, partition)
    return [row["next_offset"] for row in found]


def refusals(sink: HandSink) -> list[tuple[str, int, int, str]]:
    found = sink.rows("dead_letters", "true ORDER BY topic, partition, log_offset")
    return [(row["topic"], row["partition"], row["log_offset"], row["reason"]) for row in found]


def given_back(sink: HandSink, record: Record, value: bytes | None = None) -> Record:
    """The retry of a record."""
    content = record.content if value is None else value
    assert content is not None
    retried = RetryRecord(stable_id("letter"), record.at, 1_700_000_000_000, content, [])
    next_one = sink.record(content, RETRIES)
    return Record(next_one.at, content, tuple(retry.headers(retried)))


def test_records_before_the_position_are_passed_over_in_each_partition_for_itself(sink: HandSink) -> None:
    stretch = [made(Coverage, salt) for salt in range(5)]
    first = [sink.record(stretch[0], partition=2), sink.record(stretch[1], partition=2)]
    assert sink.take(*first).records == 2
    assert position(sink, "coverage", 2) == [first[1].offset() + 1]
    for _ in range(2):
        again = sink.take(*first, sink.record(stretch[2], partition=2), *first)
        assert again.records == 1
        assert again.rows == {"coverage": 1}
        sink.restart()
    other = sink.record(stretch[3], partition=3)
    assert other.offset() == 0
    assert sink.take(other, *first).records == 1
    assert position(sink, "coverage", 3) == [1]
    # Nothing but its place tells a stretch from one like it.
    offsets = [each.cause.offset for each in stretch]
    found = [row["log_offset"] for row in sink.rows("coverage")]
    assert [found.count(offset) for offset in offsets] == [1, 1, 2, 1, 0]


def test_a_position_is_the_offset_after_the_last_record_whatever_lies_between(sink: HandSink) -> None:
    value = encode(good("far away"))
    sink.take(Record(("labels", 5, 10), value), Record(("labels", 5, 400), value))
    assert position(sink, "labels", 5) == [401]
    assert sink.take(Record(("labels", 5, 399), value), Record(("labels", 5, 400), value)).records == 0
    assert sink.take(Record(("labels", 5, 401), value)).records == 1
    assert position(sink, "labels", 5) == [402]


def test_a_transaction_that_fails_leaves_nothing_and_its_records_are_read_again(sink: HandSink) -> None:
    records = [sink.record(good("of a cut")), sink.record(bad("of a cut, bad"))]

    sink.letters.fails = True
    before = (position(sink, "labels", 0), refusals(sink))
    with pytest.raises(ConnectionError):
        sink.take(*records)
    assert (position(sink, "labels", 0), refusals(sink)) == before
    assert labels(sink, "of a cut") == []
    sink.letters.fails = False
    sink.restart()
    assert sink.take(*records).rows == {"labels": 1}
    assert labels(sink, "of a cut", "of a cut, bad") == ["of a cut"]


@pytest.mark.parametrize("pattern", ["x", ".x", "x.", "xx", "..x..", "x...x", ".xx.x", "xxxxx", "......x", "x.....x."])
def test_what_cannot_be_held_is_found_one_by_one_and_the_others_are_kept(sink: HandSink, pattern: str) -> None:
    names = [f"{pattern} {number}" for number in range(len(pattern))]
    records = [sink.record((bad if how == "x" else good)(name)) for how, name in zip(pattern, names, strict=True)]
    batch = sink.take(*records)
    fine = [name for how, name in zip(pattern, names, strict=True) if how == "."]
    assert labels(sink, *names) == fine
    assert batch.rows == ({"labels": len(fine)} if fine else {})
    lost = [each.at for how, each in zip(pattern, records, strict=True) if how == "x"]
    found = [row for row in refusals(sink) if row[:3] in lost]
    assert found == [(*at, "not_storable") for at in lost]
    assert [refusal.record.offset for refusal in batch.dead] == [at[2] for at in lost]
    assert sink.letters.sent == [refusal.letter for refusal in batch.dead]


def test_what_is_no_message_is_a_dead_letter_with_the_reason_and_is_noted_once(sink: HandSink) -> None:
    record = sink.record(b"{", "labels", partition=11)
    for times in (1, 2):
        batch = sink.take(record, sink.record(good("beside it")))
        assert [(each.reason, each.record.value) for each in batch.dead] == [("malformed_message", b"{")]
        assert len(sink.letters.sent) == times
        assert refusals(sink).count((*record.at, "malformed_message")) == 1
        assert labels(sink, "beside it") == ["beside it"]
        with sink.session, sink.session.cursor() as cursor:
            cursor.execute("DELETE FROM sink_offsets WHERE partition = 11")
        sink.restart()


def test_a_record_that_stands_refused_is_taken_when_it_is_given_back_and_only_once(sink: HandSink) -> None:
    record = sink.record(bad("given back"))
    sink.take(record)
    assert (*record.at, "not_storable") in refusals(sink)
    better = encode(good("given back"))
    batch = sink.take(given_back(sink, record, better), given_back(sink, record, better))
    assert (batch.duplicates, batch.rows) == (1, {"labels": 1})
    assert labels(sink, "given back") == ["given back"]
    assert record.at not in [row[:3] for row in refusals(sink)]
    assert sink.take(given_back(sink, record, better)).duplicates == 1
    assert position(sink, "labels", 0) == [record.offset() + 1], "its own log's position stays"


def test_of_refusals_that_differ_in_one_thing_the_one_given_back_goes(sink: HandSink) -> None:
    places = [("labels", 6, 1), ("labels", 6, 2), ("labels", 7, 1), ("alerts", 6, 1)]
    sink.take(*(Record(at, b"{") for at in places))
    sink.take(given_back(sink, Record(places[0], b"{"), encode(good("one of four"))))
    assert [row[:3] for row in refusals(sink) if row[1] in (6, 7)] == sorted(places[1:])


def test_a_record_given_back_that_is_bad_still_stands_refused_again(sink: HandSink) -> None:
    record = sink.record(bad("bad still"))
    sink.take(record)
    batch = sink.take(given_back(sink, record))
    assert [refusal.reason for refusal in batch.dead] == ["not_storable"]
    assert refusals(sink).count((*record.at, "not_storable")) == 1
    batch = sink.take(given_back(sink, record, b"{"))
    assert [row[3] for row in refusals(sink) if row[:3] == record.at] == ["malformed_message"]


def test_nothing_is_taken_back_that_this_database_has_not_refused_or_does_not_keep(sink: HandSink) -> None:
    sink.take(Record(("labels", 9, 5), b"{"))
    beside = [("labels", 9, 4), ("labels", 9, 6), ("labels", 8, 5), ("labels", 10, 5), (topics.NEWS, 9, 5)]
    unknown = [Record(at, encode(good("never refused"))) for at in beside]
    reference, other = Record((topics.INSTRUMENTS, 0, 0), b"{}"), Record(("features.x", 0, 0), b"{}")
    in_turn = Record((RETRIES, 0, 0), b"{}")
    for origin in (*unknown, reference, other, in_turn):
        batch = sink.take(given_back(sink, origin))
        assert (batch.duplicates, batch.rows, batch.dead) == (1, {}, [])
    nameless = sink.take(sink.record(encode(good("nameless")), RETRIES))
    assert (nameless.refused, nameless.duplicates) == ({"bad_headers": 1}, 0)
    assert labels(sink, "never refused", "nameless") == []


def test_alerts_that_come_again_from_the_beginning_change_nothing(sink: HandSink) -> None:
    records = [
        sink.record(made(Alert, salt, id=stable_id("again", salt % 2), revision=salt // 2)) for salt in range(10)
    ]
    sink.take(*records[:7])
    sink.take(*records[7:])
    before = [sink.rows(table, "true ORDER BY id") for table in ("alerts", "alert_history")]
    with sink.session, sink.session.cursor() as cursor:
        cursor.execute("DELETE FROM sink_offsets WHERE topic = 'alerts'")
    sink.restart()
    assert sink.take(*records).records == 10
    after = [sink.rows(table, "true ORDER BY id") for table in ("alerts", "alert_history")]
    assert [sorted(map(str, rows)) for rows in after] == [sorted(map(str, rows)) for rows in before]
    for row in after[0]:
        assert row == row_of(made(Alert, 8 if row["id"] == stable_id("again", 0) else 9, id=row["id"], revision=4), row)
