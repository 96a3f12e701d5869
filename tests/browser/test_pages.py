"""Every page opens without an error and without a breach of the content security policy, wide and on a phone."""

import pytest

from tests.browser import scene

WIDE, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def context(chromium, filled_console):
    made = scene.logged_in(chromium, filled_console, viewport=WIDE)
    yield made, filled_console
    made.close()


def sticks_out(page) -> list[str]:
    """Elements that make the body wider than the window."""
    return page.evaluate(
        """() => document.documentElement.scrollWidth <= innerWidth ? [] : [...document.querySelectorAll("body *")]
            .filter((each) => each.getBoundingClientRect().right > innerWidth + 1)
            .filter((each) => !each.closest(".table, .tabs, pre"))
            .map((each) => `${each.tagName}.${each.className}`).slice(0, 5)"""
    )


@pytest.mark.parametrize("path", scene.paths())
def test_page_opens_without_errors_and_fits_wide_and_on_a_phone(context, path):
    browser, address = context
    page, problems = browser.new_page(), []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
    page.on("dialog", lambda dialog: problems.append(f"dialog {dialog.message}"))
    try:
        scene.shown(page, address, path)
        assert page.locator("main .problem:visible").count() == 0, page.locator("main .problem").first.inner_text()
        assert page.locator("main h1").count() == 1
        assert sticks_out(page) == []
        page.set_viewport_size(PHONE)
        page.wait_for_timeout(100)
        assert sticks_out(page) == []
        assert problems == []
    finally:
        page.close()


def test_name_that_looks_like_markup_stays_text(context):
    browser, address = context
    page, dialogs = browser.new_page(), []
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    try:
        scene.shown(page, address, "/signals")
        page.get_by_text(scene.EVIL).first.wait_for()
        assert page.locator("main img").count() == 0
        assert dialogs == []
    finally:
        page.close()


def test_track_record_is_narrowed_by_model_and_the_signals_table_shows_the_chosen_one(context):
    browser, address = context
    page = browser.new_page()
    try:
        scene.shown(page, address, "/track")
        rows = page.get_by_role("region", name="Past predictions").locator("tbody tr")
        assert rows.count() == 2
        page.locator("main select").first.select_option("boosted")
        page.wait_for_function("() => document.querySelectorAll('main .table tbody tr').length === 2")
        assert [row.split("\n")[0].strip() for row in rows.locator(".chip").all_inner_texts()] == [
            "rise small",
            "pending",
        ]
        assert "model=boosted" in page.get_by_role("link", name="Table as CSV").get_attribute("href")
        scene.shown(page, address, "/signals")
        page.get_by_label("Model").select_option("boosted")
        page.get_by_text("boosted, 1d").wait_for()
        assert page.get_by_text("60 %").count() == 1
    finally:
        page.close()


def test_health_page_shows_how_canaries_fared_and_that_the_last_one_was_missed(context):
    browser, address = context
    page = browser.new_page()
    try:
        scene.shown(page, address, "/health")
        page.get_by_text("the last 1 canaries were missed").wait_for()
        of_day = page.get_by_role("region", name="Canaries: median").locator("tbody tr").last.locator("td")
        assert of_day.all_inner_texts()[1:7] == ["24", "2", "1", "0", "1", "50 %"]
        last = page.get_by_role("region", name="The last canaries").locator("tbody tr")
        assert [row.locator(".chip").inner_text() for row in last.all()] == ["missed", "found"]
        assert last.last.get_by_role("link").get_attribute("href").endswith(scene.ALERT)
    finally:
        page.close()
