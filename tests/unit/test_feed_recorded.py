"""Replays: frames are a function of the recording, heartbeats lie on its seconds, and readers admit all of it once."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.feed import FeedWriter, LogTail
from producers.replay import Replay
from streams.driver import Driver
from tapewatch.clock import NANOS, ManualClock
from tapewatch.contract import frames
from tapewatch.contract.frames import FrameHeaders
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.partitioner import partition_for
from tapewatch.contract.rows import REQUIRED, Chunk, Rows, RowType, StatusKind, numpy_dtype
from tapewatch.errors import TapewatchError
from tapewatch.market_log.registry import FixedRegistry
from tests.unit.live_feed import Records

AT = 1_600_000_000 * NANOS
NAMES = ("AAA.SIMX", "BBB.SIMX", "CCC.SIMX", "DDD.SIMX")
Stamp = tuple[int, RowType, int]
"""Milliseconds from AT, row type, instrument."""


@dataclass
class Source:
    """Drawn rows as a recording, cut into chunks."""

    stamps: list[Stamp]
    chunk: int = 1000
    fingerprint: str = "f" * 64
    instruments: Sequence[Instrument] = field(default_factory=lambda: [Instrument(id=name) for name in NAMES])

    def chunks(self) -> Iterator[Chunk]:
        stamps = sorted(self.stamps, key=lambda stamp: stamp[0])
        start = 0
        while start < len(stamps):
            stop = min(start + self.chunk, len(stamps))
            while stop < len(stamps) and stamps[stop][0] == stamps[stop - 1][0]:
                stop += 1
            part = stamps[start:stop]
            rows = [
                rows_of(kind, [stamp for stamp in part if stamp[1] is kind]) for kind in (RowType.QUOTE, RowType.TRADE)
            ]
            yield Chunk(AT + part[-1][0] * 1_000_000 + 1, rows)
            start = stop


def rows_of(row_type: RowType, stamps: list[Stamp]) -> Rows:
    times = np.array([AT + ms * 1_000_000 for ms, _, _ in stamps], dtype=np.int64)
    columns: dict[str, Any] = {name: np.ones(len(stamps), dtype=numpy_dtype(kind)) for name, kind in REQUIRED[row_type]}
    columns |= {"instrument": np.array([code for _, _, code in stamps], np.int32), "ts_event": times, "ts_recv": times}
    if row_type is RowType.TRADE:
        columns["condition"] = np.zeros(len(stamps), np.int8)
    return Rows(row_type, NAMES, columns)


def sent(source: Source, partitions: int = 1, speed: float = math.inf, clock: ManualClock | None = None) -> Records:
    records, used = Records(), clock or ManualClock(AT)
    ids = [instrument.id for instrument in source.instruments]
    feed = FeedWriter(records, "r", f"replay-{source.fingerprint}", 0, partitions, ids, used)
    assert Replay(feed, speed, used).send(source)
    return records


def logs(records: Records, partitions: int) -> list[list[Rows]]:
    """Each partition's frames, decoded, in order; checks that sequences count from 0."""
    out: list[list[Rows]] = [[] for _ in range(partitions)]
    for partition, value, headers in records.records:
        read = FrameHeaders.from_kafka(headers)
        assert (read.epoch, read.sequence) == (0, len(out[partition]))
        out[partition].append(frames.to_rows(value))
    return out


def is_beat(rows: Rows) -> bool:
    return rows.type is RowType.STATUS and set(rows.columns["kind"]) == {StatusKind.HEARTBEAT}


def flat(log: list[Rows]) -> list[tuple[int, bool, RowType, str]]:
    return [
        (int(ts), is_beat(rows), rows.type, rows.instruments[code])
        for rows in log
        for ts, code in zip(rows.ts_recv, rows.columns["instrument"], strict=True)
    ]


stamps = st.lists(
    st.tuples(st.integers(0, 200_000), st.sampled_from([RowType.TRADE, RowType.QUOTE]), st.integers(0, 3)),
    min_size=1,
    max_size=60,
)


@settings(max_examples=60, deadline=None)
@given(stamps, st.integers(1, 3), st.integers(1, 20))
def test_log_is_the_merged_order_with_a_heartbeat_before_each_second(
    drawn: list[Stamp], partitions: int, chunk: int
) -> None:
    source = Source(drawn, chunk)
    seconds = [(AT + ms * 1_000_000) // NANOS for ms, _, _ in drawn]
    for partition, log in enumerate(logs(sent(source, partitions), partitions)):
        rows = flat(log)
        beats = [ts for ts, beat, _, _ in rows if beat]
        assert beats == [second * NANOS for second in range(min(seconds), max(seconds) + 2)]
        # A heartbeat sorts before the rows of its instant.
        assert [(ts, not beat, kind) for ts, beat, kind, _ in rows] == sorted(
            (ts, not beat, kind) for ts, beat, kind, _ in rows
        )
        own = [(ms, kind) for ms, kind, code in drawn if partition_for(NAMES[code], partitions) == partition]
        assert len(rows) - len(beats) == len(own)


@settings(max_examples=40, deadline=None)
@given(stamps, st.integers(1, 3))
def test_second_replay_is_the_same_bytes_at_any_speed(drawn: list[Stamp], partitions: int) -> None:
    source = Source(drawn, 7)

    def plain(records: Records) -> list[list[tuple[bytes, Any]]]:
        return [
            [
                (value, [pair for pair in headers if pair[0] != "produced_at"])
                for at, value, headers in records.records
                if at == p
            ]
            for p in range(partitions)
        ]

    assert plain(sent(source, partitions)) == plain(sent(source, partitions, 1000.0, ManualClock(9 * AT // 8)))


@settings(max_examples=40, deadline=None)
@given(stamps)
def test_frames_cross_seconds_only_with_heartbeats_and_span_a_minute_at_most(drawn: list[Stamp]) -> None:
    for rows in logs(sent(Source(drawn)), 1)[0]:
        seconds = rows.ts_recv // NANOS
        assert is_beat(rows) or len(set(seconds.tolist())) == 1
        assert seconds[-1] - seconds[0] < 60
        assert len(rows) <= 1024


def test_runs_of_one_type_are_whole_frames_and_are_cut_at_1024_rows() -> None:
    drawn = [(n // 4, RowType.TRADE, 0) for n in range(1500)] + [(400, RowType.QUOTE, 0), (401, RowType.TRADE, 0)]
    log = logs(sent(Source(drawn, 10_000)), 1)[0]
    assert [(rows.type, len(rows)) for rows in log if not is_beat(rows)] == [
        (RowType.TRADE, 1024),
        (RowType.TRADE, 476),
        (RowType.QUOTE, 1),
        (RowType.TRADE, 1),
    ]


def test_driver_admits_a_replay_once_and_drops_the_second() -> None:
    drawn = [(n * 137, [RowType.TRADE, RowType.QUOTE][n % 2], n % 4) for n in range(400)]
    source = Source(drawn, 50)
    driver = Driver(FixedRegistry(source.instruments))
    records = sent(source).records
    for _, value, headers in [*records, *sent(source).records]:
        driver.record(value, headers)
    tally = driver.task.tally
    assert not tally.refused
    assert (tally.frames, tally.duplicates) == (len(records), len(records))
    assert (tally.rows["trade"], tally.rows["quote"]) == (200, 200)


def test_recorded_speed_waits_for_each_frame_and_a_multiple_divides_the_wait() -> None:
    source = Source([(0, RowType.TRADE, 0), (90_000, RowType.TRADE, 0)])
    for speed, seconds in ((1.0, 91), (10.0, 9.1)):
        clock = ManualClock(AT)
        sent(source, 1, speed, clock)
        assert clock.now() - AT == pytest.approx(seconds * NANOS, abs=1e6)


def test_feed_that_is_ahead_of_the_recording_is_refused() -> None:
    clock = ManualClock(AT)
    feed = FeedWriter(Records(), "r", "replay-x", 0, 1, NAMES, clock)
    tail = LogTail(AT + 10 * NANOS, {"synthetic": 5})
    with pytest.raises(TapewatchError, match="holds rows of synthetic"):
        Replay(feed, clock=clock, tail=tail).send(Source([(0, RowType.TRADE, 0)]))
    own = LogTail(AT + 10 * NANOS, {"replay-x": 0})
    assert Replay(feed, clock=clock, tail=own).send(Source([(0, RowType.TRADE, 0)]))
