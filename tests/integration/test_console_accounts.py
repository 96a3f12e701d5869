"""Accounts of the running console: logging in, sessions, tokens, seats, the audit log; and the command line's."""

import contextlib
import http.client
import json
import signal
import ssl
import subprocess
import sys
import urllib.request

import pytest
import sqlalchemy as sa

from console.accounts import attempts
from tapewatch.cli import main
from tapewatch.clock import WALL
from tapewatch.desk import subscription_store
from tapewatch.proof import audit
from tapewatch.security import secret_box
from tests.integration.console_at_work import PASSWORD, at_work, browser, change, configured, people


@pytest.fixture
def desk(ours):
    return configured(ours)


def test_a_person_logs_in_looks_and_leaves(desk):
    people(desk)

    async def scene(address):
        async with browser(address) as ann:
            assert (await ann.call("GET", "/api/v1/session"))[0] == 401
            status, told, headers = await ann.log_in("analyst")
            assert (status, told["role"], told["instruments"]) == (200, "analyst", ["*"])
            assert "cases" in told["pages"] and "audit" not in told["pages"]
            cookie = headers["Set-Cookie"]
            assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and "Secure" not in cookie
            assert (await ann.call("GET", "/api/v1/instruments"))[0] == 200
            assert len((await ann.call("GET", "/api/v1/sessions"))[1]) == 1
            assert (await ann.call("PUT", "/api/v1/session/preferences", {"language": "ko"}))[0] == 200
            assert (await ann.call("GET", "/api/v1/session"))[1]["language"] == "ko"
            assert (await ann.call("DELETE", "/api/v1/session"))[0] == 200
            assert (await ann.call("GET", "/api/v1/session"))[0] == 401

    at_work(desk, scene)
    acts = [(entry.who, entry.action) for entry in audit.entries(audit.folder(desk.data_path))]
    assert acts == [("analyst", "session.begin"), ("analyst", "session.preferences"), ("analyst", "session.end")]


def test_failed_logins_lock_known_and_unknown_names_alike(desk):
    people(desk)

    async def scene(address):
        async with browser(address) as ann:
            answers = {}
            for name in ("analyst", "nobody-of-that-name"):
                told = [(await ann.log_in(name, "wrong-password"))[:2] for _ in range(attempts.FREE["account"] + 1)]
                answers[name] = [(status, body["error"]) for status, body in told]
            assert answers["analyst"] == answers["nobody-of-that-name"]
            assert [status for status, _ in answers["analyst"]] == [401] * attempts.FREE["account"] + [429]
            assert (await ann.log_in("analyst", PASSWORD))[0] == 429
            assert (await ann.log_in("viewer", PASSWORD))[0] == 200

    at_work(desk, scene)


def test_a_new_password_ends_every_session(desk):
    people(desk)
    fresh = "another-long-password"

    async def scene(address):
        async with browser(address) as here, browser(address) as there:
            await here.log_in("viewer")
            await there.log_in("viewer")
            wrong = {"old": "wrong-password", "new": fresh}
            assert (await here.call("PUT", "/api/v1/session/password", wrong))[0] == 403
            assert (await here.call("PUT", "/api/v1/session/password", {"old": PASSWORD, "new": "aaaaaaaaaaaa"}))[
                0
            ] == 422
            assert (await here.call("PUT", "/api/v1/session/password", {"old": PASSWORD, "new": fresh}))[0] == 200
            assert [(await each.call("GET", "/api/v1/session"))[0] for each in (here, there)] == [401, 401]
            assert (await here.log_in("viewer"))[0] == 401
            assert (await here.log_in("viewer", fresh))[0] == 200

    at_work(desk, scene)


def test_one_of_ones_sessions_can_be_ended_from_another(desk):
    people(desk)

    async def scene(address):
        async with browser(address) as here, browser(address) as lost:
            await lost.log_in("viewer")
            await here.log_in("viewer")
            other = next(each for each in (await here.call("GET", "/api/v1/sessions"))[1] if not each["own"])
            assert (await here.call("DELETE", f"/api/v1/sessions/{other['id']}"))[0] == 200
            assert (await lost.call("GET", "/api/v1/session"))[0] == 401
            assert (await here.call("GET", "/api/v1/session"))[0] == 200

    at_work(desk, scene)


def test_an_admin_makes_changes_and_disables_an_account(desk):
    people(desk)

    async def scene(address):
        async with browser(address) as root, browser(address) as bob:
            await root.log_in("admin")
            status, made, _ = await root.call("POST", "/api/v1/accounts", {"name": "bob", "role": "viewer"})
            assert status == 200
            assert (await root.call("POST", "/api/v1/accounts", {"name": "bob", "role": "viewer"}))[0] == 409
            await bob.log_in("bob", made["password"])
            change_to = {"pages": ["alerts"], "instruments": ["*.XTAI"], "role": "analyst"}
            assert (await root.call("PATCH", "/api/v1/accounts/bob", change_to))[0] == 200
            told = (await bob.call("GET", "/api/v1/session"))[1]
            assert (told["role"], told["pages"], told["instruments"]) == ("analyst", ["alerts"], ["*.XTAI"])
            assert (await root.call("PATCH", "/api/v1/accounts/bob", {"disabled": True}))[0] == 200
            assert (await bob.call("GET", "/api/v1/session"))[0] == 401
            assert (await bob.log_in("bob", made["password"]))[0] == 401
            assert (await root.call("PATCH", "/api/v1/accounts/admin", {"role": "viewer"}))[0] == 409
            assert (await root.call("PUT", "/api/v1/seats/viewer", {"pages": ["tape"], "instruments": ["*"]}))[0] == 200
            await bob.log_in("viewer")
            assert (await bob.call("GET", "/api/v1/session"))[1]["pages"] == ["tape"]

    at_work(desk, scene)


def test_a_token_speaks_within_its_scopes_until_it_is_revoked(desk):
    people(desk)

    async def scene(address):
        async with browser(address) as ann, browser(address) as program:
            await ann.log_in("analyst")
            wanted = {"name": "nightly", "scopes": ["read"], "days": 1, "password": PASSWORD}
            made = (await ann.call("POST", "/api/v1/tokens", wanted))[1]
            bearer = {"Authorization": f"Bearer {made['token']}"}
            assert (await program.call("GET", "/api/v1/instruments", headers=bearer))[0] == 200
            assert (await program.call("GET", "/api/v1/session", headers=bearer))[1]["csrf"] == ""
            assert (await ann.call("GET", "/api/v1/tokens"))[1][0]["used"]
            assert (await ann.call("DELETE", f"/api/v1/tokens/{made['id']}"))[0] == 200
            assert (await program.call("GET", "/api/v1/instruments", headers=bearer))[0] == 401

    at_work(desk, scene)


def test_a_token_is_made_by_who_knows_the_password_not_by_who_has_the_session(desk):
    people(desk)

    async def scene(address):
        async with browser(address) as ann:
            await ann.log_in("analyst")
            wanted = {"name": "nightly", "scopes": ["read"]}
            assert (await ann.call("POST", "/api/v1/tokens", wanted))[0] == 403
            status, told, _ = await ann.call("POST", "/api/v1/tokens", {**wanted, "password": "a-guess-of-a-thief"})
            assert (status, told["error"]) == (403, "the password is wrong")
            assert (await ann.call("POST", "/api/v1/tokens", {**wanted, "password": PASSWORD}))[0] == 200

    at_work(desk, scene)
    refused = [each for each in audit.entries(audit.folder(desk.data_path)) if each.action == "session.refused"]
    assert [(each.who, each.subject) for each in refused] == [("analyst", "analyst")] * 2
    assert {each.details["address"] for each in refused} == {"127.0.0.1"}


@pytest.mark.parametrize("how", ["password", "reset", "disabled"])
def test_what_an_account_entered_by_ends_with_its_password_and_when_it_is_disabled(desk, how):
    secret = people(desk)["analyst"]
    subscribed(desk, "of the leaver", "analyst")
    subscribed(desk, "of another", "viewer")

    async def scene(address):
        async with browser(address) as ann, browser(address) as root, browser(address) as program:
            bearer = {"Authorization": f"Bearer {secret}"}
            await ann.log_in("analyst")
            await root.log_in("admin")
            assert (await program.call("GET", "/api/v1/session", headers=bearer))[0] == 200
            if how == "password":
                change_to = {"old": PASSWORD, "new": "another-long-one-of-mine"}
                assert (await ann.call("PUT", "/api/v1/session/password", change_to))[0] == 200
            elif how == "reset":
                assert (await root.call("POST", "/api/v1/accounts/analyst/password"))[0] == 200
            else:
                for disabled in (True, False):
                    told = await root.call("PATCH", "/api/v1/accounts/analyst", {"disabled": disabled})
                    assert told[0] == 200
            assert (await program.call("GET", "/api/v1/session", headers=bearer))[0] == 401
            assert (await ann.call("GET", "/api/v1/session"))[0] == 401

    at_work(desk, scene)
    with sa.create_engine(desk.postgres_url(), poolclass=sa.NullPool).begin() as session:
        rows = session.execute(sa.text("SELECT name, state FROM subscriptions"))
        states: dict[str, str] = {row.name: row.state for row in rows}
    assert states == {"of the leaver": "disabled" if how == "disabled" else "active", "of another": "active"}


def subscribed(settings, name, who):
    new = subscription_store.NewSubscription(name=name, kind="webhook", target="https://example.org/hook")
    with sa.create_engine(settings.postgres_url(), poolclass=sa.NullPool).begin() as session:
        subscription_store.add(session, secret_box.secret_box(settings), new, who, WALL.now())


def test_persons_are_made_by_persons_and_an_admin_sees_and_ends_anybodys_tokens(desk):
    secrets = people(desk)

    async def scene(address):
        async with browser(address) as root, browser(address) as program:
            bearer = {"Authorization": f"Bearer {secrets['admin']}"}
            for method, path, body in (
                ("POST", "/api/v1/accounts", {"name": "eve", "role": "admin"}),
                ("PATCH", "/api/v1/accounts/viewer", {"role": "admin"}),
                ("POST", "/api/v1/accounts/viewer/password", None),
            ):
                status, told, _ = await program.call(method, path, body, headers=bearer)
                assert (status, told["error"]) == (403, "a person must do this, not a token")
            assert (await program.call("GET", "/api/v1/accounts", headers=bearer))[0] == 200
            await root.log_in("admin")
            found = (await root.call("GET", "/api/v1/accounts/analyst/tokens"))[1]
            assert [(each["name"], each["scopes"]) for each in found] == [("test", ["read", "write"])]
            path = f"/api/v1/accounts/analyst/tokens/{found[0]['id']}"
            assert (await root.call("DELETE", path))[0] == 200
            assert (await root.call("DELETE", path))[0] == 404
            his = {"Authorization": f"Bearer {secrets['analyst']}"}
            assert (await program.call("GET", "/api/v1/session", headers=his))[0] == 401
            assert (await root.call("GET", "/api/v1/accounts/nobody/tokens"))[0] == 404

    at_work(desk, scene)
    kept = [each for each in audit.entries(audit.folder(desk.data_path)) if each.action == "refused"]
    assert [each.subject for each in kept] == [
        "POST /api/v1/accounts",
        "PATCH /api/v1/accounts/{name}",
        "POST /api/v1/accounts/{name}/password",
    ]
    assert all(each.who == "admin" and each.details["token"] for each in kept)


def test_failed_logins_are_in_the_audit_log_and_what_is_no_account_is_not_named(desk):
    people(desk)

    async def scene(address):
        async with browser(address) as eve:
            assert (await eve.log_in("viewer", "wrong-wrong-wrong"))[0] == 401
            assert (await eve.log_in("my-password-in-the-wrong-field", "x"))[0] == 401
            assert (await eve.log_in("viewer"))[0] == 200

    at_work(desk, scene)
    found = [each for each in audit.entries(audit.folder(desk.data_path)) if each.action.startswith("session.")]
    assert [(each.action, each.who, each.subject) for each in found] == [
        ("session.refused", "not logged in", "viewer"),
        ("session.refused", "not logged in", "no account"),
        ("session.begin", "viewer", "viewer"),
    ]
    assert {each.details["address"] for each in found} == {"127.0.0.1"}


def test_accounts_from_the_command_line(desk, tmp_path, capsys):
    base = ["--data", desk.data, "accounts"]
    change_settings = tmp_path / "tapewatch.toml"
    change_settings.write_text(f'[postgres]\nurl = "{desk.postgres.url}"\n')
    base = ["--settings", str(change_settings), *base]

    def told(*words):
        assert main([*base, *words, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    assert len(told("add", "ann", "--role", "admin", "--generate")["password"]) >= 20
    secret = tmp_path / "password"
    secret.write_text("a-password-in-a-file\n")
    assert told("add", "bob", "--instruments", "*.XTAI", "--password-file", str(secret)) == {
        "name": "bob",
        "role": "viewer",
    }
    assert [each["name"] for each in told("list")["accounts"]] == ["ann", "bob"]
    assert told("tokens", "bob", "--make", "nightly")["token"].startswith("tw_")
    assert len(told("tokens", "bob")["tokens"]) == 1
    assert told("set", "bob", "--role", "analyst", "--pages", "role")["pages"] is None
    assert told("disable", "bob")["disabled"]
    assert main([*base, "disable", "ann"]) == 1
    assert main([*base, "add", "eve", "--password-file", str(tmp_path / "absent")]) == 1
    assert "no admin would be left" in capsys.readouterr().err


def test_entitlements_of_an_account_come_before_its_roles_seat(desk):
    people(desk)
    change(desk, "viewer", instruments=["AAA.XTST"], pages=["tape"])

    async def scene(address):
        async with browser(address) as ann:
            told = (await ann.log_in("viewer"))[1]
            assert (told["pages"], told["instruments"]) == (["tape"], ["AAA.XTST"])

    at_work(desk, scene)


def test_with_tls_cookies_are_secure_and_browsers_are_told_to_stay(desk, tmp_path):
    people(desk)
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    made += ["-keyout", str(key), "-out", str(cert), "-days", "2", "-subj", "/CN=localhost"]
    subprocess.run([*made, "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    trusted = ssl.create_default_context(cafile=str(cert))
    settings = configured(desk, tls_cert=str(cert), tls_key=str(key))

    async def scene(address):
        assert address.startswith("https://")
        async with browser(address) as ann:
            login = {"name": "viewer", "password": PASSWORD}
            status, _, headers = await ann.call("POST", "/api/v1/session", login, ssl=trusted)
            assert status == 200
            assert headers["Set-Cookie"].startswith("__Host-tapewatch=") and "Secure" in headers["Set-Cookie"]
            assert headers["Strict-Transport-Security"]
            assert (await ann.call("GET", "/api/v1/session", ssl=trusted))[0] == 200

    at_work(settings, scene)


def test_the_command_opens_an_account_once_and_ends_in_order_with_open_streams(desk, tmp_path):
    # Seconds: two starts of the real process.
    file = tmp_path / "tapewatch.toml"
    file.write_text(f'[postgres]\nurl = "{desk.postgres.url}"\n[kafka]\nbootstrap = "{desk.kafka.bootstrap}"\n')
    words = [sys.executable, "-m", "tapewatch", "--settings", str(file), "--data", desk.data]
    words += ["console", "--port", "0", "--open-account", "ann:admin", "--json"]

    def started():
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None
        return process, json.loads(process.stdout.readline())

    def post(address, path, body):
        headers = {"Content-Type": "application/json"}
        asked = urllib.request.Request(address + path, json.dumps(body).encode(), headers, method="POST")
        return urllib.request.urlopen(asked, timeout=30)

    process, told = started()
    try:
        (account,) = told["accounts"]
        login = {"name": "ann", "password": account["password"]}
        with post(told["url"], "api/v1/session", login) as answer:
            cookie = answer.headers["Set-Cookie"].partition(";")[0]
        asked = urllib.request.Request(told["url"] + "api/v1/events?topics=alerts", headers={"Cookie": cookie})
        with urllib.request.urlopen(asked, timeout=30) as stream:
            assert stream.readline().startswith(b"retry")
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(http.client.IncompleteRead):
                stream.read()
        assert process.wait(600) == 0, process.stderr.read()
        process, told = started()
        assert told["accounts"] == []
    finally:
        process.terminate()
        process.communicate(timeout=600)
