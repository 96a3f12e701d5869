"""Reading recordings from disk: the head of a file, its lines, and the hash of its content; gzip throughout."""

import gzip
import hashlib
import zlib
from collections.abc import Iterator
from io import BufferedIOBase
from pathlib import Path

from producers.recordings.report import RecordingReport
from producers.recordings.series import Head
from tapewatch.errors import TapewatchError

HEAD_BYTES = 1 << 20
BLOCK_BYTES = 1 << 20
LINE_LIMIT = 4 << 20
"""A longer line is refused; the largest legitimate one is a REST snapshot of 5,000 levels a side."""
GZIP_MAGIC = b"\x1f\x8b"
BOM = b"\xef\xbb\xbf"


def head_of(path: Path) -> Head:
    """How the file begins; TapewatchError if it cannot be read."""
    try:
        with path.open("rb") as raw:
            magic = raw.read(8)
        text = b"".join(_first_blocks(path))
    except OSError as error:
        raise TapewatchError(f"cannot read {path}: {error}", "Check the path and that the file is whole.") from error
    return Head(path, magic, text)


def opened(path: Path) -> BufferedIOBase:
    """The file's decompressed bytes, by its magic bytes rather than its name."""
    with path.open("rb") as raw:
        zipped = raw.read(2) == GZIP_MAGIC
    return gzip.GzipFile(path, "rb") if zipped else path.open("rb")


def line_blocks(
    path: Path, report: RecordingReport, size: int, limit: int = LINE_LIMIT
) -> Iterator[tuple[int, list[bytes]]]:
    """The file's lines without line ends as (number of the first line from 1, `size` lines; fewer at the end).

    A line over `limit` bytes is refused and stands as an empty line, so that numbers hold; a gzip file that ends too
    early is refused once, after its last whole byte.
    """
    number = 1
    lines: list[bytes] = []
    for line in _lines(path, report, limit):
        lines.append(line)
        if len(lines) == size:
            yield number, lines
            number += size
            lines = []
    if lines:
        yield number, lines


def _lines(path: Path, report: RecordingReport, limit: int) -> Iterator[bytes]:
    """Lines one by one."""
    number = 0
    tail = b""
    for block in _raw_blocks(path, report):
        *lines, tail = (tail + block).split(b"\n")
        tail = tail[: limit + 1]
        for line in lines:
            number += 1
            yield _whole(line, path, number, report, limit)
    if tail:
        yield _whole(tail, path, number + 1, report, limit)


def _whole(line: bytes, path: Path, number: int, report: RecordingReport, limit: int) -> bytes:
    """The line without carriage return and byte-order mark; empty if it is too long."""
    if number == 1:
        line = line.removeprefix(BOM)
    if len(line) > limit:
        report.lines += 1
        report.refuse(path.name, number, "oversized_line", line)
        return b""
    return line[:-1] if line.endswith(b"\r") else line


def _raw_blocks(path: Path, report: RecordingReport) -> Iterator[bytes]:
    """Decompressed blocks up to the end, or to where a cut-off file breaks."""
    with opened(path) as stream:
        while True:
            try:
                block = stream.read1(BLOCK_BYTES)  # unlike read, loses nothing of what came before a break
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                report.refuse(path.name, 0, "truncated_file", str(error).encode())
                return
            if not block:
                return
            yield block


def _first_blocks(path: Path) -> Iterator[bytes]:
    """Decompressed blocks of the first MiB."""
    left = HEAD_BYTES
    for block in _raw_blocks(path, RecordingReport()):
        yield block[:left]
        left -= len(block)
        if left <= 0:
            return


def content_hash(path: Path) -> str:
    """SHA-256 of the file's bytes as they lie on disk."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
