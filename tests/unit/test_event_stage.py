"""A low-rate stage's records: which of those that Faust hands over were not taken yet."""

from streams.event_stage.records import Record, fresh


def record(offset: int, topic: str = "news") -> Record:
    return Record((topic, 0), offset, b"", 0)


def test_records_before_the_committed_offset_are_passed_over() -> None:
    assert fresh(map(record, (3, 4, 5)), {("news", 0): 5}) == [record(5)]


def test_records_handed_out_anew_within_one_batch_are_taken_once() -> None:
    both = [record(5), record(6), record(5, "alerts"), record(5), record(6), record(8)]
    assert fresh(both, {("news", 0): 5}) == [record(5), record(6), record(5, "alerts"), record(8)]
