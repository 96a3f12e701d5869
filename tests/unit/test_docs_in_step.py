"""What README and docs/ say that can be checked by machine: commands, links, settings, generated pages."""

import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from detectors.scenarios.library import SCENARIOS
from streams.engine import features_page
from streams.engine.detector_config import DetectorConfig
from tapewatch.cli import COMMANDS, parser_for
from tapewatch.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def commands_named(text: str) -> Iterator[tuple[str, str]]:
    """The options and the command behind `tapewatch` in code spans and blocks."""
    code = re.findall(r"```.*?```|`[^`\n]+`", text, flags=re.DOTALL)
    for part in code:
        yield from re.findall(r"(?<!from )\btapewatch ((?:--\w+ \S+ )*)([a-z]+)\b", part)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_that_a_page_names_exists(page: Path) -> None:
    unknown = {word for _, word in commands_named(page.read_text()) if word not in COMMANDS}
    assert not unknown


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", page.read_text())
    broken = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not broken


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_module_that_a_page_runs_exists(page: Path) -> None:
    modules = set(re.findall(r"python -m ([a-z_]+(?:\.[a-z_]+)+)", page.read_text()))
    places = {name: ROOT / Path(*name.split(".")) for name in modules}
    missing = [
        name
        for name, place in places.items()
        if not place.with_suffix(".py").exists() and not (place / "__main__.py").exists()
    ]
    assert not missing


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str) -> None:
    module = importlib.import_module(COMMANDS[command][0])
    assert callable(module.run)
    words = next(action for action in parser_for(command)._actions if action.dest == "command").choices
    assert isinstance(words, dict)
    assert "example" in (words[command].epilog or "")


def test_the_settings_table_has_every_key_with_its_default() -> None:
    page = (ROOT / "docs/operations.md").read_text()
    table = dict(re.findall(r"^\| `([a-z_.]+)` \| (.*?) \| .+ \|$", page, flags=re.MULTILINE))
    assert table == {key: shown(value) for key, value in flat(Settings())}


def flat(settings: msgspec.Struct, within: str = "") -> Iterator[tuple[str, object]]:
    """Dotted keys and defaults."""
    for name in settings.__struct_fields__:
        value = getattr(settings, name)
        if isinstance(value, msgspec.Struct):
            yield from flat(value, f"{within}{name}.")
        else:
            yield f"{within}{name}", value


def shown(value: object) -> str:
    """A default as the table shows it."""
    return f"`{value}`" if value not in ("", (), {}) else "empty"


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_scenarios_page_has_every_parameter_with_its_default(scenario: str) -> None:
    page = (ROOT / f"docs/scenarios/{scenario}.md").read_text()
    table = {
        name: float(default)
        for name, default in re.findall(r"^\| `([a-z_]+)` \| [^|]+ \| ([\d.]+) \|", page, flags=re.MULTILINE)
    }
    assert table == msgspec.to_builtins(getattr(DetectorConfig(), scenario))


def test_the_features_page_is_what_the_code_generates() -> None:
    assert (ROOT / features_page.PAGE).read_text() == features_page.page()


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs/README.md").read_text()
    pages = [page.relative_to(ROOT / "docs") for page in PAGES if (ROOT / "docs") in page.parents]
    named = [str(page) for page in pages if page.name != "README.md" and page.parent.name != "results"]
    assert [name for name in named if f"({name})" not in index] == []
