"""Daily bars of folders: every known layout reads alike, what is missing takes the last value, parts are joined."""

from pathlib import Path

import numpy as np
import pytest

from detectors.commands.bar_folders import read_bars
from detectors.forecast.series import Series
from tapewatch.errors import TapewatchError

ROWS = ["2024-01-02,10,12,9,11,1000", "2024-01-03,11,13,10,12,2000"]
LAYOUTS = {
    "header": "Date,Open,High,Low,Close,Volume\n" + "\n".join(ROWS),
    "adjusted": "Date,Open,High,Low,Close,Adj Close,Volume\n"
    + "2024-01-02,10,12,9,11,5,1000\n2024-01-03,11,13,10,12,6,2000",
    "stamps": "Timestamp,Open,High,Low,Close,Volume\n2024-01-02 00:00:00,10,12,9,11,1000\n20240103,11,13,10,12,2000",
    "bare": "\ufeff" + "\n".join(ROWS),
    "thousands": '2024-01-02,10,12,9,11,"1,000"\n2024-01-03,11,13,10,12,"2,000"',
    "tabs": "\n".join(row.replace(",", "\t") for row in ROWS) + "\n\t\t\t\t\t\n",
    "chinese": "日期,开盘,收盘,最高,最低,成交量\n2024-01-02,10,11,12,9,1000\n2024-01-03,11,12,13,10,2000",
}


def one(folder: Path, name: str, text: str, encoding: str = "utf-8") -> Series:
    """The bars of a folder's only file."""
    (folder / f"{name}.csv").write_text(text, encoding=encoding)
    panel, strange = read_bars(folder)
    assert strange == []
    return panel.series[name]


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_layout_is_read(layout: str, tmp_path: Path) -> None:
    bars = one(tmp_path, "X", LAYOUTS[layout])
    assert bars.at.astype("datetime64[ns]").astype(str).tolist() == [
        "2024-01-03T00:00:00.000000000",
        "2024-01-04T00:00:00.000000000",
    ]
    found = [getattr(bars, name)[-1] for name in ("open", "high", "low", "close", "volume")]
    assert found == [11.0, 13.0, 10.0, 12.0, 2000.0]


def test_gbk_newest_first_with_words_for_missing_cells_is_read(tmp_path: Path) -> None:
    header = "日期,股票代码,收盘价,最高价,最低价,开盘价,成交量\n"
    rows = "2024-01-03,'399006,None,13,10,11,2000\n2024-01-02,'399006,11,12,9,10,1000"
    bars = one(tmp_path, "X", header + rows, "gbk")
    assert bars.close.tolist() == [11.0, 11.0]
    assert bars.volume.tolist() == [1000.0, 2000.0]


def test_closes_alone_leave_the_other_columns_unknown(tmp_path: Path) -> None:
    bars = one(tmp_path, "X", "Date,Close,Volume\n2024-01-01,0,5\n2024-01-02,11,0\n2024-01-03,12,7")
    assert bars.close.tolist() == [11.0, 12.0]
    assert np.isnan(bars.open).all()
    # Nothing later fills what is missing.
    assert bars.volume.tolist() == [5.0, 7.0]


def test_files_of_two_stretches_are_one_instrument(tmp_path: Path) -> None:
    header = "Timestamp,Open,High,Low,Close,Volume\n"
    (tmp_path / "A_2012-1-1_2018-1-1.csv").write_text(header + "\n".join(ROWS))
    (tmp_path / "A_2018-1-1_2020-1-1.csv").write_text(header + ROWS[1].replace("12,", "99,") + "\n2024-01-04,1,2,1,2,3")
    (tmp_path / "notes.csv").write_text("one,two\n1,2")
    panel, strange = read_bars(tmp_path)
    assert strange == ["notes.csv"]
    assert panel.series["A"].close.tolist() == [11.0, 12.0, 2.0]


def test_row_without_a_date_is_passed_over_wherever_the_date_stands(tmp_path: Path) -> None:
    bars = one(tmp_path, "X", "Close,Date\n11,2024-01-02\n5,\n12,2024-01-03")
    assert bars.close.tolist() == [11.0, 12.0]
    assert np.all(np.diff(bars.at) > 0)


def test_file_whose_date_is_the_word_for_none_is_no_bars(tmp_path: Path) -> None:
    (tmp_path / "A.csv").write_text(LAYOUTS["header"])
    (tmp_path / "B.csv").write_text("Date,Close\nNaT,11\n2024-01-03,12")
    panel, strange = read_bars(tmp_path)
    assert (list(panel.series), strange) == (["A"], ["B.csv"])


def test_several_folders_name_their_instruments_apart(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "A.csv").write_text(LAYOUTS["header"])
    panel, _ = read_bars(tmp_path / "one", tmp_path / "two")
    assert sorted(panel.series) == ["one/A", "two/A"]


def test_folder_without_bars_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(TapewatchError, match="no daily bars"):
        read_bars(tmp_path)
