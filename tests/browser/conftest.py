"""Fixtures of the browser tests: they skip, with the reason, where there is no Chromium."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from tapewatch.settings import KafkaSettings, Settings
from tapewatch.settings.stack import Addresses
from tests.browser import scene
from tests.integration import in_force


@pytest.fixture(scope="session")
def chromium_program() -> str:
    """Where Chromium is installed."""
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("no Chromium is installed")
    return program


@pytest.fixture(scope="module")
def chromium(chromium_program) -> Iterator[Any]:
    """A headless Chromium, driven by Playwright; never a downloaded one.

    One a module: while it lives, its event loop runs in this thread, and other tests could start none.
    """
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_program, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def cleared(chromium_program, stack) -> Addresses:
    """The session's stack without what earlier tests wrote, which a new database would get and the pages would show."""
    in_force.empty_all(Settings(kafka=KafkaSettings(bootstrap=stack.bootstrap)))
    return stack


@pytest.fixture(scope="session")
def filled_console(cleared, tmp_path_factory) -> Iterator[str]:
    """The address of a console over a database with a little of everything; only looked at."""
    with scene.at_work(scene.filled(cleared, tmp_path_factory.mktemp("pages"))) as address:
        yield address
