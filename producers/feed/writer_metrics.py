"""What a feed's writer shows: rows and frames handed to Kafka, and what it has not confirmed yet."""

from collections.abc import Callable

from producers.feed.writer import FeedWriter
from tapewatch.runtime.monitoring import Metric, Monitor, counter, gauge

ROWS = counter("tapewatch_feed_rows_total", "Rows handed to Kafka, by type; heartbeats not among them.", "feed", "type")
HEARTBEATS = counter("tapewatch_feed_heartbeats_total", "Heartbeats handed to Kafka.", "feed")
FRAMES = counter("tapewatch_feed_frames_total", "Frames handed to Kafka.", "feed")
BYTES = counter("tapewatch_feed_bytes_total", "Bytes of frames, before compression.", "feed")
WAITS = counter("tapewatch_feed_waits_total", "Times that the full send queue made the writer wait.", "feed")
UNACKNOWLEDGED = gauge("tapewatch_feed_unacknowledged_frames", "Frames that Kafka has not confirmed yet.", "feed")

Readings = dict[tuple[str, ...], float]


def show(monitor: Monitor, writer: Callable[[], FeedWriter | None]) -> None:
    """Let the writer's counts be read whenever somebody looks; nothing is shown before there is one."""
    counts: dict[Metric, Callable[[FeedWriter], float]] = {
        HEARTBEATS: lambda one: one.sent.heartbeats,
        FRAMES: lambda one: one.sent.frames,
        BYTES: lambda one: one.sent.bytes,
        WAITS: lambda one: one.sent.waits,
        UNACKNOWLEDGED: lambda one: one.unacknowledged,
    }

    def rows() -> Readings:
        one = writer()
        return {} if one is None else {(one.feed, kind): count for kind, count in dict(one.sent.rows).items()}

    def reading(count: Callable[[FeedWriter], float]) -> Callable[[], Readings]:
        def read() -> Readings:
            one = writer()
            return {} if one is None else {(one.feed,): count(one)}

        return read

    monitor.show(ROWS, rows)
    for metric, count in counts.items():
        monitor.show(metric, reading(count))
