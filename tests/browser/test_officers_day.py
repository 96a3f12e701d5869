"""A compliance officer's day in a browser: an alert arrives by push, is worked on by two people, and is exported.

Everything is real: broker, case stage, PostgreSQL's sink, console, Chromium. The instrument's name and the alert's
sentence are markup that would run if any page took them for that.
"""

import re
import uuid
from contextlib import ExitStack

import numpy as np
import pytest
from sqlalchemy.engine import make_url

from infra import migrations
from sinks.postgres import PostgresSink
from streams.cases.process import CaseStage
from tapewatch.contract import messages, topics
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.messages import Alert, Evidence, Provenance, alert_id
from tapewatch.contract.rows import Rows, RowType
from tapewatch.market_log.registry import register
from tapewatch.proof import audit
from tapewatch.rfc3339 import to_rfc3339
from tapewatch.runtime import kafka
from tapewatch.settings import KafkaSettings, PostgresSettings, Settings, SinkSettings
from tests.browser import scene
from tests.integration.at_work import at_work
from tests.integration.console_at_work import PASSWORD, people
from tests.integration.postgres_kept import START, Sender, rows, superuser

EVIL = "<img src=x onerror=alert(document.domain)>"
NAMES = [f"{uuid.uuid4().hex[:8].upper()}.XTST", f"{uuid.uuid4().hex[:8].upper()}.XTST"]
WAIT_MS = 120_000
GRAVE = {"serious", "critical"}


def evil_alert(feed: str) -> Alert:
    at = to_rfc3339(START + 20_000_000)
    return Alert(
        id=alert_id("spoofing", NAMES[0], START), scenario="spoofing", instrument=NAMES[0], onset=to_rfc3339(START),
        decided=at, updated=at, state="open", revision=0, severity="critical", score=91.0, probability=0.9,
        sentence=f"{EVIL} placed orders that were not meant to trade.", data_tier="book",
        evidence=(Evidence("spoof_ratio", 8.0, 2.0, ">=", "ratio"), Evidence("streak_s", 3.0, None, "", "s")),
        provenance=Provenance(topics.market(feed), 0, 1, 2, 2, "c" * 16, {"kmeans": "a" * 16}, "b" * 16),
    )  # fmt: skip


@pytest.fixture(scope="module")
def desk(chromium, cleared, tmp_path_factory):
    """Console, case stage and sink at work on a database of their own; gives settings, address and feed."""
    name = f"day_{uuid.uuid4().hex[:12]}"
    with superuser(Settings(postgres=PostgresSettings(url=cleared.postgres_url))) as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    url = make_url(cleared.postgres_url).set(database=name).render_as_string(hide_password=False)
    migrations.migrate(url)
    settings = Settings(
        data=str(tmp_path_factory.mktemp("day")),
        kafka=KafkaSettings(bootstrap=cleared.bootstrap),
        postgres=PostgresSettings(url=url),
        sink=SinkSettings(linger_ms=20),
    )
    kafka.create_topics(settings, [*topics.shared_topics(settings.topics), *topics.case_topics(settings.topics)])
    register(settings, [Instrument(id=NAMES[0], name=EVIL), Instrument(id=NAMES[1])])
    feed = f"d{uuid.uuid4().hex[:10]}"
    kafka.create_topics(settings, topics.market_topics(feed, settings.topics, 1))
    sender = Sender(settings, feed)
    for made in (rows(RowType.TRADE, 60, price=100 + np.sin(np.arange(60))), rows(RowType.BOOK, 60)):
        sender.send(Rows(made.type, NAMES, made.columns))
    sender.producer.flush()
    people(settings)
    with ExitStack() as running:
        running.enter_context(at_work(PostgresSink(settings).run))
        running.enter_context(at_work(CaseStage(settings).run))
        yield settings, running.enter_context(scene.at_work(settings)), feed


class Officer:
    """A person at the console, who fails the test when anything of the pages runs that should be text."""

    def __init__(self, chromium, address: str, name: str) -> None:
        self.context = chromium.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
        self.context.set_default_timeout(WAIT_MS)
        answer = self.context.request.post(f"{address}/api/v1/session", data={"name": name, "password": PASSWORD})
        assert answer.ok, answer.text()
        self.csrf, self.address = answer.json()["csrf"], address
        self.page = self.context.new_page()
        self.wrong: list[str] = []
        self.frames: list[object] = []
        self.page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: self.frames.append(frame)))
        self.page.on("dialog", lambda dialog: self.wrong.append(dialog.message))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("request", lambda request: self.wrong.append(request.url) if request.url.endswith("/x") else None)

    def opens(self, path: str, heading: str = "") -> None:
        self.page.goto(self.address + path)
        self.page.get_by_role("heading", level=1, name=heading or re.compile(".")).wait_for()

    def listens(self) -> None:
        """Wait until the page is told of events."""
        for _ in range(WAIT_MS // 50):
            if self.frames:
                return
            self.page.wait_for_timeout(50)
        pytest.fail("no event stream")

    def does(self, button: str, **fields: str) -> None:
        """Press a button of the case's panel, fill the dialog's fields, and send it."""
        self.page.get_by_role("button", name=button, exact=True).click()
        self.sends(**fields)

    def sends(self, **fields: str) -> None:
        dialog = self.page.get_by_role("dialog")
        for name, text in fields.items():
            control = dialog.locator(f"[name={name}]")
            control.select_option(text) if control.evaluate("e => e.tagName") == "SELECT" else control.fill(text)
        dialog.locator("button[type=submit]").click()
        dialog.wait_for(state="detached")

    def sees(self, text: str) -> None:
        self.page.get_by_text(text).first.wait_for()

    def calls(self, path: str, **body: str):
        headers = {"X-CSRF-Token": self.csrf}
        return self.context.request.post(f"{self.address}/api/v1{path}", data=body, headers=headers)

    def finds_nothing_grave(self) -> None:
        axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
        found = axe.run(self.page).response["violations"]
        assert [(each["id"], each["nodes"][0]["html"]) for each in found if each["impact"] in GRAVE] == []
        assert self.page.locator("img[onerror], [src=x]").count() == 0
        assert self.wrong == []


def test_an_officers_day_from_push_to_export(chromium, desk):
    # About 25 s: a stack, a case stage and two people who do what takes them half a day.
    settings, address, feed = desk
    sent = evil_alert(feed)
    ann, bob = Officer(chromium, address, "approver"), Officer(chromium, address, "admin")
    arrives(ann, settings, sent)
    is_replayed(ann)
    case = is_worked_on(ann)
    is_approved_by_another(ann, bob, case)
    is_exported(bob, sent)
    ann.context.close()
    bob.context.close()
    acts = [(each.who, each.action) for each in audit.entries(audit.folder(settings.data_path))]
    for act in ("assign", "note", "escalate", "close"):
        assert ("approver", f"case.{act}") in acts
    assert ("admin", "case.approve") in acts
    assert {("approver", "alert.view"), ("approver", "alert.replay")} <= set(acts)


def arrives(ann: Officer, settings: Settings, sent: Alert) -> None:
    """The queue is open; the alert comes by push, is shown when it is wanted, and opened by keys."""
    ann.opens("/alerts", "Alerts")
    ann.listens()
    producer = kafka.producer(settings)
    producer.produce(topics.ALERTS, messages.encode(sent), sent.instrument.encode())
    assert producer.flush(30) == 0
    ann.page.get_by_role("button", name="1 new").wait_for()
    ann.page.keyboard.press("n")
    row = ann.page.locator(f"tr[data-id='{sent.id}']")
    row.get_by_text("new", exact=True).wait_for()
    assert EVIL in row.inner_text()
    ann.finds_nothing_grave()
    row.click()
    ann.page.keyboard.press("Enter")
    ann.page.get_by_role("heading", level=1, name=sent.sentence).wait_for()


def is_replayed(ann: Officer) -> None:
    """The replay stands at the onset, plays, steps by keys, and shows ladder and trades."""
    ann.page.get_by_text(re.compile("^4.$")).wait_for()  # times the threshold
    slider = ann.page.get_by_role("slider")
    slider.wait_for()
    ann.page.locator(".ladder td.size.ask").first.wait_for()
    ann.page.locator(".tape tbody tr").first.wait_for()
    before = slider.input_value()
    ann.page.keyboard.press("d")
    assert slider.get_attribute("aria-valuetext").startswith("22:13:20")
    ann.page.keyboard.press("ArrowLeft")
    ann.page.get_by_role("button", name="Onset").click()
    assert slider.input_value() == before


def is_worked_on(ann: Officer) -> str:
    """Assigned, noted, escalated, closed; the id of the case."""
    ann.page.get_by_role("button", name="Assign to me").wait_for()
    ann.page.keyboard.press("a")
    ann.sees("Assigned: approver")
    ann.page.keyboard.press("m")
    ann.sends(why=f"The walls vanish before each print. {EVIL}")
    ann.sees("The walls vanish before each print.")
    ann.does("Escalate", why="Third time this week.")
    ann.sees("Third time this week.")
    ann.does("Close", disposition="reported", why="Reported to the authority today.")
    ann.sees("Four eyes: you asked for this close")
    ann.finds_nothing_grave()
    return ann.page.locator("a[href^='/cases/']").first.get_attribute("href").rpartition("/")[2]


def is_approved_by_another(ann: Officer, bob: Officer, case: str) -> None:
    """Who asked for the close cannot approve it, by button or by call; another can, and the first one sees it."""
    assert ann.page.get_by_role("button", name="Approve", exact=True).is_disabled()
    refused = ann.calls(f"/cases/{case}/commands", action="approve")
    assert (refused.status, "four eyes" in refused.json()["error"]) == (409, True)
    bob.opens("/cases?work=closing", "Cases")
    bob.page.get_by_text("close by approver waits").wait_for()
    bob.finds_nothing_grave()
    bob.page.get_by_role("link", name=NAMES[0]).click()
    bob.page.get_by_role("heading", level=1, name=f"Case of {NAMES[0]}").wait_for()
    bob.finds_nothing_grave()
    bob.does("Approve", why="Agreed.")
    bob.sees("Closed: Reported")
    ann.sees("Closed: Reported")
    ann.page.get_by_role("button", name="Reopen").wait_for()


def is_exported(bob: Officer, sent: Alert) -> None:
    """The report as HTML and PDF; what would be markup is text in it."""
    text = bob.context.request.get(f"{bob.address}/api/v1/alerts/{sent.id}/report.html").text()
    assert "not meant to trade" in text
    assert "<img src=x" not in text
    answer = bob.context.request.get(f"{bob.address}/api/v1/alerts/{sent.id}/report.pdf")
    assert answer.body().startswith(b"%PDF-")


def test_a_rule_waits_for_a_second_person(chromium, desk):
    _, address, _ = desk
    ann, bob = Officer(chromium, address, "approver"), Officer(chromium, address, "admin")
    ann.opens("/suppressions", "Suppressions")
    ann.page.get_by_role("button", name="Propose a rule").click()
    ann.page.get_by_text("it would have kept").wait_for()
    ann.sends(instrument=NAMES[1], reason=f"Agreed test of a market maker. {EVIL}")
    ann.sees("Four eyes: you proposed it")
    assert ann.page.get_by_role("button", name="Approve").first.is_disabled()
    ann.finds_nothing_grave()
    bob.opens("/suppressions", "Suppressions")
    bob.does("Approve", why="Seen the letter.")
    bob.sees("approved by admin")
    bob.finds_nothing_grave()
    ann.context.close()
    bob.context.close()
