"""The way into a market topic: split by partition, frame, count, send, and never lose a frame in silence."""

from producers.feed import writer_metrics
from producers.feed.encoder import FrameEncoder
from producers.feed.live import LiveWriter
from producers.feed.log_tail import LogTail, await_engine, feed_producer, open_feed, read_tail
from producers.feed.recorded import RecordedFrames, ScheduledFrame
from producers.feed.refusals import refused_line, send_refusals
from producers.feed.splitter import Splitter
from producers.feed.writer import MAX_FRAME_ROWS, FeedWriter, Rate, RecordProducer, WriterTotals

__all__ = [
    "MAX_FRAME_ROWS",
    "FeedWriter",
    "FrameEncoder",
    "LiveWriter",
    "LogTail",
    "Rate",
    "RecordProducer",
    "RecordedFrames",
    "ScheduledFrame",
    "Splitter",
    "WriterTotals",
    "await_engine",
    "feed_producer",
    "open_feed",
    "read_tail",
    "refused_line",
    "send_refusals",
    "writer_metrics",
]
