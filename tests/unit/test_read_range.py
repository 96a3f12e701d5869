"""A range of a log: its silence is the log's own, whatever its caller does between two records."""

from typing import Any

import pytest

from tapewatch.clock import NANOS, ManualClock
from tapewatch.errors import UnansweredError
from tapewatch.runtime import kafka
from tests.unit.recovery_scene import Reader, Record


class BlockingReader(Reader):
    """A consumer whose reading of nothing takes as long as it may."""

    def __init__(self, records: list[Record], at_once: int, clock: ManualClock) -> None:
        super().__init__(records, at_once)
        self._clock = clock

    def consume(self, most: int, timeout: float) -> list[Record]:
        records = super().consume(most, timeout)
        if not records:
            self._clock.sleep(timeout)
        return records


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> ManualClock:
    clock = ManualClock()
    monkeypatch.setattr(kafka, "WALL", clock)
    return clock


def test_caller_that_takes_minutes_between_two_records_is_no_silence_of_the_log(clock: ManualClock) -> None:
    reader: Any = BlockingReader([Record(offset, b"") for offset in range(6)], 2, clock)
    read = []
    for message in kafka.read_range(reader, "t", 0, 0, 6):
        read.append(message.offset())
        clock.sleep(90)
    assert read == [0, 1, 2, 3, 4, 5]


def test_log_that_stands_still_is_told_after_half_a_minute(clock: ManualClock) -> None:
    reader: Any = BlockingReader([Record(offset, b"") for offset in range(4)], 2, clock)
    read = []
    with pytest.raises(UnansweredError, match=r"t\[0\] does not move before offset 6"):
        for message in kafka.read_range(reader, "t", 0, 0, 6):
            read.append(message.offset())
            clock.sleep(90)
    # Four records of 90 s, then readings of 50 ms until more than 30 s were waited for.
    assert read == [0, 1, 2, 3]
    assert 390 < clock.elapsed() / NANOS <= 390.1
