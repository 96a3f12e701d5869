"""Targets of recordings: a file of each kind, read as `produce replay` reads it."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from producers.recordings import RecordingOptions, open_recording
from producers.recordings.opening import kind_names
from tapewatch import frames
from tapewatch.errors import TapewatchError

Take = Callable[[bytes], None]

KINDS = kind_names()
NAMES = {"lobster": "AAPL_2012-06-21_34200000_57600000_message_10.csv"}
"""File names that tell something."""
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - a file of the target's own in a new folder


def replay(kind: str) -> Callable[[], Take]:
    """What gives a kind's target: the file is written to memory and read to its end."""

    def make() -> Take:
        folder = tempfile.TemporaryDirectory(dir=SHARED_MEMORY if SHARED_MEMORY.is_dir() else None)
        path = Path(folder.name) / NAMES.get(kind, "2330.XTAI.csv")
        options = RecordingOptions(instrument="2330.XTAI", date="2012-06-21", chunk_rows=64)

        def take(data: bytes, _kept: object = folder) -> None:
            path.write_bytes(data)
            try:
                recording = open_recording([path], kind=kind, options=options)
                for chunk in recording.chunks():
                    for rows in chunk.rows:
                        if len(rows):
                            frames.encode(rows)
            except TapewatchError:
                return

        return take

    return make
