"""Recorded sessions, `local_ns SPACE json` a line, sent again at the recorded pace, N times, or as fast as it goes."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from producers.recordings.files import line_blocks
from producers.recordings.report import RecordingReport
from tapewatch.clock import NANOS

BATCH = 256
_LINE = re.compile(rb"(\d{16,19}) (\{.*)", re.DOTALL)
_STREAM = re.compile(rb'\{"stream":"([^"]*)"')

Turn = Callable[[], Awaitable[None]]


class RecordedLine(NamedTuple):
    """A message as it was received. received : UTC ns of then; stream : empty where it is none of a combined stream"""

    received: int
    stream: str
    message: bytes


def recorded_lines(paths: Sequence[Path]) -> Iterator[RecordedLine]:
    """The messages of several files, one after another; lines of another form are left out."""
    report = RecordingReport()
    for path in paths:
        for _, lines in line_blocks(path, report, BATCH):
            for line in lines:
                found = _LINE.match(line)
                if found is not None:
                    stream = _STREAM.match(found[2])
                    yield RecordedLine(int(found[1]), stream[1].decode() if stream else "", found[2])


def snapshot_of(paths: Sequence[Path]) -> bytes:
    """The first recorded answer to a request for a book, which is no message of a stream; empty if there is none."""
    return next((line.message for line in recorded_lines(paths) if b'"lastUpdateId"' in line.message[:40]), b"")


async def send_recorded(
    lines: Iterable[RecordedLine], take: Callable[[RecordedLine], None], turn: Turn, pace: float = 0.0
) -> None:
    """Hand on line after line. take : puts a line where it goes; turn : writes what was put, and waits for slow clients

    pace : 1 recorded, N times that, 0 as fast as `turn` lets it
    """
    time = asyncio.get_running_loop().time
    began, first = time(), -1
    for count, line in enumerate(lines):
        first = line.received if first < 0 else first
        ahead = (line.received - first) / NANOS / pace - (time() - began) if pace else 0.0
        if ahead > 0.0 or count % BATCH == 0:
            await turn()
            await asyncio.sleep(max(0.0, ahead))
        take(line)
    await turn()
