"""TWSE dsp files: fixed-width rows of the best five with the last match, 190 bytes since March 2020, 186 before."""

from collections.abc import Sequence
from pathlib import Path

from producers.recordings.dsp_rows import DspState
from producers.recordings.dsp_spool import WIDTHS, spooled
from producers.recordings.files import line_blocks
from producers.recordings.options import RecordingOptions
from producers.recordings.report import RecordingReport
from producers.recordings.series import Blocks, Head, Series
from producers.venues.twse.instruments import TWSE, taiwan_instrument
from tapewatch.instruments import Instrument, is_instrument_id

name = "twse-dsp"

LINES_A_READ = 8_192


class DspFiles:
    """dsp files one after another; their rows lie by code and are given out by time."""

    def __init__(self, paths: Sequence[Path], options: RecordingOptions) -> None:
        self.paths = paths
        self._options = options
        self._codes: list[str] | None = None

    @property
    def identity(self) -> str:
        """Kind alone: the rest stands in the files."""
        return name

    @property
    def instruments(self) -> Sequence[Instrument]:
        """Every code in the files, which are read once for it."""
        if self._codes is None:
            self._codes = sorted({code for path in self.paths for code in _codes(path)})
        return [taiwan_instrument(f"{code}.{TWSE}") for code in self._codes]

    def blocks(self, report: RecordingReport) -> Blocks:
        """STATUS, TRADE, QUOTE and BOOK rows, file after file."""
        state = DspState(report)
        for path in self.paths:
            with spooled(path, report) as spool:
                for records, times in spool.in_time_order(self._options.chunk_rows):
                    yield state.rows(records, times)


def recognises(head: Head) -> bool:
    """A first line of 190 or 186 bytes with a code, and digits where time and date lie."""
    line = head.first_line
    return len(line) in WIDTHS and line[6:14].isdigit() and line[-10:-2].isdigit()


def open(heads: Sequence[Head], options: RecordingOptions) -> list[Series]:
    """One series; files in the order of the date in their first row."""
    ordered = sorted(heads, key=lambda head: head.first_line[-10:-2])
    return [DspFiles([head.path for head in ordered], options)]


def _codes(path: Path) -> set[str]:
    codes: set[bytes] = set()
    for _, lines in line_blocks(path, RecordingReport(), LINES_A_READ):
        codes.update(line[:6] for line in lines if len(line) in WIDTHS)
    texts = (code.decode("ascii", "replace").strip() for code in codes)
    return {text for text in texts if is_instrument_id(f"{text}.{TWSE}")}
