"""Recordings of Kiwoom's minute charts: CSV and JSON, Korean and REST names, newest first, with signs."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from producers.recordings import Recording, RecordingOptions, open_recording
from producers.recordings.order import joined
from tapewatch.clock import NANOS
from tests.unit.recorded_lines import HEADER, ROW


def utc(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * NANOS


def bars(source: Recording) -> list[tuple[object, ...]]:
    """Instrument, opening, receipt, prices and volume of every bar."""
    parts = [part for chunk in source.chunks() for part in chunk.rows]
    if not parts:
        return []
    rows = joined(parts)
    columns = [rows.columns[name].tolist() for name in ("ts_open", "ts_recv", "open", "high", "low", "close", "volume")]
    names = [rows.instruments[code] for code in rows.columns["instrument"].tolist()]
    return list(zip(names, *columns, strict=True))


FIRST = (
    "005930.XKRX",
    utc("2025-09-17T04:20:00"),
    utc("2025-09-17T04:21:00"),
    78850.0,
    78900.0,
    78800.0,
    78800.0,
    7913.0,
)


def test_csv_of_opt10080_comes_oldest_first_without_signs(tmp_path: Path) -> None:
    path = tmp_path / "minutes-005930.csv"
    path.write_text(
        "\ufeff"
        + HEADER
        + "\n-78900,10,20250917132100,-78800,-78900,-78800\n-78800,7913,20250917132000,-78850,-78900,--78800\n"
    )
    source = open_recording([path])
    first, second = bars(source)
    assert first == FIRST
    assert second[1] == utc("2025-09-17T04:21:00")
    assert [(each.id, each.currency) for each in source.instruments] == [("005930.XKRX", "KRW")]


@pytest.mark.parametrize("form", ["page", "rows", "lines"])
def test_json_pages_rows_and_lines_are_read(tmp_path: Path, form: str) -> None:
    row = {**ROW, "cntr_tm": "20250917132000", "stk_cd": "005930"}
    documents = {
        "page": json.dumps({"stk_cd": "005930", "stk_min_pole_chart_qry": [{**ROW, "cntr_tm": "20250917132000"}]}),
        "rows": json.dumps([row]),
        "lines": json.dumps(row) + "\n\n" + json.dumps({**row, "cntr_tm": "x"}) + "\n{broken\n",
    }
    path = tmp_path / "chart.json"
    path.write_text(documents[form])
    source = open_recording([path])
    assert bars(source) == [FIRST]
    assert source.report.reasons == ({"malformed_time": 1, "malformed_line": 1} if form == "lines" else {})
    assert source.report.lines == source.report.rows["bar"] + source.report.reasons.total()


def test_time_that_stands_twice_counts_once(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps([{**ROW, "cntr_tm": "20250917132000"}] * 2))
    source = open_recording([path], options=RecordingOptions(instrument="005930.XKRX"))
    assert bars(source) == [FIRST]
    assert source.report.reasons == {"repeated_time": 1}


def test_english_names_need_the_kind_to_be_said(tmp_path: Path) -> None:
    path = tmp_path / "005930.csv"
    path.write_text("time,open,high,low,close,volume\n20250917132000,-78850,+78900,--78800,-78800,7913\n")
    assert bars(open_recording([path], kind="kiwoom-minutes")) == [FIRST]
