"""Subscriptions over the running console: each account its own, secrets shown once, no way inside, all audited."""

from typing import Any

import msgspec
import pytest

from tapewatch.proof import audit
from tapewatch.settings.delivery import NotifySettings
from tests.integration.console_at_work import at_work, browser, change, configured, people

PLACE = "/api/v1/subscriptions"


@pytest.fixture
def desk(ours, tmp_path):
    notify = NotifySettings(allow_networks=("127.0.0.0/8",), allow_http=True)
    return msgspec.structs.replace(configured(ours), data=str(tmp_path), notify=notify)


def wanted(name: str, target: str = "http://127.0.0.1:9/hook?token=x", **more) -> dict[str, Any]:
    return {"name": name, "kind": "webhook", "target": target, **more}


def test_an_account_makes_changes_and_sees_its_own_and_an_administrator_sees_all(desk):
    people(desk)
    change(desk, "analyst", instruments=["*.XTAI"])

    async def scene(address):
        async with browser(address) as ann, browser(address) as bob, browser(address) as admin:
            await ann.log_in("analyst")
            await bob.log_in("approver")
            await admin.log_in("admin")
            pace = {"quiet": {"start": "22:00", "end": "07:00", "zone": "Asia/Taipei"}, "per_hour": 5}
            status, made, _ = await ann.call("POST", PLACE, wanted("night", pace=pace))
            assert status == 200 and made["secret"].startswith("whsec_")
            assert made["subscription"]["target"] == "http://127.0.0.1:9/hook?..."
            own = f"{PLACE}/{made['subscription']['id']}"
            assert (await ann.call("POST", PLACE, wanted("night")))[0] == 409
            for path in (own, f"{own}/disable", f"{own}/rotate", f"{own}/replay", f"{own}/test"):
                method = "GET" if path == own else "POST"
                body = None if method == "GET" else {"since": "2026-01-01T00:00:00Z"} if "replay" in path else {}
                assert (await bob.call(method, path, body))[0] == 404
            assert (await bob.call("PATCH", own, {"target": "http://127.0.0.1:9/mine"}))[0] == 404
            assert (await bob.call("GET", PLACE))[1] == []
            assert [each["name"] for each in (await admin.call("GET", PLACE))[1]] == ["night"]
            status, changed, _ = await ann.call("PATCH", own, {"filter": {"min_severity": "high"}})
            assert (status, changed["filter"]["min_severity"], changed["pace"]["per_hour"]) == (200, "high", 5)
            assert (await ann.call("POST", f"{own}/rotate", {"overlap_hours": 1}))[1]["secret"] != made["secret"]
            status, sent, _ = await ann.call("POST", f"{own}/test", {})
            found = (await ann.call("GET", "/api/v1/deliveries?state=waiting"))[1]
            assert [each["message_id"] for each in found] == [sent["message_id"]]
            assert (await bob.call("GET", "/api/v1/deliveries"))[1] == []
            far = {"since": "0001-01-01T00:00:00Z", "until": "9999-12-31T00:00:00Z"}
            assert (await ann.call("POST", f"{own}/replay", far))[1] == {"messages": 0}
            assert (await ann.call("POST", f"{own}/disable", {"why": "holiday"}))[1]["reason"] == "holiday"
            assert (await ann.call("POST", f"{own}/test", {}))[0] == 409
            assert (await ann.call("POST", f"{own}/enable", {}))[1]["state"] == "active"
            told = str([(await ann.call("GET", path))[1] for path in (PLACE, own, "/api/v1/deliveries")])
            assert "whsec_" not in told and "token=x" not in told

    at_work(desk, scene)
    log = audit.folder(desk.data_path)
    acts = [each.action for each in audit.entries(log) if each.action.startswith("subscriptions.")]
    assert [each.removeprefix("subscriptions.") for each in acts] == [
        "add", "edit", "rotate", "test", "replay", "disable", "enable",
    ]  # fmt: skip
    assert "whsec_" not in (log / audit.LOG_FILE).read_text() and "token=x" not in (log / audit.LOG_FILE).read_text()


REFUSED = [
    wanted("a", "http://10.0.0.1/"), wanted("a", "http://[::1]/"), wanted("a", "http://169.254.169.254/latest"),
    wanted("a", "http://u:p@127.0.0.1/"), wanted("a", "file:///etc/passwd"), wanted("a", "http://2130706434/"),
    wanted("a", "slack://x") , {"name": "a", "kind": "slack", "target": "json://10.0.0.1"}, wanted("a\nb"),
    wanted("a", pace={"quiet": {"start": "25:00", "end": "07:00"}}), wanted("a", entitled=["*"]),
    wanted("a", "http://127.0.0.1/\r\nX: y"),
    wanted("a", pace={"quiet": {"start": "22:00", "end": "07:00", "zone": "Nowhere/Atlantis"}}),
]  # fmt: skip


def test_what_is_no_subscription_or_leads_inside_is_refused_and_a_viewer_altogether(desk):
    people(desk)

    async def scene(address):
        async with browser(address) as ann, browser(address) as eve:
            await ann.log_in("analyst")
            await eve.log_in("viewer")
            for body in REFUSED:
                status, told, _ = await ann.call("POST", PLACE, body)
                assert status in (409, 422), (body, told)
            assert (await ann.call("GET", PLACE))[1] == []
            assert (await eve.call("GET", PLACE))[0] == 403

    at_work(desk, scene)
