"""Fixtures of the browser tests: they skip, with the reason, where there is no Chromium."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser import scene


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
def filled_console(chromium_program, stack, tmp_path_factory) -> Iterator[str]:
    """The address of a console over a database with a little of everything; only looked at."""
    with scene.at_work(scene.filled(stack, tmp_path_factory.mktemp("pages"))) as address:
        yield address
