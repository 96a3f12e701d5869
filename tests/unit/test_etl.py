"""Cleaning bars: what is refused, filled and marked; and Spark gives every bit that one process gives."""

import gzip
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytest.importorskip("google_crc32c")
from streams.spark import job, raw, session, tfrecord
from streams.spark.cleaning import CLIPPED, FILLED, OUTLIER, WINDOW_COLUMNS, Rule, clean
from streams.spark.raw import Source
from tapewatch.cli import main
from tapewatch.errors import TapewatchError
from tests.unit.walked_bars import CLIP, HEADER, KEEP, bits, walk

DAY_NS = 86_400_000_000_000


def cleaned(folder, text, rule=KEEP, name="AAPL.csv"):
    (folder / name).write_text(text)
    (source,) = raw.find([folder])
    return clean(source.symbol, raw.read(source), rule)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("2015-13-01,1,1,1,1,1", "bad time"),
        (",1,1,1,1,1", "bad time"),
        ("2015-02-01,1,1,one,1,1", "no number"),
        ("2015-02-01,1,inf,1,1,1", "no number"),
        ("2015-02-01,1,1,1,-1,1", "negative price"),
        ("2015-02-01,1,1,1,1,-1", "negative volume"),
        ("2015-02-01,1,1,2,1,1", "high below low"),
        ("2015-01-02,1,1,1,1,1", "repeated time"),
        ("2014-01-01,0,1,1,1,1", "nothing known yet"),
        ("2015-02-01,1,1,1", "number of cells"),
    ],
)
def test_a_bad_row_is_refused_with_its_reason_file_and_line(tmp_path, line, reason):
    found = cleaned(tmp_path, f"{HEADER}2015-01-02,9,9,9,9,9\n{line}\n2015-03-01,9,9,9,9,9\n")
    (refused,) = found.refused
    assert (refused.file, refused.line, refused.reason) == ("AAPL.csv", 3, reason)
    assert refused.row.startswith(line[:12])
    assert len(found.bars) == 2
    assert found.quality["rows"] == 3
    assert found.quality["refused"] == {reason: 1}


def test_zero_empty_and_words_take_the_last_known_value_and_are_marked(tmp_path):
    rows = "2015-01-02,1,3,1,2,7\n2015-01-03,0,4,None,,0\n2015-01-04,2,4,1,3,9\n"
    bars = cleaned(tmp_path, HEADER + rows).bars.to_pydict()
    assert [bars[name][1] for name in ("open", "high", "low", "close", "volume")] == [1.0, 4.0, 1.0, 2.0, 7.0]
    assert bars["flags"] == [0, FILLED, 0]
    assert bars["at"][0] == int(np.datetime64("2015-01-03", "ns").astype(np.int64))


def test_a_minute_without_trades_keeps_its_volume_of_zero(tmp_path):
    text = "timestamp,open,high,low,close,volume\n2024-01-01 00:00:00,1,1,1,1,5\n2024-01-01 00:01:00,1,1,1,1,0\n"
    bars = cleaned(tmp_path, text, Rule(bar_s=60)).bars.to_pydict()
    assert bars["volume"] == [5.0, 0.0]
    assert bars["flags"] == [0, 0]
    assert bars["at"][0] == int(np.datetime64("2024-01-01T00:01", "ns").astype(np.int64))


@pytest.mark.parametrize("rule", [KEEP, CLIP])
def test_nothing_looks_ahead(tmp_path, rule):
    lines = walk(400, times={200: 3.0, 320: 0.5}).splitlines(keepends=True)
    lines[150] = lines[150].replace("2015", "bad", 1)
    whole = cleaned(tmp_path, "".join(lines), rule).bars
    for rows in (90, 201, 321):
        part = cleaned(tmp_path, "".join(lines[: rows + 1]), rule).bars
        assert bits(part) == bits(whole.slice(0, len(part)))


def test_an_outlier_is_marked_and_kept(tmp_path):
    bars = cleaned(tmp_path, walk(300, times={200: 3.0})).bars
    assert np.flatnonzero(bars["flags"].to_numpy() == OUTLIER).tolist() == [200, 201]


def test_a_clipped_bad_tick_leaves_neither_itself_nor_the_way_back(tmp_path):
    plain = cleaned(tmp_path, walk(300)).bars
    bars = cleaned(tmp_path, walk(300, times={200: 3.0}), CLIP).bars
    flags, returns = bars["flags"].to_numpy(), bars["return"].to_numpy()
    assert np.flatnonzero(flags & CLIPPED).tolist() == [200]
    assert np.abs(returns[1:]).max() < 0.15
    assert np.array_equal(np.delete(bars["close"].to_numpy(), 200), np.delete(plain["close"].to_numpy(), 200))
    assert np.all(bars["high"].to_numpy() >= bars["low"].to_numpy())


def test_a_clipped_lasting_move_is_reached_in_steps(tmp_path):
    bars = cleaned(tmp_path, walk(300, from_on={200: 0.5}), CLIP).bars
    clipped = np.flatnonzero(bars["flags"].to_numpy() & CLIPPED)
    assert 2 < len(clipped) < 20
    assert np.array_equal(clipped, np.arange(200, 200 + len(clipped)))


def test_layouts_are_read_by_their_headers_in_any_order_and_encoding(tmp_path):
    (tmp_path / "sz.csv").write_bytes(
        "日期,名称,收盘价,最高价,最低价,开盘价\n2015-01-03,'指,3,4,2,1\n2015-01-02,指,2,2,2,2\n".encode("gbk")
    )
    (tmp_path / "kr.csv").write_text('\ufeff2015-01-02,"1,000","1,200",900,"1,100","10,000"\n', encoding="utf-8")
    with gzip.open(tmp_path / "us_2012-1-1_2018-1-1.csv.gz", "wt") as file:
        file.write("Date,Close\n2015-01-02,5\n")
    pq.write_table(pa.table({"date": ["2015-01-02"], "close": [5.5]}), tmp_path / "own.parquet")
    (tmp_path / "no.csv").write_text("a,b\n1,2\n")
    found = {one.symbol: clean(one.symbol, raw.read(one), KEEP) for one in raw.find([tmp_path])}
    assert found["sz"].bars.to_pydict()["open"] == [2.0, 1.0]
    assert found["kr"].bars.to_pydict()["close"] == [1100.0]
    assert np.isnan(found["us"].bars["open"].to_numpy()[0])
    assert found["own"].bars.to_pydict()["close"] == [5.5]
    assert [each.reason for each in found["no"].refused] == ["unreadable file"]


def test_our_own_output_can_be_read_again_without_a_change(tmp_path):
    bars = cleaned(tmp_path, walk(120)).bars
    job.write_bars(tmp_path / "out", "0050", bars)
    (source,) = raw.find([tmp_path / "out" / "bars"])
    again = clean(source.symbol, raw.read(source), KEEP).bars
    assert source.symbol == "0050"
    assert bits(again)[1:] == bits(bars)[1:]


def test_windows_hold_fifty_known_bars_and_the_close_that_followed(tmp_path):
    bars = cleaned(tmp_path, walk(75)).bars
    examples: list[dict[str, Any]] = [tfrecord.decode(each) for each in job.examples("AAPL", bars, "windows")]
    values = np.column_stack([bars[name].to_numpy() for name in WINDOW_COLUMNS]).astype(np.float32)
    assert len(examples) == 75 - 20 - 49
    assert np.array_equal(examples[0]["window"].reshape(50, 8), values[20:70])
    assert examples[0]["next_close"].tolist() == [values[70, 3]]
    assert examples[-1]["next_close"].size == 0
    assert examples[0]["at"].tolist() == [bars["at"].to_pylist()[69]]


def test_the_command_counts_and_keeps_what_it_refuses(tmp_path, capsys):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    (folder / "AAPL.csv").write_text(walk(100) + "2020-01-01,1,1,2,1,1\n")
    words = ["etl", "--daily", str(folder), "--out", str(out), "--engine", "pandas", "--format", "both", "--json"]
    assert main(words) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["rows"], document["bars"], document["records"]) == (101, 100, 31)
    assert document["refused"] == {"high below low": 1}
    assert "high below low" in (out / "refused" / "AAPL.csv").read_text()
    assert json.loads((out / "quality.json").read_text()) == document
    assert main(words) == 1
    assert "is not empty" in capsys.readouterr().err
    words[4] = str(folder / "AAPL.csv")
    assert main(words) == 1
    assert "is no folder" in capsys.readouterr().err


def test_what_a_started_process_says_is_kept_off_stdout(capfd):
    with session.stdout_on_stderr():
        os.write(1, b"VM warning")
    os.write(1, b"{}")
    assert capfd.readouterr() == ("{}", "VM warning")


def test_without_java_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(TapewatchError, match="no Java found") as caught:
        session.require_java()
    assert "--engine pandas" in caught.value.hint


def test_without_the_extra_it_says_what_to_install(monkeypatch, tmp_path, capsys):
    (tmp_path / "AAPL.csv").write_text(walk(100))
    words = ["etl", "--daily", str(tmp_path), "--out"]
    monkeypatch.setitem(sys.modules, "pyspark.errors", None)
    assert main([*words, str(tmp_path / "a")]) == 1
    assert "pyspark is not installed" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert main([*words, str(tmp_path / "b"), "--engine", "pandas"]) == 1
    assert "pip install 'tapewatch[spark]'" in capsys.readouterr().err


def test_a_folder_without_bars_is_an_error(tmp_path):
    with pytest.raises(TapewatchError, match="no CSV or Parquet files"):
        raw.find([tmp_path])


def test_a_write_that_fails_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "getpid", lambda: 1)
    with pytest.raises(KeyError):
        job.write_records(tmp_path, "AAPL", pa.table({"at": [1]}), "rows")
    assert [path for path in Path(tmp_path).rglob("*") if path.is_file()] == []


def test_a_source_whose_files_are_gone_is_refused_whole():
    found = clean("X", raw.read(Source("X", ("/nowhere/X.csv",))), KEEP)
    assert (len(found.bars), [each.reason for each in found.refused]) == (0, ["unreadable file"])
