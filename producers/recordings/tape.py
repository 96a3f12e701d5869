"""Tapes of live sessions (`produce VENUE --record FILE`), played to the venue's decoder again."""

from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import msgspec

from producers.base.collector import Collector
from producers.base.tape import TAPE_VERSION, TapeEvent, TapeHeader
from producers.recordings.files import line_blocks
from producers.recordings.options import RecordingOptions
from producers.recordings.report import RecordingReport
from producers.recordings.series import Blocks, Head, Series, never_back
from producers.venues.decoders import TapeDecoder, make_decoder
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.rows import Rows
from tapewatch.errors import TapewatchError

name = "tape"

LINES_A_READ = 512
LINE_LIMIT = 64 << 20
"""A longer line is refused: the largest messages and answers that live sources take have 16 MiB, before escapes."""
_FOLLOW = b'{"kind":"follow"'


class TapeSeries:
    """One tape. The decoder's questions are not asked: their answers lie on the tape."""

    def __init__(self, path: Path, header: TapeHeader, options: RecordingOptions) -> None:
        self.paths = [path]
        self._header = header
        self._options = options
        self._decode = msgspec.json.Decoder(TapeEvent).decode

    @property
    def identity(self) -> str:
        """Kind, venue and the version of its decoder."""
        return f"{name} {self._header.venue} {self._header.parser}"

    @cached_property
    def instruments(self) -> Sequence[Instrument]:
        """Every instrument that was followed, as it was last known; reads the tape once."""
        found: dict[str, Instrument] = {}
        for _, lines in line_blocks(self.paths[0], RecordingReport(), LINES_A_READ, LINE_LIMIT):
            for line in lines:
                if line.startswith(_FOLLOW):
                    try:
                        event = self._decode(line)
                    except msgspec.MsgspecError:
                        continue
                    found |= {listing.instrument.id: listing.instrument for listing in event.listings}
        return list(found.values())

    def blocks(self, report: RecordingReport) -> Blocks:
        """The rows that the live session gave, as far as the decoder is the same."""
        collector = Collector()
        taped = make_decoder(self._header.venue, collector, self._header.settings)
        path, newest = self.paths[0], 0
        for first, lines in line_blocks(path, report, LINES_A_READ, LINE_LIMIT):
            for number, line in enumerate(lines, first):
                if line and number > 1:
                    self._play(taped, number, line, report)
            _move(collector.messages, report.records)
            if collector.waiting >= self._options.chunk_rows:
                rows, newest = _in_order(collector.take(), newest, report)
                yield rows
        rows, newest = _in_order(collector.take(), newest, report)
        yield rows

    def _play(self, taped: TapeDecoder, number: int, line: bytes, report: RecordingReport) -> None:
        """Give one event to the decoder; what it refuses goes into the report with the line's number."""
        report.lines += 1
        file, decoder = self.paths[0].name, taped.decoder
        try:
            _tell(taped, self._decode(line))
        except ValueError:  # msgspec's are among them
            report.refuse(file, number, "malformed_line", line)
        decoder.wants.clear()
        for refused in decoder.collector.take_refused():
            report.refuse(file, number, refused.reason, refused.raw)


def recognises(head: Head) -> bool:
    """A first line that says so."""
    return head.text.startswith(b'{"tape":')


def open(heads: Sequence[Head], options: RecordingOptions) -> list[Series]:
    """One series a tape."""
    return [TapeSeries(head.path, _header(head), options) for head in heads]


def _tell(taped: TapeDecoder, event: TapeEvent) -> None:
    """Give an event to the decoder; ValueError where it is not whole."""
    data, decoder = event.data, taped.decoder
    if event.kind == "message":
        decoder.message(data, event.at)
    elif event.kind == "answer" and event.want is not None:
        decoder.answer(event.want, data, event.at)
    elif event.kind == "lost":
        decoder.lost(event.symbols, f"{event.link}: {event.reason}" if event.link else event.reason, event.at)
    elif event.kind == "open":
        taped.opened(event.symbols, event.at)
    elif event.kind == "follow":
        taped.follow(event.listings, event.at)
    elif event.kind == "note":
        taped.note(event.name, event.want, event.reason, event.at)
    else:
        raise ValueError("an answer to nothing")


def _header(head: Head) -> TapeHeader:
    """A tape's first line; TapewatchError where it is none, or of a later version."""
    try:
        header = msgspec.json.decode(head.first_line, type=TapeHeader)
    except msgspec.MsgspecError as error:
        raise TapewatchError(f"{head.path.name} is no tape: {error}", "Name a file that --record wrote.") from error
    if header.tape != TAPE_VERSION:
        raise TapewatchError(
            f"{head.path.name} is a tape of version {header.tape}, not {TAPE_VERSION}", "Update tapewatch."
        )
    return header


def _move(counts: Counter[str], to: Counter[str]) -> None:
    """Add counts to others and begin them anew."""
    to.update(counts)
    counts.clear()


def _in_order(parts: list[Rows], newest: int, report: RecordingReport) -> tuple[list[Rows], int]:
    """Rows whose receipt times are never before those given out earlier, as the live writer does it."""
    found = []
    for rows in parts:
        times = never_back(rows.ts_recv, newest, report)
        found.append(Rows(rows.type, rows.instruments, {**rows.columns, "ts_recv": times}))
    return found, max((int(rows.ts_recv[-1]) for rows in found), default=newest)
