"""What a deployment file may say of our processes: a command line that parses, an environment that is settings."""

import argparse
import contextlib
import io
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tapewatch import settings
from tapewatch.cli import command_in, parser_for

ROOT = Path(__file__).resolve().parents[2]
SECRET = "postgresql+psycopg2://tapewatch:word@postgres/tapewatch"


def parsed(words: Sequence[str]) -> argparse.Namespace:
    """The arguments of `tapewatch WORDS`; the test fails with argparse's own words where they do not parse."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return parser_for(command_in(words)).parse_args(list(words))
    except SystemExit:
        pytest.fail(f"tapewatch {' '.join(words)}: {said.getvalue()}")


def shows_figures(words: Sequence[str]) -> bool:
    """Whether the process opens the endpoint where metrics.port asks for one: it stays, and has the flag."""
    args = parsed(words)
    stays = not getattr(args, "retention", False) and getattr(args, "every", 0) is not None
    return stays and hasattr(args, "metrics")


def job_of(words: Sequence[str]) -> str:
    """Prometheus' job of such a process, by which the alert rules tell which is which."""
    kinds = {"produce": "producer", "run": words[1], "sink": f"sink-{words[1]}"} if len(words) > 1 else {}
    return f"tapewatch-{kinds.get(words[0], words[0])}"


def settings_of(environment: Mapping[str, str]) -> settings.Settings:
    """The settings of a process with these variables; SettingsError for a name or value that there is none of.

    What comes from a file that the deployment brings is taken as some database's address, or as a word.
    """
    there = {name: value if value[:1] != "@" else SECRET for name, value in environment.items()}
    return settings.load(environment=there)


def program(name: str, package: str) -> str:
    """A program of this environment or this machine; the test is skipped without it."""
    beside = str(Path(sys.executable).parent)
    found = shutil.which(name, path=beside) or shutil.which(name)
    if found is None:
        pytest.skip(f"needs {name}: pip install {package}")
    return found
