"""Subscribers: which alerts they get, when, in what words, signed how, and what follows a failure."""

import asyncio
import json
import socket
from datetime import UTC, datetime

import msgspec
import pytest
from standardwebhooks.webhooks import Webhook

from sinks.notify import chat, webhook
from sinks.notify.chat import RefusedConnectionError, guarded
from sinks.notify.inbox import digest, placed
from sinks.notify.outcome import Outcome, next_due
from sinks.notify.sender import GuardedTransports
from sinks.notify.sender import Target as To
from tapewatch.clock import NANOS, ManualClock
from tapewatch.contract import messages
from tapewatch.contract.messages import to_rfc3339
from tapewatch.desk.subscriptions import Filter, Pace, Quiet, Subscription, check_target, new_secret, shown_target
from tapewatch.errors import TapewatchError
from tapewatch.security.guarded_http import GuardedHttpClient, HttpRequestError, HttpResponse
from tapewatch.security.networks import AllowedAddresses
from tapewatch.security.secret_box import secret_box
from tapewatch.settings import Settings
from tapewatch.settings.delivery import NotifySettings

NOON = int(datetime(2026, 1, 5, 12, 0, tzinfo=UTC).timestamp()) * NANOS
MINUTE = 60 * NANOS
HOUR = 60 * MINUTE


def alert(instrument: str = "2330.XTAI", revision: int = 0, **changes) -> messages.Alert:
    sound = messages.Alert(
        id=messages.alert_id("spoofing", instrument, NOON), scenario="spoofing", instrument=instrument,
        onset=to_rfc3339(NOON), decided=to_rfc3339(NOON), updated=to_rfc3339(NOON), state="open", revision=revision,
        severity="high", score=81.0, sentence="Large orders came and went.", data_tier="orders",
        provenance=messages.Provenance("market.x", 0, 1, 2, 3, "c", {}, "b"),
    )  # fmt: skip
    return msgspec.structs.replace(sound, **changes)


def subscription(filter: Filter | None = None, pace: Pace | None = None, **more) -> Subscription:
    return Subscription(
        id="s1", name="desk", kind="webhook", target="https://x", filter=filter or Filter(), pace=pace or Pace(),
        created_ns=0, created_by="ann", updated_ns=0, **more,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "takes"),
    [
        (Filter(), True),
        (Filter(scenarios=("spoofing", "layering")), True),
        (Filter(scenarios=("layering",)), False),
        (Filter(min_severity="high"), True),
        (Filter(min_severity="critical"), False),
        (Filter(instruments=("23*.XTAI",)), True),
        (Filter(instruments=("*.XNAS", "2331.*")), False),
        (Filter(venues=("XTAI",)), True),
        (Filter(venues=("XKRX",)), False),
        (Filter(states=("closed",)), False),
        (Filter(revisions="first"), True),
    ],
)
def test_a_filter_takes_what_it_names(wanted: Filter, takes: bool) -> None:
    assert wanted.takes(alert()) is takes


def test_the_first_revision_alone_leaves_out_later_ones() -> None:
    assert not Filter(revisions="first").takes(alert(revision=1, state="update"))


def test_a_disabled_subscription_gets_nothing_new() -> None:
    assert placed(subscription(state="disabled"), alert(), 0, NOON) is None


def test_a_message_has_the_same_id_and_body_however_often_it_is_made() -> None:
    first, again = (placed(subscription(), alert(), 0, now) for now in (NOON, NOON + HOUR))
    assert first is not None and again is not None
    assert (first.message_id, first.body) == (again.message_id, again.body)
    later = placed(subscription(), alert(revision=1, state="update"), 0, NOON)
    assert later is not None and later.message_id != first.message_id
    assert (first.type, later.type) == ("alert.opened", "alert.updated")


def at(zone_hours: float) -> int:
    """A time of 5 January 2026, a Monday, in hours of UTC."""
    return NOON + int((zone_hours - 12) * HOUR)


@pytest.mark.parametrize(
    ("quiet", "hours", "ends"),
    [
        (Quiet("22:00", "07:00"), 23.0, 31.0),
        (Quiet("22:00", "07:00"), 6.0, 7.0),
        (Quiet("22:00", "07:00"), 12.0, None),
        (Quiet("22:00", "07:00"), 7.0, None),
        (Quiet("12:00", "13:00"), 12.5, 13.0),
        (Quiet("22:00", "07:00", "Asia/Taipei"), 15.0, 23.0),
        (Quiet("22:00", "07:00", days=("sun",)), 6.0, 7.0),
        (Quiet("22:00", "07:00", days=("mon",)), 6.0, None),
        (Quiet("00:00", "00:00"), 12.0, 24.0),
    ],
)
def test_quiet_hours_end_when_they_say(quiet: Quiet, hours: float, ends: float | None) -> None:
    assert quiet.until(at(hours)) == (0 if ends is None else at(ends))


def test_quiet_hours_follow_the_clock_change_of_their_zone() -> None:
    quiet = Quiet("22:00", "07:00", "Europe/Berlin")
    before_spring = int(datetime(2026, 3, 28, 22, 0, tzinfo=UTC).timestamp()) * NANOS
    assert datetime.fromtimestamp(quiet.until(before_spring) / NANOS, UTC).hour == 5


def test_quiet_hours_hold_back_all_but_what_goes_through() -> None:
    night = subscription(pace=Pace(quiet=Quiet("22:00", "07:00", through="critical")))
    clock = ManualClock(at(23.0))
    held = placed(night, alert(), 0, clock.now())
    assert held is not None and (held.gathered, held.due_ns) == ("quiet_hours", at(31.0))
    urgent = placed(night, alert(severity="critical"), 0, clock.now())
    assert urgent is not None and urgent.gathered == ""
    clock.sleep(8 * 3600)
    day = placed(night, alert(), 0, clock.now())
    assert day is not None and (day.gathered, day.due_ns) == ("", at(31.0))


def test_a_digest_gathers_until_the_clocks_next_edge() -> None:
    often = subscription(pace=Pace(digest_minutes=15))
    dues = [placed(often, alert(), 0, NOON + minutes * MINUTE) for minutes in (0, 14, 15, 31)]
    assert [(each.due_ns - NOON) // MINUTE for each in dues if each] == [15, 15, 30, 45]
    assert {each.gathered for each in dues if each} == {"digest"}


def test_beyond_the_limit_of_an_hour_alerts_wait_for_the_summary() -> None:
    few = subscription(pace=Pace(per_hour=3))
    at_limit, beyond = (placed(few, alert(), sent, NOON + 5 * MINUTE) for sent in (2, 3))
    assert at_limit is not None and at_limit.gathered == ""
    assert beyond is not None and (beyond.gathered, beyond.due_ns) == ("rate_limit", NOON + HOUR)


def members(count: int) -> list[tuple[str, str]]:
    made = [placed(subscription(), alert(f"{number}.XTAI"), 0, NOON) for number in range(count)]
    return [(each.message_id, each.body) for each in made if each]


def test_a_digest_holds_its_alerts_whole_and_an_overflow_names_them() -> None:
    whole, summary = (digest("s1", reason, members(3), NOON) for reason in ("digest", "rate_limit"))
    assert (whole.type, summary.type) == ("alerts.digest", "alerts.overflow")
    told, named = json.loads(whole.body)["data"], json.loads(summary.body)["data"]
    assert told["count"] == named["count"] == 3
    assert [each["sentence"] for each in told["alerts"]] == ["Large orders came and went."] * 3
    assert "sentence" not in named["alerts"][0] and named["alerts"][0]["instrument"] == "0.XTAI"
    assert digest("s1", "digest", members(3), NOON).message_id == whole.message_id
    assert digest("s1", "digest", members(2), NOON).message_id != whole.message_id


def test_waits_follow_the_schedule_with_jitter_and_end_after_a_day() -> None:
    schedule = NotifySettings().retry_s
    failed, now, waits = Outcome(500, "HTTP 500"), 0, []
    for attempts in range(1, len(schedule) + 1):
        due = next_due(failed, attempts, now, schedule, lambda: 0.0)
        assert due is not None
        waits.append((due - now) // NANOS)
        assert next_due(failed, attempts, now, schedule, lambda: 0.999) < now + int(waits[-1] * 1.2 * NANOS)  # type: ignore[operator]
        now = due
    assert waits == [5, 300, 1800, 7200, 18000, 36000, 50400]
    assert now >= 24 * HOUR
    assert next_due(failed, len(schedule) + 1, now, schedule, lambda: 0.0) is None


def test_a_pause_that_the_receiver_asks_for_lengthens_the_wait() -> None:
    assert next_due(Outcome(429, "HTTP 429", 60.0), 1, 0, (5.0,), lambda: 0.0) == MINUTE
    assert next_due(Outcome(429, "HTTP 429", 1.0), 1, 0, (5.0,), lambda: 0.0) == 5 * NANOS


class FakeHttpClient(GuardedHttpClient):
    """Requests that end as they are told to, without a network."""

    def __init__(self, answer: HttpResponse | HttpRequestError) -> None:
        self._answer = answer
        self.sent: dict[str, str] = {}

    async def request(self, method: str, address: str, *, headers=None, body=None) -> HttpResponse:
        self.sent = dict(headers)
        if isinstance(self._answer, HttpRequestError):
            raise self._answer
        return self._answer


def delivered(answer: HttpResponse | HttpRequestError) -> Outcome:
    return asyncio.run(webhook.deliver(FakeHttpClient(answer), "https://x", [new_secret()], "msg_1", b"{}", NOON))


@pytest.mark.parametrize(
    ("status", "headers", "outcome"),
    [
        (200, {}, Outcome(200)),
        (204, {}, Outcome(204)),
        (302, {"Location": "https://y"}, Outcome(302, "HTTP 302")),
        (404, {"Retry-After": "60"}, Outcome(404, "HTTP 404")),
        (410, {}, Outcome(410, "HTTP 410", gone=True)),
        (429, {"Retry-After": "60"}, Outcome(429, "HTTP 429", 60.0)),
        (503, {"Retry-After": "Mon, 05 Jan 2026 12:02:00 GMT"}, Outcome(503, "HTTP 503", 120.0)),
        (503, {"Retry-After": "Mon, 05 Jan 2015 12:02:00 GMT"}, Outcome(503, "HTTP 503")),
        (503, {"Retry-After": "soon"}, Outcome(503, "HTTP 503")),
        (429, {"Retry-After": "9" * 300}, Outcome(429, "HTTP 429", 86_400.0)),
        (500, {}, Outcome(500, "HTTP 500")),
    ],
)
def test_the_receivers_status_says_what_became_of_it(status: int, headers: dict[str, str], outcome: Outcome) -> None:
    assert delivered(HttpResponse(status, headers, b"", "https://x")) == outcome


def test_a_request_without_an_answer_has_failed_and_a_long_answer_has_not() -> None:
    assert delivered(HttpRequestError("timeout", "no answer")).error == "timeout: no answer"
    assert delivered(HttpRequestError("too_large", "long", 200)).delivered
    assert not delivered(HttpRequestError("too_large", "long", 500)).delivered


def test_signatures_are_those_of_the_reference_library() -> None:
    secrets, body = [new_secret(), new_secret()], '{"a":"é"}'.encode()
    now = datetime.now(UTC)
    sent = webhook.headers(secrets, "msg_1", int(now.timestamp()), body)
    assert sent["webhook-signature"] == " ".join(Webhook(each).sign("msg_1", now, body.decode()) for each in secrets)
    for secret in secrets:
        assert Webhook(secret).verify(body.decode(), sent) == {"a": "é"}


def test_a_library_in_a_guarded_thread_reaches_no_inside_address() -> None:
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]
    with server:
        with guarded(AllowedAddresses()), pytest.raises(RefusedConnectionError):
            socket.create_connection(("localhost", port), timeout=1)
        with guarded(AllowedAddresses()), pytest.raises(RefusedConnectionError), socket.socket(socket.AF_UNIX) as inner:
            inner.connect("/nowhere")
        with guarded(AllowedAddresses(["127.0.0.0/8", "::1/128"])):
            socket.create_connection(("localhost", port), timeout=1).close()
        socket.create_connection(("localhost", port), timeout=1).close()


def test_mail_to_a_server_inside_is_refused_at_its_connection() -> None:
    pytest.importorskip("apprise")
    server = socket.create_server(("127.0.0.1", 0))
    with server:
        port = server.getsockname()[1]
        url = f"mailto://u:p@localhost:{port}?smtp=localhost&from=a@example.com&to=b@example.com&mode=insecure"
        outcome = asyncio.run(chat.Chat(AllowedAddresses()).deliver(url, b'{"type":"x","data":{}}'))
        assert not outcome.delivered
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()


def test_people_read_what_happened_and_not_its_json() -> None:
    made = placed(subscription(), alert(), 0, NOON)
    assert made is not None
    title, text = chat.words(made.body.encode())
    assert title == "high: spoofing on 2330.XTAI (opened)"
    assert text.startswith("Large orders came and went.\n")
    title, text = chat.words(digest("s1", "rate_limit", members(3), NOON).body.encode())
    assert title == "tapewatch: 3 alerts (3 high)"
    assert text.count("\n") == 2


@pytest.mark.parametrize(
    ("kind", "target", "shown"),
    [
        ("webhook", "https://x.example/hook?token=1", "https://x.example/hook?..."),
        ("webhook", "https://x.example/hook", "https://x.example/hook"),
        ("telegram", "tgram://123:abc/456", "tgram://..."),
    ],
)
def test_an_address_is_shown_without_its_credentials(kind, target: str, shown: str) -> None:
    check_target(kind, target)
    assert shown_target(kind, target) == shown


@pytest.mark.parametrize(
    ("kind", "target"),
    [("slack", "https://x"), ("email", "json://10.0.0.1"), ("webhook", "ftp://x"), ("webhook", "x"), ("teams", "")],
)
def test_an_address_of_another_kind_is_refused(kind, target: str) -> None:
    with pytest.raises(TapewatchError):
        check_target(kind, target)


@pytest.mark.parametrize(
    ("kind", "target", "why"),
    [
        ("email", "mailtos://u:p@x.example?to=a@x.example&verify=no", "verify"),
        ("email", "mailtos://u:p@x.example?VERIFY=no", "verify"),
        ("email", "mailtos://u:p@x.example?to=a@x.example&pgpkey=/etc/shadow", "pgpkey"),
        ("email", "mailto://u:p@x.example?mode=insecure", "mode"),
        ("email", "mailtos://u:p@x.example?+X-Header=a", "x-header"),
        ("email", "mailtos://u:p@x.example?name=Ann%0d%0aBcc:%20b@x.example", "control"),
        ("email", "mailtos://u:p@x.example?name=Ann%250d%250aBcc:%20b@x.example", "control"),
        ("slack", "slack://A1/B2/C3/#general?verify=no", "verify"),
        ("slack", "slack://A1/B2/C3/#general?footer=yes?verify=no", "verify"),
        ("teams", "workflows://x.example/1/2?template=/etc/passwd", "template"),
        ("webhook", "https://x.example/%0d%0aHost:%20y.example", "control"),
    ],
)
def test_an_address_that_weakens_names_files_or_brings_headers_is_refused_and_not_sent_to(kind, target, why) -> None:
    with pytest.raises(TapewatchError, match=why):
        check_target(kind, target)
    if kind != "webhook":
        outcome = asyncio.run(GuardedTransports(NotifySettings()).deliver(To(kind, target, ()), "m", b"{}", NOON))
        assert not outcome.delivered and why in outcome.error


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        ("email", "mailtos://u:p%40w@x.example?smtp=mail.x.example&to=a@x.example,b@x.example&name=Ann&mode=starttls"),
        ("slack", "slack://Ann@A1/B2/C3/#general?footer=no"),
        ("telegram", "tgram://123:abc/456?topic=7&silent=yes"),
        ("teams", "workflows://prod-1.example:443/abc/def?ver=2016-06-01"),
    ],
)
def test_usual_addresses_are_taken(kind, target: str) -> None:
    check_target(kind, target)


def test_secrets_open_with_their_key_alone_and_keys_can_be_changed(tmp_path) -> None:
    ours = Settings(data=str(tmp_path / "a"))
    sealed = secret_box(ours).seal("whsec_x")
    assert b"whsec_x" not in sealed
    assert secret_box(ours).open(sealed) == "whsec_x"
    assert (tmp_path / "a/notify.key").stat().st_mode & 0o777 == 0o600
    other = Settings(data=str(tmp_path / "b"))
    with pytest.raises(TapewatchError, match="another key"):
        secret_box(other).open(sealed)
    both = tmp_path / "both.key"
    secret_box(other)
    both.write_bytes((tmp_path / "b/notify.key").read_bytes() + (tmp_path / "a/notify.key").read_bytes())
    changed = msgspec.structs.replace(other, notify=NotifySettings(key_file=str(both)))
    assert secret_box(changed).open(sealed) == "whsec_x"
    missing = msgspec.structs.replace(other, notify=NotifySettings(key_file=str(tmp_path / "none")))
    with pytest.raises(TapewatchError, match="no key"):
        secret_box(missing)
