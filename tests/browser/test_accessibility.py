"""Every page of the console by axe, in light and dark: nothing serious, nothing critical."""

import pytest

from tests.browser import scene

GRAVE = {"serious", "critical"}
COLOURS = {"runOnly": {"type": "rule", "values": ["color-contrast"]}}


@pytest.fixture(scope="module")
def context(chromium, filled_console):
    made = scene.logged_in(chromium, filled_console, color_scheme="light", reduced_motion="reduce")
    yield made, filled_console
    made.close()


def told(results) -> list[str]:
    return [
        f"{each['id']}: {node['target']} {node.get('failureSummary', '')}"
        for each in results.response["violations"]
        if each["impact"] in GRAVE
        for node in each["nodes"]
    ]


# About a second a page: axe looks at every element, and at the colours of each theme.
@pytest.mark.parametrize("path", scene.paths())
def test_axe_finds_nothing_serious_in_light_and_dark(context, path):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    browser, address = context
    page = browser.new_page()
    try:
        scene.shown(page, address, path)
        assert told(axe.run(page)) == []
        page.evaluate("document.documentElement.dataset.theme = 'dark'")
        assert told(axe.run(page, options=COLOURS)) == []
    finally:
        page.close()
