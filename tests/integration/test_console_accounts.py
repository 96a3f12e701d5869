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

from console.accounts import attempts
from tapewatch.cli import main
from tapewatch.proof import audit
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
            wanted = {"name": "nightly", "scopes": ["read"], "days": 1}
            made = (await ann.call("POST", "/api/v1/tokens", wanted))[1]
            bearer = {"Authorization": f"Bearer {made['token']}"}
            assert (await program.call("GET", "/api/v1/instruments", headers=bearer))[0] == 200
            assert (await program.call("GET", "/api/v1/session", headers=bearer))[1]["csrf"] == ""
            assert (await ann.call("GET", "/api/v1/tokens"))[1][0]["used"]
            assert (await ann.call("DELETE", f"/api/v1/tokens/{made['id']}"))[0] == 200
            assert (await program.call("GET", "/api/v1/instruments", headers=bearer))[0] == 401

    at_work(desk, scene)


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
