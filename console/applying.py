"""Commands that the console runs for an approved change: `tapewatch` as a child process, by argument list."""

import asyncio
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from tapewatch.logs import printable
from tapewatch.settings import Settings

LONGEST_S = 120.0
_SECTIONS = ("kafka", "topics", "embedded", "governance")
"""Settings that the commands use. They lie in a file of their owner's alone while the command runs."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command said. document : its JSON, None where it failed; problem : its words, for people"""

    document: dict[str, Any] | None
    problem: str = ""


async def tapewatch(settings: Settings, words: Sequence[str], files: dict[str, str] | None = None) -> Outcome:
    """Run `tapewatch` with these words and --json; a word `@name` stands for the path of that file's content."""
    with tempfile.TemporaryDirectory(prefix="tapewatch-") as folder:
        place = Path(folder)
        _private(place / "settings.toml", _toml(settings))
        for name, content in (files or {}).items():
            _private(place / name, content)
        named = [str(place / word[1:]) if word[1:] in (files or {}) and word[0] == "@" else word for word in words]
        common = ["--settings", str(place / "settings.toml"), "--data", str(settings.data_path)]
        return await _run([*common, *named, "--json"])


async def _run(words: Sequence[str]) -> Outcome:
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tapewatch",
        *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(LONGEST_S):
            said, problem = await child.communicate()
    except TimeoutError:
        return Outcome(None, f"the command took longer than {LONGEST_S:.0f} s")
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode:
        return Outcome(None, _told(problem.decode("utf-8", "replace")))
    try:
        return Outcome(msgspec.json.decode(said.strip().splitlines()[-1], type=dict[str, Any]))
    except (msgspec.DecodeError, IndexError):
        return Outcome(None, "the command gave no answer")


def _told(text: str) -> str:
    """The last lines of a command's problem, harmless and short."""
    lines = [line.strip().removeprefix("tapewatch: ") for line in text.splitlines() if line.strip()]
    return printable(" ".join(lines[-2:]))[:600] or "the command failed"


def _private(path: Path, content: str) -> None:
    """A file that only its owner reads."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(content)


def _toml(settings: Settings) -> str:
    """The sections that the commands use, as TOML; JSON's texts and numbers are TOML's too."""
    lines = []
    for name in _SECTIONS:
        lines.append(f"[{name}]")
        for key, value in msgspec.to_builtins(getattr(settings, name)).items():
            lines.append(f"{key} = {_value(value)}")
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_value(key)} = {_value(each)}" for key, each in value.items()) + "}"
    return msgspec.json.encode(value).decode()
