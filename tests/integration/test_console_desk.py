"""The desk's operations on a real PostgreSQL: the queue, an alert and what lies around it, cases, suppressions."""

import asyncio
import uuid
from contextlib import asynccontextmanager

import numpy as np
import pytest
from aiohttp.test_utils import TestClient, TestServer

from console.api import alerts, cases, suppressions
from console.app import make_app
from console.database import Database
from console.identity import Account
from console.services import Services
from tapewatch.clock import NANOS, WALL
from tapewatch.contract import messages
from tapewatch.contract.messages import Evidence
from tapewatch.contract.rows import RowType
from tapewatch.proof import audit
from tapewatch.rfc3339 import to_rfc3339
from tests.integration.desk_records import publish
from tests.integration.postgres_kept import NAMES, START, Sender, keep, rows
from tests.unit.case_scene import Scene, alert, rule

MARK = uuid.uuid4().hex[:6].upper()
BUSY, CALM, OTHER = f"{MARK}BUSY.XTST", f"{MARK}CALM.XTST", f"{MARK}OTHR.XOTH"
SEATS = {
    "ann": Account("ann", "analyst"),
    "vic": Account("vic", "viewer"),
    "eve": Account("eve", "analyst", instruments=(CALM,)),
}


@pytest.fixture
def filled(ours, feed):
    """Alerts of three instruments, one looked at twice; cases in three states; market rows around another alert."""
    scene = Scene()
    sent = [
        alert("pump_and_dump", BUSY, severity="critical", score=95.0, sentence="Rose by 100 % and fell."),
        alert("pump_and_dump", BUSY, severity="critical", score=96.0, revision=1, sentence="It fell again."),
        alert("unusual_volume", CALM, severity="low", score=20.0),
        alert("sweeping", OTHER, severity="medium", score=50.0, begin=5.0),
    ]
    for each in sent:
        scene.take(each)
    busy, _, other = scene.desk.shelf.cases.values()
    assert scene.tell("assign", busy, owner="ann").accepted
    scene.closed(other, "reported")
    at = to_rfc3339(START)
    seen = alert(
        "ramping", NAMES[0], onset=at, decided=at, updated=at, evidence=(Evidence("volume_z", 4.0, 3.0, ">="),)
    )
    scene.suppressed(scenario="ramping", instrument=BUSY)
    scene.take(messages.CaseCommand(
        id=uuid.uuid4().hex, action="suppress", who="ann", at=at, suppression=rule("sweeping", "ann", instrument=CALM),
    ))  # fmt: skip
    publish(ours, *sent, seen, *scene.said)
    sender = Sender(ours, feed)
    sender.send(rows(RowType.TRADE, 40, price=100 + np.sin(np.arange(40))))
    sender.send(rows(RowType.BOOK, 40))
    sender.producer.flush()
    keep(ours)
    return ours, sent, seen.id, busy


@asynccontextmanager
async def console(settings):
    """The desk's operations; the account is named by a header."""
    services = Services(settings, Database(settings.postgres_url()))

    async def identify(request):
        return SEATS[request.headers.get("X-Who", "ann")]

    app = make_app(services, identify, [*alerts.ROUTES, *cases.ROUTES, *suppressions.ROUTES], cases.PARTS)
    async with TestClient(TestServer(app)) as client:

        async def call(path, who="ann", body=None):
            method = "GET" if body is None else "POST"
            sent = {} if body is None else {"json": body}
            async with client.request(method, f"/api/v1{path}", headers={"X-Who": who}, **sent) as answer:
                return answer.status, await answer.json()

        yield call
    services.database.close()


def test_the_desk_works_from_the_queue_to_the_replay(filled):
    settings, sent, seen, busy = filled

    async def scene():
        async with console(settings) as call:
            await queue(call, sent)
            await one_alert(call, sent, seen)
            await case_queue(call, busy)
            await rules(call)

    asyncio.run(scene())
    viewed = [(each.who, each.action) for each in audit.entries(audit.folder(settings.data_path))]
    assert viewed[:2] == [("ann", "alert.view"), ("ann", "alert.replay")]


async def queue(call, sent):
    async def found(words="", who="ann"):
        status, answer = await call(f"/alerts?instrument={MARK}*{words}", who)
        assert status == 200, answer
        return answer

    everything = await found()
    assert [each["instrument"] for each in everything["alerts"]] == [BUSY, CALM, OTHER]  # a closed case comes last
    assert everything["alerts"][0]["case"]["owner"] == "ann"
    assert everything["alerts"][0]["revision"] == 1
    assert everything["total"] == 3
    assert everything["counts"]["severity"] == {"critical": 1, "low": 1, "medium": 1}
    assert everything["counts"]["case_state"] == {"assigned": 1, "new": 1, "closed": 1}
    assert (await found("&order=newest"))["alerts"][0]["instrument"] == OTHER
    for words, names in {
        "&severity=critical&severity=low": [BUSY, CALM],
        "&case_state=new": [CALM],
        "&owner=ann": [BUSY],
        "&nobody=true": [CALM, OTHER],
        "&search=again": [BUSY],
        "&search=%25": [],
        "&venue=XOTH": [OTHER],
        f"&since={sent[3].decided}": [OTHER],
        "&scenario=sweeping&state=open": [OTHER],
    }.items():
        assert [each["instrument"] for each in (await found(words))["alerts"]] == names, words
    pages, cursor = [], ""
    while True:
        page = await found(f"&limit=1&cursor={cursor}")
        pages += [each["instrument"] for each in page["alerts"]]
        cursor = page["next"]
        if not cursor:
            break
    assert pages == [BUSY, CALM, OTHER]
    limited = await found(who="eve")
    assert ([each["instrument"] for each in limited["alerts"]], limited["total"]) == ([CALM], 1)
    for words in ("limit=0", "cursor=x", "cursor=WzFd", "until=2024-13-01T00:00:00Z", "search=%00", "severity=grave"):
        assert (await call(f"/alerts?{words}"))[0] == 422, words


async def one_alert(call, sent, seen):
    status, view = await call(f"/alerts/{sent[0].id}")
    assert (status, view["alert"]["sentence"], view["revisions"]) == (200, "It fell again.", 2)
    assert (await call(f"/alerts/{sent[0].id}", "eve"))[0] == 404
    assert (await call(f"/alerts/{'0' * 32}"))[0] == 404
    assert (await call("/alerts/x'--"))[0] == 404
    history = (await call(f"/alerts/{sent[0].id}/history"))[1]
    assert [each["revision"] for each in history] == [0, 1]
    status, around = await call(f"/alerts/{seen}/context?before=10&after=10")
    assert status == 200
    assert len(around["trades"]["t"]) == 20  # half of them are the other instrument's
    assert around["seconds"]["t"] == [START // 10**6]
    assert around["seconds"]["high"][0] == max(around["trades"]["price"])
    assert around["books"]["bid_price"][0] == [99.0, 98.0, 97.0, None, None]
    assert set(around["features"]["values"]) >= {"volume_z"}


async def case_queue(call, busy):
    status, answer = await call(f"/cases?instrument={MARK}*")
    assert (status, [each["instrument"] for each in answer["cases"]]) == (200, [BUSY, CALM, OTHER])
    assert answer["counts"]["owner"] == {"ann": 1, "": 2}
    assert [each["instrument"] for each in (await call(f"/cases?instrument={MARK}*&state=closed"))[1]["cases"]] == [
        OTHER
    ]
    first = (await call(f"/cases?instrument={MARK}*&limit=1"))[1]
    after = (await call(f"/cases?instrument={MARK}*&limit=1&cursor={first['next']}"))[1]
    assert [each["instrument"] for each in after["cases"]] == [CALM]
    view = (await call(f"/cases/{busy.id}"))[1]
    assert list(view["sentences"].values()) == ["It fell again."]
    assert (await call(f"/cases/{busy.id}", "eve"))[0] == 404
    told = f"/cases/{busy.id}/commands"
    assert (await call(told, "vic", {"action": "note", "why": "x"}))[0] == 403
    assert (await call(told, "ann", {"action": "approve"}))[0] == 403
    assert (await call(told, "ann", {"action": "close", "why": "x"}))[0] == 422
    assert (await call(told, "ann", {"action": "note", "why": "  "}))[0] == 422
    assert (await call(told, "eve", {"action": "note", "why": "x"}))[0] == 404
    many = {"cases": [busy.id], "action": "note", "why": "x"}
    assert (await call("/cases/commands", "eve", many))[1][0]["reason"] == "there is no such case"


async def rules(call):
    found = (await call("/suppressions"))[1]
    ours = [(each["state"], each["instrument"]) for each in found if each["instrument"].startswith(MARK)]
    assert ours == [("proposed", CALM), ("in_force", BUSY)]
    assert [each["instrument"] for each in (await call("/suppressions", "eve"))[1]] == [CALM]
    assert (await call("/suppressions/effect?venue=XTST", "eve"))[1]["alerts"] == 0  # decided years ago
    far, later = "2200-01-01T00:00:00Z", to_rfc3339(WALL.now() + 86_400 * NANOS)
    for who, body, status in [
        ("vic", {"scenario": "ramping", "reason": "x", "expires": later}, 403),
        ("ann", {"reason": "x", "expires": later}, 422),
        ("ann", {"scenario": "ramping", "reason": " ", "expires": later}, 422),
        ("ann", {"scenario": "ramping", "reason": "x", "expires": "2020-01-01T00:00:00Z"}, 422),
        ("ann", {"scenario": "ramping", "reason": "x", "expires": far}, 422),
        ("eve", {"scenario": "ramping", "reason": "x", "expires": later}, 403),
        ("eve", {"instrument": BUSY, "reason": "x", "expires": later}, 404),
    ]:
        assert (await call("/suppressions", who, body))[0] == status, body
    waiting = next(each["id"] for each in found if each["instrument"] == CALM)
    assert (await call(f"/suppressions/{waiting}/approve", "ann", {}))[0] == 403
    assert (await call(f"/suppressions/{'0' * 32}/end", "ann", {}))[0] == 404
