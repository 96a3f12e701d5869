"""`produce sql` without servers: where the URL comes from, and that no error tells its password."""

from pathlib import Path

import pytest

from producers.venues.sql.command import URL_VARIABLE, database_url
from producers.venues.sql.table import TableMap, open_engine, read_table_map
from tapewatch.errors import TapewatchError

MAP = """
name = "kiwoom-minutes"
feed = "kiwoom-minutes"

[table]
name = "minutes"
key = ["id"]

[rows]
preset = "opt10080"
instrument_column = "code"
instrument_form = "{}.XKRX"
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "map.toml"
    path.write_text(text)
    return path


def test_url_comes_from_the_environment_or_the_file_it_names(tmp_path: Path) -> None:
    secret = tmp_path / "url"
    secret.write_text("mariadb://reader:hidden@db/prices\n")
    assert database_url({URL_VARIABLE: f"@{secret}"}) == "mariadb://reader:hidden@db/prices"
    assert database_url({URL_VARIABLE: "mariadb://db/prices"}) == "mariadb://db/prices"
    with pytest.raises(TapewatchError, match="is not set"):
        database_url({})
    with pytest.raises(TapewatchError, match="cannot read"):
        database_url({URL_VARIABLE: f"@{tmp_path / 'none'}"})


@pytest.mark.parametrize("url", ["mariadb//reader:hidden@db", "sqlite:///hidden.db", "oracle://reader:hidden@db/x"])
def test_error_of_a_url_does_not_tell_it(url: str) -> None:
    with pytest.raises(TapewatchError) as caught:
        open_engine(url)
    assert "hidden" not in str(caught.value) + caught.value.hint


def test_engine_and_its_errors_hide_the_password() -> None:
    engine = open_engine("postgresql://reader:hidden@127.0.0.1:1/x")
    assert "hidden" not in repr(engine)


def test_map_file_is_read_with_its_defaults(tmp_path: Path) -> None:
    table_map = read_table_map(written(tmp_path, MAP))
    assert isinstance(table_map, TableMap)
    assert (table_map.table.key, table_map.start, table_map.clock, table_map.lag_s) == (("id",), "now", "receipt", 60.0)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('feed = "kiwoom-minutes"', 'feed = "Kiwoom"', "lower-case"),
        ('key = ["id"]', "key = []", "names no column"),
        ('name = "minutes"', 'nam = "minutes"', "nam"),
    ],
)
def test_map_file_that_is_wrong_says_where(tmp_path: Path, old: str, new: str, words: str) -> None:
    with pytest.raises(TapewatchError, match=words):
        read_table_map(written(tmp_path, MAP.replace(old, new)))
