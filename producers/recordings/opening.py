"""Opening recordings: which kind each file is, and one stream of rows out of all of them."""

import hashlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import cast

import msgspec

from producers.recordings import binance, kiwoom_minutes, lobster, minute_bars, parquet, pumps, tape, twse_dsp
from producers.recordings.files import content_hash, head_of
from producers.recordings.options import RecordingOptions
from producers.recordings.order import merged_chunks
from producers.recordings.report import RecordingReport
from producers.recordings.series import Head, Kind, Series, in_chunks
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.rows import Chunk
from tapewatch.errors import TapewatchError

PARSER_VERSION = "2"
"""Raised whenever the same files give other rows than before; part of every fingerprint."""

KINDS: tuple[Kind, ...] = tuple(
    cast(Kind, module) for module in (parquet, tape, binance, pumps, lobster, twse_dsp, kiwoom_minutes, minute_bars)
)
"""In the order in which they are asked; the first that recognises a file opens it."""


class Recording:
    """Files as one source of rows, merged by ts_recv, then the order of row types, then the order of the files given.

    report : what became of every line so far in the latest pass; complete once `chunks()` is exhausted
    """

    def __init__(self, series: Sequence[Series], options: RecordingOptions) -> None:
        self._series = series
        self._options = options
        self.report = RecordingReport()

    @property
    def paths(self) -> list[Path]:
        """All files, series by series in reading order."""
        return [path for series in self._series for path in series.paths]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over parser version, options, and each series' identity and file contents; paths do not enter."""
        digest = hashlib.sha256(f"recording {PARSER_VERSION}\n".encode())
        digest.update(msgspec.json.encode(self._options, order="deterministic") + b"\n")
        for series in self._series:
            digest.update(f"{series.identity}\n".encode())
            for path in series.paths:
                digest.update(f"{content_hash(path)}\n".encode())
        return digest.hexdigest()

    @cached_property
    def instruments(self) -> Sequence[Instrument]:
        """Reference data of every instrument in the files, the fullest where several files have one."""
        found: dict[str, Instrument] = {}
        for series in self._series:
            for instrument in series.instruments:
                found.setdefault(instrument.id, instrument)
        return list(found.values())

    def chunks(self) -> Iterator[Chunk]:
        """The rows from the start; holds at most one chunk of each series. Starts a new `report`."""
        report = self.report = RecordingReport()
        for chunk in merged_chunks([in_chunks(series.blocks(report)) for series in self._series]):
            report.count_rows(chunk.rows)
            yield chunk


def open_recording(
    paths: Sequence[Path], *, kind: str | None = None, options: RecordingOptions | None = None
) -> Recording:
    """Open recordings as one source of rows.

    paths : files, or folders of Parquet files, of one kind or several; gzip is recognised by content
    kind : one of `kind_names()`; None tells it by content and name
    TapewatchError if a file cannot be read or no kind recognises it.
    """
    options = options or RecordingOptions()
    files = [file for path in paths for file in _files(path)]
    if not files:
        raise TapewatchError("no recording given", "Name at least one file.")
    groups: dict[str, list[Head]] = {}
    for file in files:
        head = head_of(file)
        groups.setdefault(kind or _kind_of(head), []).append(head)
    series = [series for group, heads in groups.items() for series in _known(group).open(heads, options)]
    place = {file: index for index, file in enumerate(files)}
    series.sort(key=lambda one: min(place[path] for path in one.paths))
    return Recording(series, options)


def kind_names() -> list[str]:
    """The kinds that can be opened."""
    return sorted(kind.name for kind in KINDS)


def _files(path: Path) -> list[Path]:
    """The file, or a folder's Parquet files by name."""
    if not path.is_dir():
        return [path]
    files = sorted(path.glob("*.parquet"))
    if not files:
        raise TapewatchError(
            f"{path} holds no Parquet file", "Name the recordings themselves, or a folder of Parquet files."
        )
    return files


def _kind_of(head: Head) -> str:
    for kind in KINDS:
        if kind.recognises(head):
            return kind.name
    raise TapewatchError(
        f"{head.path} is no recording of a known kind", f"Give the kind yourself, one of: {', '.join(kind_names())}."
    )


def _known(name: str) -> Kind:
    for kind in KINDS:
        if kind.name == name:
            return kind
    raise TapewatchError(f"no kind of recording is called {name!r}", f"Known kinds: {', '.join(kind_names())}.")
