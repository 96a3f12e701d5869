"""Fixtures of the browser tests: one Chromium for the session; they skip, with the reason, where there is none."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser import scene


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A headless Chromium, driven by Playwright; never a downloaded one."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("no Chromium is installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def filled_console(chromium, stack, tmp_path_factory) -> Iterator[str]:
    """The address of a console over a database with a little of everything; only looked at."""
    with scene.at_work(scene.filled(stack, tmp_path_factory.mktemp("pages"))) as address:
        yield address
