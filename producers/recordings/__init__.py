"""Parsers of recordings: each yields chunks of contract rows in receipt order."""

from producers.recordings.opening import PARSER_VERSION, Recording, kind_names, open_recording
from producers.recordings.options import RecordingOptions
from producers.recordings.order import merged_order
from producers.recordings.pumps import announcement_ns
from producers.recordings.report import RecordingReport, Refusal

__all__ = [
    "PARSER_VERSION",
    "Recording",
    "RecordingOptions",
    "RecordingReport",
    "Refusal",
    "announcement_ns",
    "kind_names",
    "merged_order",
    "open_recording",
]
