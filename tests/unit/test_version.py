"""The version stands in several files, for tools that read no Python: it is the same in all of them."""

import re
import tomllib
from pathlib import Path

import pytest

import tapewatch

ROOT = Path(__file__).resolve().parents[2]
VERSION = r"(\d+\.\d+\.\d+)"


def test_package_and_project_file_name_the_same_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert tapewatch.__version__ == project["version"]


@pytest.mark.parametrize(
    ("file", "pattern", "count"),
    [
        ("infra/helm/Chart.yaml", rf"(?m)^(?:version|appVersion): {VERSION}$", 2),
        ("infra/helm/values.yaml", rf"repository: tapewatch(?:-training)?, tag: {VERSION},", 2),
        ("compose.yaml", rf"image: tapewatch(?:-training)?:{VERSION}", 2),
        ("Dockerfile", rf"--tag tapewatch(?:-training)?:{VERSION}", 2),
        ("docs/deployment.md", rf"--tag tapewatch(?:-training)?:{VERSION}", 2),
    ],
)
def test_every_file_that_names_the_version_names_this_one(file: str, pattern: str, count: int) -> None:
    assert re.findall(pattern, (ROOT / file).read_text()) == [tapewatch.__version__] * count


def test_newest_release_of_the_changelog_is_this_version_below_what_is_unreleased() -> None:
    headings = re.findall(r"(?m)^## (.*)$", (ROOT / "CHANGELOG.md").read_text())

    assert headings[0] == "[Unreleased]"
    assert re.fullmatch(rf"\[{re.escape(tapewatch.__version__)}\] - \d{{4}}-\d\d-\d\d", headings[1])
