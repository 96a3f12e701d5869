"""Replay: a recording as a feed of its own, at recorded speed or any other; sent twice it is the same twice."""

import math
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from producers.feed import (
    FeedWriter,
    LogTail,
    RecordedFrames,
    ScheduledFrame,
    feed_producer,
    open_feed,
    read_tail,
    send_refusals,
    writer_metrics,
)
from producers.recordings import Recording, RecordingOptions, open_recording
from tapewatch.clock import NANOS, WALL, Clock
from tapewatch.contract import topics
from tapewatch.contract.rows import RowSource
from tapewatch.errors import TapewatchError
from tapewatch.rfc3339 import to_rfc3339
from tapewatch.runtime.monitoring import Monitor
from tapewatch.settings import Settings

FEW_INSTRUMENTS = 8
"""Recordings of so few instruments get one partition by default."""
MAX_SPEED = math.inf

_SLICE_S = 0.1
_EPOCH = 0

Watch = Callable[[FeedWriter, int], None]
"""Called after every frame with the writer and the frame's time, UTC nanoseconds."""


class ReplaySummary(msgspec.Struct, frozen=True):
    """What a replay sent.

    speed : times recorded speed, 0 for as fast as it goes
    rows : by row type, heartbeats not among them; refused : refused lines by reason
    dead_letters : refused lines written to the feed's dead letters now (an earlier replay may have written them)
    first, last : recorded times of the first and last frame, RFC 3339, empty for none; seconds : wall time, s
    complete : False where it was stopped; report : what became of every line of the recording
    """

    feed: str
    topic: str
    source: str
    fingerprint: str
    partitions: int
    speed: float
    rows: dict[str, int]
    heartbeats: int
    frames: int
    bytes: int
    refused: dict[str, int]
    dead_letters: int
    first: str
    last: str
    seconds: float
    rows_per_s: float
    complete: bool
    report: dict[str, Any]


def feed_name(recording: Recording) -> str:
    """The feed that a recording gets by default."""
    return f"replay-{recording.fingerprint[:12]}"


def source_name(recording: RowSource) -> str:
    """The `source` header of a recording's frames."""
    return f"replay-{recording.fingerprint}"


def partitions_for(source: RowSource, settings: Settings) -> int:
    """Partitions of a new topic for a recording: one for up to 8 instruments, else the setting."""
    return 1 if len(source.instruments) <= FEW_INSTRUMENTS else settings.topics.market_partitions


def replay(
    settings: Settings,
    paths: Sequence[Path],
    *,
    kind: str | None = None,
    options: RecordingOptions | None = None,
    feed: str = "",
    speed: float = MAX_SPEED,
    partitions: int = 0,
    clock: Clock = WALL,
    stop: threading.Event | None = None,
    watch: Watch | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> ReplaySummary:
    """Send recordings into their feed and wait until every frame is acknowledged.

    speed : times recorded speed; infinity is as fast as it goes
    partitions : of a new topic, 0 takes the default; a topic that exists keeps its own
    stop : ends the replay at the next frame; watch : sees every frame; say : gets what the user should know
    TapewatchError if a file cannot be read, the feed holds newer rows of another source, or Kafka refuses a frame.
    """
    recording = open_recording(paths, kind=kind, options=options)
    name = feed or feed_name(recording)
    wanted = partitions or partitions_for(recording, settings)
    count = open_feed(settings, name, recording.instruments, wanted, clock)
    if partitions and count != partitions:
        say(f"{topics.market(name)} exists with {count} partitions; using these, not {partitions}")
    tail = read_tail(settings, name)
    producer = feed_producer(settings, linger_ms=5)
    ids = [instrument.id for instrument in recording.instruments]
    writer = FeedWriter(producer, name, source_name(recording), _EPOCH, count, ids, clock)
    started = clock.elapsed()
    with Monitor("producer", settings) as monitor:
        writer_metrics.show(monitor, lambda: writer)
        monitor.ready()
        run = Replay(writer, speed, clock, stop or threading.Event(), watch, tail, monitor.beat)
        complete = run.send(recording)
        writer.flush()
    letters = send_refusals(settings, name, writer.source, recording.report.refused)
    return _summary(recording, run, complete, letters, (clock.elapsed() - started) / NANOS)


class Replay:
    """Sends a source's frames at a given speed. beat : called in every turn"""

    def __init__(
        self,
        writer: FeedWriter,
        speed: float = MAX_SPEED,
        clock: Clock = WALL,
        stop: threading.Event | None = None,
        watch: Watch | None = None,
        tail: LogTail | None = None,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        if not speed > 0.0:
            raise TapewatchError(f"a replay's speed is above 0, not {speed}", "Give a number of times, or max.")
        self.writer, self.speed = writer, speed
        self.first_ns = self.last_ns = 0
        self._clock = clock
        self._stop = stop or threading.Event()
        self._watch, self._beat = watch, beat
        self._tail = tail or LogTail()
        self._start_ns = 0

    def send(self, source: RowSource) -> bool:
        """Send every frame; False where it was stopped before the end."""
        frames = RecordedFrames(self.writer.partitions)
        for chunk in source.chunks():
            if not all(self._send(frame) for frame in frames.cut(chunk)):
                return False
        return all(self._send(frame) for frame in frames.end())

    def _send(self, frame: ScheduledFrame) -> bool:
        """Send one frame when it is due; False where the replay was stopped."""
        self._beat()
        if not self.first_ns:
            self._begin(frame.due_ns)
        if self._stop.is_set() or not (self.speed == MAX_SPEED or self._wait(frame.due_ns)):
            return False
        if frame.rows is None:
            self.writer.heartbeats(frame.partition, np.arange(frame.beats.start, frame.beats.stop) * NANOS)
        else:
            self.writer.send(frame.partition, frame.rows)
        self.last_ns = frame.due_ns
        if self._watch is not None:
            self._watch(self.writer, frame.due_ns)
        return True

    def _begin(self, first_ns: int) -> None:
        """Refuse a feed whose log is ahead of the recording: every row would be refused as late."""
        self.first_ns, self._start_ns = first_ns, self._clock.elapsed()
        others = set(self._tail.epochs) - {self.writer.source}
        if others and self._tail.newest_ns >= first_ns:
            raise TapewatchError(
                f"{self.writer.topic} holds rows of {min(others)} up to {to_rfc3339(self._tail.newest_ns)}: "
                f"a recording that begins at {to_rfc3339(first_ns)} would be refused as late",
                "Give it a feed of its own with --feed, or none to get one.",
            )

    def _wait(self, due_ns: int) -> bool:
        """Wait until recorded time has come so far; False where the replay was stopped meanwhile."""
        due = self._start_ns + int((due_ns - self.first_ns) / self.speed)
        while (left := due - self._clock.elapsed()) > 0:
            if self._stop.is_set():
                return False
            self._beat()
            self.writer.poll()
            self._clock.sleep(min(left / NANOS, _SLICE_S))
        return True


def _summary(recording: Recording, run: Replay, complete: bool, letters: int, seconds: float) -> ReplaySummary:
    writer, sent = run.writer, run.writer.sent
    return ReplaySummary(
        feed=writer.feed,
        topic=writer.topic,
        source=writer.source,
        fingerprint=recording.fingerprint,
        partitions=writer.partitions,
        speed=0.0 if run.speed == MAX_SPEED else run.speed,
        rows=dict(sorted(sent.rows.items())),
        heartbeats=sent.heartbeats,
        frames=sent.frames,
        bytes=sent.bytes,
        refused=dict(sorted(recording.report.reasons.items())),
        dead_letters=letters,
        first=to_rfc3339(run.first_ns) if run.first_ns else "",
        last=to_rfc3339(run.last_ns) if run.last_ns else "",
        seconds=round(seconds, 3),
        rows_per_s=round(sent.rows.total() / max(seconds, 1e-9), 1),
        complete=complete,
        report=recording.report.as_dict(),
    )
