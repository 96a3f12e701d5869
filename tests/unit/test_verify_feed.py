"""Whole-feed verification tells lost, doubled, changed and swapped rows apart, and says where they are."""

from dataclasses import replace
from functools import cache

import pytest

from streams.engine.models import ModelStore
from streams.verifying.aligning import ComparisonResult, Place
from streams.verifying.feed import report
from streams.verifying.partition import PartitionResult
from tapewatch.contract import frames, topics
from tests.unit import fake_log as f


@cache
def once() -> tuple[f.FakeLog, ModelStore]:
    return f.worked()


@pytest.fixture
def log() -> f.FakeLog:
    return once()[0].copy()


def verified(log: f.FakeLog, end: int = 0) -> list[PartitionResult]:
    return [f.checked(log, once()[1], partition, end) for partition in range(f.PARTITIONS)]


def wrong(log: f.FakeLog) -> dict[tuple[int, str, str], tuple[int, int, int]]:
    """Lost, duplicated and different rows by input partition, topic and type, where there are any."""
    return {
        (one.partition, *stream): (found.lost, found.duplicated, found.different)
        for one in verified(log)
        for stream, found in one.streams.items()
        if found.lost or found.duplicated or found.different
    }


def places(log: f.FakeLog, topic: str, partition: int = 0) -> list[Place]:
    return [
        place
        for (name, _), found in verified(log)[partition].streams.items()
        if name == topic
        for place in found.places
    ]


def frame(log: f.FakeLog, topic: str, kind: bytes, partition: int = 0, least: int = 4) -> int:
    """Place of a record of a row type with a few rows, behind the first ones."""
    found = [
        at
        for at, record in enumerate(log.kept[topic, partition])
        if dict(record.headers())["type"] == kind and frames.read_stream(record.value()).num_rows >= least
    ]
    return found[len(found) // 2]


def every_stream() -> dict[tuple[str, str], ComparisonResult]:
    together: dict[tuple[str, str], ComparisonResult] = {}
    for one in verified(once()[0]):
        for stream, found in one.streams.items():
            together.setdefault(stream, ComparisonResult()).add(found)
    return together


def test_log_as_the_engine_wrote_it_is_proved_whatever_its_cuts():
    assert wrong(once()[0]) == {}
    assert {stream for stream, found in every_stream().items() if found.rows} == {
        (topics.FEATURES, "features"),
        (topics.FEATURES, "sealed"),
        (topics.SCORES, "scores"),
        (topics.BARS, "bars"),
        (topics.BARS, "sealed-minutes"),
        (topics.SIGNALS, "signal"),
        (topics.dead_letters(topics.market(f.FEED)), "dead letter"),
    }
    told = report(f.FEED, verified(once()[0]), 0, 1.0)
    assert told.sound
    assert told.rows_in["trade"] == 4 * 90
    assert told.refused == {"unreadable": 2, "unregistered_instrument": 2}


def test_another_cut_into_transactions_is_the_same_log():
    whole, _ = f.worked([])
    single, _ = f.worked(range(10_000))
    assert wrong(whole) == wrong(single) == {}


def test_lost_row_is_named(log):
    at = frame(log, topics.FEATURES, b"features")
    record = log.kept[topics.FEATURES, 0][at]
    rows = frames.read_stream(record.value())
    log.change(topics.FEATURES, 0, at, [f.with_rows(record, [0, *range(2, rows.num_rows)])])
    assert wrong(log) == {(0, topics.FEATURES, "features"): (1, 0, 0)}
    lost = rows.slice(1, 1).to_pylist()[0]
    (place,) = places(log, topics.FEATURES)
    assert (place.kind, place.offset, place.instrument) == ("lost", lost["offset"], lost["instrument"])
    assert place.second == lost["ts"].isoformat().replace("+00:00", ".000000000Z")


def test_lost_record_loses_all_its_rows(log):
    at = frame(log, topics.SCORES, b"scores")
    rows = frames.read_stream(log.kept[topics.SCORES, 0][at].value()).num_rows
    log.change(topics.SCORES, 0, at, [])
    assert wrong(log) == {(0, topics.SCORES, "scores"): (rows, 0, 0)}


def test_doubled_row_is_named(log):
    at = frame(log, topics.FEATURES, b"features")
    record = log.kept[topics.FEATURES, 0][at]
    log.change(
        topics.FEATURES, 0, at, [f.with_rows(record, [0, 1, 1, *range(2, frames.read_stream(record.value()).num_rows)])]
    )
    assert wrong(log) == {(0, topics.FEATURES, "features"): (0, 1, 0)}


def test_transaction_written_again_later_is_doubled(log):
    at = frame(log, topics.FEATURES, b"features")
    record = log.kept[topics.FEATURES, 0][at]
    rows = frames.read_stream(record.value()).num_rows
    log.kept[topics.FEATURES, 0].append(record)
    assert wrong(log) == {(0, topics.FEATURES, "features"): (0, rows, 0)}


def test_changed_value_is_different(log):
    at = frame(log, topics.FEATURES, b"features")
    log.change(topics.FEATURES, 0, at, [f.with_value(log.kept[topics.FEATURES, 0][at], 5, 2, 0.25)])
    assert wrong(log) == {(0, topics.FEATURES, "features"): (0, 0, 1)}


def test_changed_key_is_different_and_neither_lost_nor_doubled(log):
    at = frame(log, topics.FEATURES, b"features")
    record = log.kept[topics.FEATURES, 0][at]
    ts = frames.read_stream(record.value()).column(1).cast("int64").to_pylist()[2]
    log.change(topics.FEATURES, 0, at, [f.with_value(record, 1, 2, ts + 1)])
    assert wrong(log) == {(0, topics.FEATURES, "features"): (0, 0, 1)}


def test_swapped_rows_are_different(log):
    at = frame(log, topics.SCORES, b"scores")
    record = log.kept[topics.SCORES, 0][at]
    rows = frames.read_stream(record.value()).num_rows
    log.change(topics.SCORES, 0, at, [f.with_rows(record, [1, 0, *range(2, rows)])])
    assert wrong(log) == {(0, topics.SCORES, "scores"): (0, 0, 1)}


def test_record_that_comes_far_too_late_is_different_not_lost(log):
    at = frame(log, topics.FEATURES, b"features")
    record = log.kept[topics.FEATURES, 0][at]
    log.change(topics.FEATURES, 0, at, [])
    log.kept[topics.FEATURES, 0].append(record)
    (found,) = wrong(log).values()
    assert found == (0, 0, frames.read_stream(record.value()).num_rows)


def test_missing_output_partition_is_all_lost(log):
    wanted = verified(log)[1].streams[topics.SCORES, "scores"].rows
    del log.kept[topics.SCORES, 1]
    assert wrong(log) == {(1, topics.SCORES, "scores"): (wanted, 0, 0)}
    assert any("scores scores of input partition 1" in line for line in report(f.FEED, verified(log), 0, 1.0).lines())


def test_missing_output_topic_is_all_lost(log):
    wanted = sum(one.streams[topics.BARS, "bars"].rows for one in verified(log))
    log.partitions.pop(topics.BARS)
    found = report(f.FEED, verified(log), 0, 1.0)
    assert sum(table.lost for table in found.tables if table.type == "bars") == wanted


def test_row_in_a_partition_that_is_not_its_own_is_doubled(log):
    record = log.kept[topics.FEATURES, 0][frame(log, topics.FEATURES, b"sealed", least=1)]
    rows = frames.read_stream(record.value()).num_rows
    log.kept[topics.FEATURES, 1].append(record)
    assert wrong(log) == {(1, topics.FEATURES, "sealed"): (0, rows, 0)}


def test_signal_of_another_instruments_partition_is_found_there(log):
    signals = {place: records for place, records in log.kept.items() if place[0] == topics.SIGNALS and records}
    assert len(signals) > 1, "signals must lie in several partitions for this test to say anything"
    place, records = next(iter(signals.items()))
    log.kept[place] = records[1:]
    log.kept.setdefault((topics.SIGNALS, (place[1] + 1) % 3), []).append(records[0])
    assert [sum(kind) for kind in zip(*wrong(log).values(), strict=True)] == [1, 1, 0]


def test_changed_byte_of_a_message_is_different(log):
    place, records = next(
        (place, records) for place, records in log.kept.items() if place[0] == topics.SIGNALS and records
    )
    changed = records[0].value().replace(b'"policy":"ddqn"', b'"policy":"ddqm"')
    log.kept[place] = [replace(records[0], _value=changed), *records[1:]]
    (found,) = wrong(log).values()
    assert found == (0, 0, 1)


def test_message_of_another_build_is_compared_without_its_name(log):
    place, records = next(
        (place, records) for place, records in log.kept.items() if place[0] == topics.SIGNALS and records
    )
    build = records[0].value().split(b'"build":"')[1].split(b'"')[0]
    log.kept[place] = [replace(records[0], _value=records[0].value().replace(build, b"0" * 16)), *records[1:]]
    found = report(f.FEED, verified(log), 0, 1.0)
    assert (found.sound, found.other_builds) == (True, 1)


def test_lost_dead_letter_is_named(log):
    topic = topics.dead_letters(topics.market(f.FEED))
    log.kept[topic, 0] = log.kept[topic, 0][1:]
    assert list(wrong(log).values()) == [(1, 0, 0)]


def test_letters_of_producers_and_sinks_beside_the_engines_do_not_count(log):
    topic = topics.dead_letters(topics.market(f.FEED))
    letter = log.kept[topic, 0][0]
    headers = [(name, b"elasticsearch" if name == "refused_by" else value) for name, value in letter.headers()]
    log.kept[topic, 0].append(replace(letter, _headers=headers))
    assert wrong(log) == {}


def test_damaged_frame_loses_its_rows_and_is_different(log):
    at = frame(log, topics.FEATURES, b"features")
    record = log.kept[topics.FEATURES, 0][at]
    rows = frames.read_stream(record.value()).num_rows
    log.change(topics.FEATURES, 0, at, [replace(record, _value=record.value()[:200])])
    assert wrong(log) == {(0, topics.FEATURES, "features"): (rows, 0, 1)}


def test_rows_of_frames_behind_the_end_are_left_out(log):
    assert all(
        not (found.lost or found.duplicated or found.different)
        for one in verified(log, end=77)
        for found in one.streams.values()
    )


def test_other_feeds_on_the_same_topics_do_not_count(log):
    record = log.kept[topics.FEATURES, 0][0]
    headers = [(name, b"other" if name == "feed" else value) for name, value in record.headers()]
    log.kept[topics.FEATURES, 0].insert(3, replace(record, _headers=headers))
    assert wrong(log) == {}
