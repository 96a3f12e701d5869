"""Settings: which source wins, and what is refused."""

from pathlib import Path

import pytest

from tapewatch import settings
from tapewatch.errors import SettingsError
from tapewatch.settings.paper import PaperSettings


def test_flags_win_over_the_environment_and_the_environment_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "tapewatch.toml"
    file.write_text('data = "file"\n[engine]\ngroup = "file"\npoll_ms = 7\n[kafka]\nbootstrap = "file:1"\n')
    environment = {"TAPEWATCH_ENGINE_GROUP": "environment", "TAPEWATCH_KAFKA_BOOTSTRAP": "environment:1"}
    found = settings.load(file, environment, {"kafka.bootstrap": "flag:1", "data": None})
    assert (found.data, found.engine.poll_ms) == ("file", 7)
    assert found.engine.group == "environment"
    assert found.kafka.bootstrap == "flag:1"


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"TAPEWATCH_ENGINE_GRUOP": "x"}, "gruop"),
        ({"TAPEWATCH_NOTHING": "x"}, "nothing"),
        ({"TAPEWATCH_ENGINE_POLL_MS": "0"}, "poll_ms"),
        ({"TAPEWATCH_SINK_BATCH_ROWS": "many"}, "batch_rows"),
        ({"TAPEWATCH_PAPER_CAPITAL": "-1"}, "capital"),
        ({"TAPEWATCH_PAPER_POSITION_SHARE": "1.5"}, "position_share"),
        ({"TAPEWATCH_PAPER_ORDER": "iceberg"}, "order"),
        ({"TAPEWATCH_TOPICS_MIN_INSYNC": "2"}, "min_insync"),
    ],
)
def test_an_unknown_key_and_a_bad_value_are_refused_by_name(environment: dict[str, str], named: str) -> None:
    with pytest.raises(SettingsError) as refused:
        settings.load(None, environment)
    assert named in refused.value.message


def test_how_the_paper_broker_trades_is_a_part_of_its_settings() -> None:
    environment = {"TAPEWATCH_PAPER_CAPITAL": "5000", "TAPEWATCH_PAPER_FEEDS": "twse, upbit"}
    paper = settings.load(None, environment).paper
    assert paper.feeds == ("twse", "upbit")
    assert paper.rules() == PaperSettings(capital=5000.0)
    assert not paper.rules().started


def test_a_secret_is_read_from_the_file_that_the_variable_names(tmp_path: Path) -> None:
    secret = tmp_path / "url"
    secret.write_text("postgresql+psycopg2://user:pass@host/db\n")
    found = settings.load(None, {"TAPEWATCH_POSTGRES_URL": f"@{secret}"})
    assert found.postgres.url == "postgresql+psycopg2://user:pass@host/db"


def test_what_the_tests_are_told_is_no_setting() -> None:
    told = {"TAPEWATCH_TEST_DATA": "/data", "TAPEWATCH_TEST_LONG": "1", "TAPEWATCH_TEST_PATIENCE": "3"}
    assert settings.load(None, told) == settings.load(None, {})


def test_a_settings_file_that_is_named_must_exist(tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        settings.load(tmp_path / "none.toml", {})


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg2"])
def test_an_address_of_postgresql_needs_no_driver(scheme: str) -> None:
    found = settings.load(environment={"TAPEWATCH_POSTGRES_URL": f"{scheme}://ann@db:5432/x?sslmode=verify-full"})
    assert found.postgres_url() == "postgresql+psycopg2://ann@db:5432/x?sslmode=verify-full"


@pytest.mark.parametrize("url", ["mysql://ann:hidden@db/x", "postgresql+asyncpg://ann:hidden@db/x", "db:5432"])
def test_an_address_of_another_kind_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(SettingsError, match=r"postgres\.url is no address") as refused:
        settings.load(environment={"TAPEWATCH_POSTGRES_URL": url}).postgres_url()
    assert "hidden" not in refused.value.message + refused.value.hint
