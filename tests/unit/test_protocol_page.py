"""docs/exactly-once.md: each numbered step names the tests that hold it, and these tests are there."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "exactly-once.md").read_text()
HELD = ("The protocol", "Recovery", "Fencing", "The group", "Snapshots")
"""Sections whose every numbered item or bullet is a guarantee."""


def section(title: str) -> str:
    """The text under a heading of the second level."""
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def items(title: str) -> list[str]:
    """Numbered items and bullets of a section, with the lines that belong to each."""
    return [part for part in re.split(r"\n(?=\d+\. |- )", section(title)) if re.match(r"\d+\. |- ", part)]


def test_every_guarantee_of_the_protocol_names_its_test() -> None:
    assert all(items(title) for title in HELD)
    unheld = [item.splitlines()[0] for title in HELD for item in items(title) if not re.search(r"`test_\w+`", item)]
    assert not unheld


def test_every_test_that_the_protocol_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    written = {
        name for path in (ROOT / "tests").rglob("*.py") for name in re.findall(r"def (test_\w+)", path.read_text())
    }
    assert named
    assert not named - written
