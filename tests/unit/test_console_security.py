"""The console's guards by themselves: passwords, files, rates, where it listens, and its description."""

from pathlib import Path

import pytest
from argon2 import PasswordHasher

from console import api, app, openapi, serve
from console.accounts import passwords
from console.accounts.store import PAGES
from console.limits import Rates
from console.refusal import RefusedError
from tapewatch.clock import NANOS, ManualClock
from tapewatch.errors import TapewatchError
from tapewatch.settings.delivery import ConsoleSettings

ROOT = Path(__file__).resolve().parents[2]


class CountingHasher:
    """Argon2, with a count of how often it worked."""

    def __init__(self, inner) -> None:
        self.inner, self.count = inner, 0

    def verify(self, kept: str, password: str) -> bool:
        self.count += 1
        return self.inner.verify(kept, password)

    def __getattr__(self, name: str):
        return getattr(self.inner, name)


@pytest.mark.slow
def test_a_name_that_does_not_exist_costs_the_same_work(monkeypatch):
    counting = CountingHasher(passwords._HASHER)
    monkeypatch.setattr(passwords, "_HASHER", counting)
    kept = passwords.hashed("a-long-enough-one")
    counts = []
    for each in (kept, kept, None):
        before = counting.count
        assert passwords.verify(each, "not-this-one") is None
        counts.append(counting.count - before)
    assert counts == [1, 1, 1]
    assert passwords.verify(kept, "a-long-enough-one") == kept
    assert passwords.verify(None, "a-long-enough-one") is None


def test_a_password_kept_under_weaker_parameters_is_kept_anew():
    weak = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash("a-long-enough-one")
    fresh = passwords.verify(weak, "a-long-enough-one")
    assert fresh not in (None, weak) and fresh.startswith("$argon2id$")


@pytest.mark.parametrize("password", ["short", "aaaaaaaaaaaaaaaa", "annabelle-12345"[:15], "x" * 257])
def test_weak_passwords_are_refused(password):
    with pytest.raises(TapewatchError):
        passwords.hashed(password, "annabelle")


def test_only_pages_files_are_served_and_no_links(tmp_path):
    (tmp_path / "i18n").mkdir()
    for name in ("app.js", "package.json", "vendor.mjs", "i18n/ko.json", "secret.txt", "types.d.ts"):
        (tmp_path / name).write_text("x")
    (tmp_path / "link.js").symlink_to(tmp_path / "secret.txt")
    (tmp_path / "away").symlink_to("/etc")
    served = ("app.js", "i18n/ko.json")
    asked = [*served, "package.json", "vendor.mjs", "secret.txt", "types.d.ts", "link.js", "away/hosts.js", "", "."]
    asked += ["../app.js", "i18n", "i18n/", "/app.js", "app.js/", "./app.js", "node_modules/x.js", "APP.JS", "app.js\n"]
    assert [name for name in asked if app.found(name, tmp_path)] == list(served)


def test_a_minutes_requests_may_come_at_once_and_then_as_many_a_minute():
    clock = ManualClock()
    rates = Rates(clock)
    for _ in range(60):
        rates.take("ann", 60)
    with pytest.raises(RefusedError) as refused:
        rates.take("ann", 60)
    assert refused.value.status == 429
    rates.take("bob", 60)
    clock.sleep(1.1)
    rates.take("ann", 60)
    with pytest.raises(RefusedError):
        rates.take("ann", 60)
    assert clock.now() < 2 * NANOS


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        (ConsoleSettings(host="192.0.2.1"), "without TLS"),
        (ConsoleSettings(host="0.0.0.0", behind_proxy=True), "allowed_hosts"),
        (ConsoleSettings(tls_cert="cert.pem"), "belong together"),
    ],
)
def test_it_does_not_listen_to_a_network_unprotected(settings, word):
    with pytest.raises(TapewatchError, match=word):
        serve.check(settings)
    serve.check(ConsoleSettings())
    serve.check(ConsoleSettings(host="0.0.0.0", behind_proxy=True, allowed_hosts=("console.example.org",)))


def test_every_page_of_the_routes_can_be_entitled():
    assert {route.page for route in api.routes()} - {""} <= set(PAGES)


def test_whatever_changes_something_asks_for_an_account_except_logging_in():
    open_to_all = {(route.method, route.path) for route in api.routes() if route.role is None}
    assert open_to_all == {
        ("POST", "/api/v1/session"),
        ("GET", "/api/v1/session/providers"),
        ("GET", "/api/v1/oidc/login"),
        ("GET", "/api/v1/oidc/callback"),
    }


def test_the_openapi_document_is_what_the_routes_give():
    assert (ROOT / openapi.PAGE).read_text() == openapi.text(api.routes())
