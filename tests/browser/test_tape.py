"""The tape in a browser: prices move by themselves, sorting and filtering by keyboard, a row opens its instrument."""

import uuid

import numpy as np
import pytest

from producers.feed import FeedWriter, feed_producer, open_feed
from tapewatch.clock import WALL
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.rows import Rows, RowType
from tests.browser import scene

INSTRUMENTS = [f"T{number:04d}.TAPE" for number in range(2000)]


@pytest.fixture
def market(filled_console, settings):
    """A feed of 2,000 instruments; gives what sends a quote of some of them at a price."""
    feed = f"t{uuid.uuid4().hex[:10]}"
    open_feed(settings, feed, [Instrument(id=name) for name in INSTRUMENTS], 1)
    writer = FeedWriter(feed_producer(settings, linger_ms=0), feed, "test", 0, 1, INSTRUMENTS)

    def send(codes, prices) -> None:
        price = np.broadcast_to(np.array(prices, dtype=np.float64), (len(codes),)).copy()
        times = np.full(len(codes), WALL.now(), dtype=np.int64)
        touch = dict.fromkeys(("bid_price", "bid_qty", "ask_price", "ask_qty", "last_price", "volume"), price)
        stamps: dict[str, np.ndarray] = {
            "instrument": np.array(codes, dtype=np.int32),
            "ts_event": times,
            "ts_recv": times,
        }
        writer.send(0, Rows(RowType.QUOTE, INSTRUMENTS, {**stamps, **touch}))
        writer.flush()

    return send


@pytest.fixture
def page(chromium, filled_console, market):
    """The tape with every instrument at its number plus 100."""
    context = scene.logged_in(chromium, filled_console, viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.problems = []
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.goto(filled_console)
    page.wait_for_selector(".tape-rows .tape-row")
    page.get_by_role("searchbox").fill("tape")
    # The market is read from about the moment at which somebody watches: it trades until it is seen.
    for _ in range(60):
        market(range(2000), np.arange(2000) + 100)
        page.wait_for_timeout(500)
        if page.get_attribute(".tape", "aria-rowcount") == "2001":
            break
    yield page
    assert page.problems == []
    context.close()


def first(page, column: str) -> str:
    """The text of a column in the first row."""
    return page.locator(f".tape-row[aria-rowindex='2'] .c-{column}").inner_text()


def test_two_thousand_instruments_live_sorted_and_opened_by_keyboard(page, market):
    assert page.locator(".tape-rows .tape-row").count() < 80
    market([0], [777.5])
    page.wait_for_function(
        "() => document.querySelector(\".tape-row[aria-rowindex='2'] .c-last\").innerText === '777.5'"
    )
    page.get_by_role("button", name="Last").focus()
    page.keyboard.press("Enter")
    assert page.get_by_role("columnheader", name="Last").get_attribute("aria-sort") == "descending"
    page.wait_for_function(
        "() => document.querySelector(\".tape-row[aria-rowindex='2'] a\").innerText === 'T1999.TAPE'"
    )
    assert first(page, "last") == "2,099"
    page.get_by_role("grid").focus()
    page.keyboard.press("End")
    page.wait_for_function("() => document.querySelector('.tape-row.active a')?.innerText === 'T0001.TAPE'")
    page.keyboard.press("Home")
    page.wait_for_function("() => document.querySelector('.tape-row.active a')?.innerText === 'T1999.TAPE'")
    page.keyboard.press("Enter")
    page.wait_for_url("**/instruments/T1999.TAPE")
