"""The order of rows: ts_recv, then row type, then file, within chunks and across files."""

import gzip
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.columns import columns_of, decimal_float
from producers.recordings import RecordingOptions, merged_order, open_recording
from producers.recordings.order import merged_chunks
from producers.recordings.series import in_chunks
from tapewatch.contract.instruments import exact_float
from tapewatch.contract.rows import Rows, RowType
from tapewatch.errors import TapewatchError

TYPES = (RowType.TRADE, RowType.QUOTE, RowType.BOOK)
Row = tuple[int, int, int]
times = st.lists(st.integers(0, 6), max_size=12).map(sorted)
parts = st.lists(st.tuples(st.sampled_from(TYPES), times), max_size=6)


def rows(row_type: RowType, stamps: list[int], mark: int) -> Rows:
    """Rows that carry their part's number as instrument name and their place as price."""
    columns = columns_of(0, np.array(stamps, np.int64), price=np.arange(len(stamps), dtype=np.float64))
    return Rows(row_type, (f"P{mark}.TEST",), columns)


def listed(part: Rows) -> list[tuple[int, RowType, str, float]]:
    names = [part.instruments[code] for code in part.columns["instrument"]]
    return list(zip(part.ts_recv.tolist(), [part.type] * len(part), names, part.columns["price"].tolist(), strict=True))


@given(parts)
def test_runs_are_maximal_and_in_the_order_of_time_type_and_file(drawn: list[tuple[RowType, list[int]]]) -> None:
    given_parts = [rows(row_type, stamps, mark) for mark, (row_type, stamps) in enumerate(drawn)]
    runs = list(merged_order(given_parts))
    expected = sorted((row for part in given_parts for row in listed(part)), key=lambda row: row[:2])
    assert [row for run in runs for row in listed(run)] == expected
    assert all(one.type is not two.type for one, two in pairwise(runs))


@given(st.lists(st.tuples(st.sampled_from(TYPES), st.lists(times, max_size=4)), min_size=1, max_size=4))
def test_merging_chunks_gives_the_order_of_one_big_chunk(drawn: list[tuple[RowType, list[list[int]]]]) -> None:
    sources = []
    whole = []
    for mark, (row_type, blocks) in enumerate(drawn):
        stamps = sorted(stamp for block in blocks for stamp in block)
        cuts = np.cumsum([len(block) for block in blocks])[:-1].tolist() if blocks else list[int]()
        block_rows = [rows(row_type, part.tolist(), mark) for part in np.split(np.array(stamps, np.int64), cuts)]
        sources.append(in_chunks([part] for part in block_rows))
        whole += block_rows
    chunks = list(merged_chunks(sources))
    ends = [chunk.end_ns for chunk in chunks]
    assert ends == sorted(set(ends))
    for begin, chunk in zip([-1, *ends], chunks, strict=False):
        assert all(begin <= stamp < chunk.end_ns for part in chunk.rows for stamp in part.ts_recv.tolist())
    merged = [row for chunk in chunks for run in merged_order(chunk.rows) for row in listed(run)]
    assert merged == [row for run in merged_order(whole) for row in listed(run)]


@given(st.one_of(st.text("0123456789.-e+_ ", max_size=20), st.decimals().map(str), st.floats().map(repr)))
def test_short_way_of_reading_decimals_agrees_with_the_rule(text: str) -> None:
    try:
        expected = exact_float(text)
    except ValueError:
        with pytest.raises(ValueError):
            decimal_float(text)
        return
    assert decimal_float(text) == expected


def pump_file(path: Path, symbol: str, count: int, step: int) -> Path:
    lines = ["symbol,timestamp,datetime,side,price,amount,btc_volume"]
    lines += [f"{symbol},{1535297434000 + step * i},x,buy,1.5e-05,{i + 1}.0,0" for i in range(count)]
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    return path


def test_size_of_chunks_changes_no_row(tmp_path: Path) -> None:
    paths = [pump_file(tmp_path / "a.gz", "AST/BTC", 50, 2), pump_file(tmp_path / "b.gz", "ICN/BTC", 40, 3)]
    seen = []
    for size in (1, 7, 1_000):
        source = open_recording(paths, options=RecordingOptions(chunk_rows=size))
        runs = [run for chunk in source.chunks() for run in merged_order(chunk.rows)]
        times_and_names = [
            (int(t), run.instruments[c])
            for run in runs
            for t, c in zip(run.ts_recv, run.columns["instrument"], strict=True)
        ]
        seen.append(times_and_names)
        assert source.report.rows == {"trade": 90}
    assert seen[0] == seen[1] == seen[2]
    assert [name for time, name in seen[0] if time == seen[0][0][0]] == ["ASTBTC.BINANCE", "ICNBTC.BINANCE"]


def test_fingerprint_depends_on_content_and_options_alone(tmp_path: Path) -> None:
    one = pump_file(tmp_path / "a.gz", "AST/BTC", 5, 2)
    moved = tmp_path / "elsewhere.gz"
    moved.write_bytes(one.read_bytes())
    other = pump_file(tmp_path / "c.gz", "AST/BTC", 6, 2)
    assert open_recording([one]).fingerprint == open_recording([moved]).fingerprint
    assert open_recording([one]).fingerprint != open_recording([other]).fingerprint
    assert (
        open_recording([one]).fingerprint != open_recording([one], options=RecordingOptions(chunk_rows=1)).fingerprint
    )


def test_unknown_file_and_unknown_kind_name_the_kinds(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("hello\n")
    with pytest.raises(TapewatchError) as unknown:
        open_recording([path])
    assert "binance, kiwoom-minutes, lobster, minute-bars, parquet, pumps, tape, twse-dsp" in unknown.value.hint
    with pytest.raises(TapewatchError, match="no kind of recording"):
        open_recording([path], kind="scroll")
    with pytest.raises(TapewatchError, match="cannot read"):
        open_recording([tmp_path / "absent.gz"])
