"""Attacks on the running console, one a test; docs/security-console.md lists what each shows."""

import asyncio
import contextlib
import json

import aiohttp
import pytest
import sqlalchemy as sa
from yarl import URL

from console.accounts import attempts
from console.app import HEADERS
from tapewatch.clock import WALL
from tapewatch.contract.case_messages import Case
from tapewatch.contract.message import encode
from tapewatch.settings import Settings
from tapewatch.settings.delivery import OidcSettings
from tests.integration.console_at_work import PASSWORD, beside, browser, change, configured, of_its_own, people

STREAMS = 3
AT = "2026-01-05T09:00:00.000000000Z"
CASE = Case(
    id="c" * 32,
    revision=0,
    instrument="BBB.XTST",
    instruments=("BBB.XTST",),
    state="new",
    risk=5.0,
    opened=AT,
    updated=AT,
    alerts=(),
)
LISTS = (
    "INSERT INTO instruments (id, name) VALUES (901, 'AAA.XTST'), (902, 'BBB.XTST')",
    "INSERT INTO alerts VALUES (repeat('b', 32), 'spoofing', 902, 1, 1, 1, 'open', 0, 'high', 50, NULL, 's', 'book',"
    " '[]', '{}')",
    "INSERT INTO cases (id, revision, instrument_id, neighbourhood, state, disposition, owner, risk, priority, alerts,"
    " raising, opened_ns, updated_ns, history) VALUES (:id, 0, 902, '', 'new', '', '', 5, 4, 0, 0, 1, 1, '[]')",
    "INSERT INTO case_history VALUES (:id, 0, 'new', :message)",
)


class Scene:
    """The console under attack. tokens : by role"""

    def __init__(self, address: str, settings: Settings, tokens: dict[str, str]) -> None:
        self.address, self.settings, self.tokens = address, settings, tokens

    def play(self, act, *names: str) -> None:
        """Run `act` with a browser for each name, logged in where it is an account's."""

        async def run() -> None:
            async with contextlib.AsyncExitStack() as stack:
                browsers = [await stack.enter_async_context(browser(self.address)) for _ in names]
                for each, name in zip(browsers, names, strict=True):
                    if name:
                        assert (await each.log_in(name))[0] == 200
                await act(*browsers)

        asyncio.run(run())


@pytest.fixture(scope="module")
def desk(stack, tmp_path_factory):
    with of_its_own(stack, tmp_path_factory.mktemp("data")) as changed:
        ready = configured(
            changed,
            request_timeout_s=1.0,
            streams_per_account=STREAMS,
            requests_per_minute=5000,
            oidc=OidcSettings(issuer="http://127.0.0.1:9", client_id="tapewatch", public_url="http://127.0.0.1"),
        )
        tokens = people(ready)
        with sa.create_engine(ready.postgres_url(), poolclass=sa.NullPool).begin() as session:
            for statement in LISTS:
                session.execute(sa.text(statement), {"id": CASE.id, "message": encode(CASE).decode()})
        change(ready, "viewer", instruments=["AAA.*"], pages=["tape", "instrument", "alerts", "cases"])
        with beside(ready) as address:
            yield Scene(address, ready, tokens)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def raw(address: str, *parts: bytes, wait_s: float = 0.0) -> bytes:
    """Send bytes as they are; all that comes until the other side closes."""

    async def talk() -> bytes:
        host, port = address.removeprefix("http://").rstrip("/").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        with contextlib.suppress(ConnectionError):
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(wait_s)
        try:
            return await asyncio.wait_for(reader.read(), 20)
        except ConnectionError:
            return b""
        finally:
            writer.close()

    return asyncio.run(talk())


def request(line: str, *headers: str, body: bytes = b"") -> bytes:
    return "\r\n".join([line, "Host: localhost", "Connection: close", *headers, "", ""]).encode("latin-1") + body


def test_what_is_outside_the_seat_is_neither_found_nor_listed(desk):
    async def act(ann, root):
        for path in ("instruments/BBB.XTST", "instruments/BBB.XTST/bars", f"alerts/{'b' * 32}", f"cases/{'c' * 32}",
                     f"alerts/{'b' * 32}/history", f"alerts/{'b' * 32}/context"):  # fmt: skip
            assert (await ann.call("GET", f"/api/v1/{path}"))[0] == 404, path
        for path in ("instruments", "alerts", "cases"):
            status, told, _ = await ann.call("GET", f"/api/v1/{path}")
            assert status == 200 and "BBB.XTST" not in json.dumps(told), path
            assert "BBB.XTST" in json.dumps((await root.call("GET", f"/api/v1/{path}"))[1]), path

    desk.play(act, "viewer", "admin")


def test_pages_outside_the_seat_and_roles_above_are_refused(desk):
    async def act(ann):
        for path in ("signals", "models", "health", "audit", "proposals", "accounts", "seats"):
            assert (await ann.call("GET", f"/api/v1/{path}"))[0] == 403, path
        command = {"action": "note", "why": "x"}
        assert (await ann.call("POST", f"/api/v1/cases/{'c' * 32}/commands", command))[0] == 403

    desk.play(act, "viewer")


def test_others_sessions_and_tokens_are_out_of_reach(desk):
    async def act(ann, eve):
        session = (await ann.call("GET", "/api/v1/sessions"))[1][0]["id"]
        token = (await ann.call("GET", "/api/v1/tokens"))[1][0]["id"]
        assert (await eve.call("DELETE", f"/api/v1/sessions/{session}"))[0] == 404
        assert (await eve.call("DELETE", f"/api/v1/tokens/{token}"))[0] == 404
        assert (await ann.call("GET", "/api/v1/session"))[0] == 200

    desk.play(act, "analyst", "viewer")


def test_another_sites_page_changes_nothing(desk):
    async def act(ann, eve):
        cases = [
            ({"X-CSRF-Token": ""}, 403),
            ({"X-CSRF-Token": eve.csrf}, 403),
            ({"X-CSRF-Token": "é"}, 403),
            ({"Origin": "https://evil.example"}, 403),
            ({"Origin": "null"}, 403),
            ({"Sec-Fetch-Site": "cross-site"}, 403),
            ({"Sec-Fetch-Site": "same-site"}, 403),
            ({"Content-Type": "text/plain"}, 415),
            ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
            ({"Content-Type": "multipart/form-data; boundary=x"}, 415),
            ({"Sec-Fetch-Site": "same-origin", "Origin": desk.address.rstrip("/")}, 200),
        ]
        for headers, status in cases:
            sent = {"Content-Type": "application/json", **headers}
            told = await ann.call("PUT", "/api/v1/session/preferences", data=b'{"language": "en"}', headers=sent)
            assert told[0] == status, headers
        login = {"name": "viewer", "password": PASSWORD}
        assert (await ann.call("POST", "/api/v1/session", login, headers={"Origin": "https://evil.example"}))[0] == 403

    desk.play(act, "analyst", "viewer")


def test_another_sites_page_opens_no_websocket(desk):
    async def act(ann):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await ann.session.ws_connect(desk.address + "api/v1/events/ws", origin="https://evil.example")
        assert refused.value.status == 403

    desk.play(act, "analyst")


def test_no_answer_allows_another_origin(desk):
    async def act(ann):
        _, _, headers = await ann.call("GET", "/api/v1/session", headers={"Origin": "https://evil.example"})
        assert not [name for name in headers if name.lower().startswith("access-control-")]

    desk.play(act, "analyst")


def test_a_cookie_is_worthless_after_logging_out(desk):
    async def act(ann, eve):
        stolen = {"Cookie": "; ".join(f"{each.key}={each.value}" for each in ann.session.cookie_jar)}
        assert (await eve.call("GET", "/api/v1/session", headers=stolen))[0] == 200
        assert (await ann.call("DELETE", "/api/v1/session"))[0] == 200
        assert (await eve.call("GET", "/api/v1/session", headers=stolen))[0] == 401

    desk.play(act, "analyst", "")


def test_a_session_planted_before_the_login_is_not_taken_over(desk):
    async def act(eve, victim):
        planted = {each.key: each.value for each in eve.session.cookie_jar}
        victim.session.cookie_jar.update_cookies(planted, URL(desk.address))
        assert (await victim.log_in("analyst"))[0] == 200
        assert {each.key: each.value for each in victim.session.cookie_jar} != planted
        assert (await eve.call("GET", "/api/v1/session"))[0] == 401
        victim.session.cookie_jar.update_cookies({"tapewatch": "chosen-by-eve"}, URL(desk.address))
        assert (await victim.log_in("analyst"))[0] == 200
        assert "chosen-by-eve" not in [each.value for each in victim.session.cookie_jar]

    desk.play(act, "viewer", "")


def test_a_token_does_no_more_than_its_scopes(desk):
    async def act(ann, program):
        read_only = {"name": "reads", "scopes": ["read"], "days": 1, "password": PASSWORD}
        token = (await ann.call("POST", "/api/v1/tokens", read_only))[1]["token"]
        may = bearer(token)
        assert (await program.call("GET", "/api/v1/alerts", headers=may))[0] == 200
        assert (await program.call("POST", "/api/v1/cases/commands", {}, headers=may))[0] == 403
        assert (await program.call("GET", "/api/v1/accounts", headers=may))[0] == 403
        for method, path, body in (
            ("POST", "tokens", {**read_only, "scopes": ["read", "write"]}),
            ("GET", "tokens", None),
            ("PUT", "session/password", {"old": PASSWORD, "new": "another-long-one"}),
            ("DELETE", "session", None),
        ):
            told = await program.call(method, f"/api/v1/{path}", body, headers=bearer(desk.tokens["analyst"]))
            assert told[0] == 403, path
        escalated = {**read_only, "scopes": ["read", "admin"]}
        assert (await ann.call("POST", "/api/v1/tokens", escalated))[0] == 403

    desk.play(act, "analyst", "")


def test_forged_and_damaged_credentials_open_nothing(desk):
    good = desk.tokens["admin"]

    async def act(eve):
        for value in (
            f"Bearer {good[:-1]}",
            f"Bearer {good}x",
            f"Bearer {good.upper()}",
            f"Basic {good}",
            "Bearer ",
            "Bearer tw_' OR '1'='1",
            "Bearer " + "tw_" + "A" * 5000,
            "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.",
        ):
            assert (await eve.call("GET", "/api/v1/session", headers={"Authorization": value}))[0] == 401, value
        for value in ("", "a", "x" * 4000, "' OR 1=1 --", "..%2f..", "%00"):
            told = await eve.call("GET", "/api/v1/session", headers={"Cookie": f"tapewatch={value}"})
            assert told[0] == 401, value

    desk.play(act, "")


def test_a_role_cannot_be_assigned_along_with_something_else(desk):
    async def act(ann, root):
        more = {"language": "en", "role": "admin"}
        assert (await ann.call("PUT", "/api/v1/session/preferences", more))[0] == 422
        login = {"name": "viewer", "password": PASSWORD, "role": "admin"}
        assert (await ann.call("POST", "/api/v1/session", login))[0] == 422
        token = {"name": "x", "scopes": ["read"], "account": "admin"}
        assert (await ann.call("POST", "/api/v1/tokens", token))[0] == 422
        assert (await ann.call("PATCH", "/api/v1/accounts/analyst", {"role": "admin"}))[0] == 403
        assert (await root.call("PATCH", "/api/v1/accounts/viewer", {"password": "x", "name": "root"}))[0] == 422
        assert (await ann.call("GET", "/api/v1/session"))[1]["role"] == "analyst"

    desk.play(act, "analyst", "admin")


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/../../pyproject.toml",
        "/static/%2e%2e/app.py",
        "/static/..%2fapp.py",
        "/static/%252e%252e/app.py",
        "/static/....//app.py",
        "/static/pages/..\\..\\app.py",
        "/static//etc/passwd",
        "/static/%00app.js",
        "/static/app.js%00.css",
        "/static/",
        "/static/pages/",
        "/static/package.json",
        "/static/package-lock.json",
        "/static/tsconfig.json",
        "/static/vendor.mjs",
        "/static/index.html",
        "/static/node_modules/typescript/lib/tsc.js",
        "/static/.eslintrc.json",
    ],
)
def test_no_path_leads_out_of_the_pages_files(desk, path):
    answer = raw(desk.address, request(f"GET {path} HTTP/1.1"))
    assert answer.split(b" ")[1] in (b"404", b"400"), answer[:200]


def test_ids_that_are_paths_or_commands_find_nothing(desk):
    async def act(root):
        for word in (
            "..%2f..%2fetc%2fpasswd",
            "%2e%2e",
            "a%00b",
            "%0d%0aSet-Cookie:x=1",
            "x" * 3000,
            "';DROP TABLE alerts;--",
        ):
            for place in ("alerts", "cases", "proposals", "models", "instruments"):
                status, _, headers = await root.call("GET", URL(f"/api/v1/{place}/{word}", encoded=True).raw_path)
                assert status in (404, 422), (place, word)
                assert "Set-Cookie" not in headers

    desk.play(act, "admin")


def test_text_cannot_become_a_header(desk):
    async def act(eve):
        for path in ("/api/v1/oidc/callback?error=%0d%0aSet-Cookie:a=b&code=X:", "/%0d%0aSet-Cookie:a=b"):
            _, _, headers = await eve.call("GET", path, allow_redirects=False)
            assert "X" not in headers and "a=b" not in headers.get("Set-Cookie", "")
        told = await eve.call("POST", "/api/v1/session", {"name": "a\r\nSet-Cookie: a=b", "password": "whatever"})
        assert told[0] == 401 and "Set-Cookie" not in told[2]

    desk.play(act, "")


def test_the_way_back_from_the_provider_leads_nowhere_else(desk):
    elsewhere = ("?next=https://evil.example&state=a&code=b", "?redirect_uri=//evil.example&code=y")

    async def act(eve):
        for query in ("", "?state=x&code=y", "?error=access_denied&state=x", "?state=&code=", *elsewhere):
            status, _, headers = await eve.call("GET", f"/api/v1/oidc/callback{query}", allow_redirects=False)
            assert (status, headers["Location"]) == (303, "/?login=refused"), query

    desk.play(act, "")


def test_a_provider_inside_the_network_is_not_called(desk):
    async def act(eve):
        status, told, _ = await eve.call("GET", "/api/v1/oidc/login", allow_redirects=False)
        assert status == 503 and told["error"].startswith("refused")

    desk.play(act, "")


def test_bodies_heads_and_nests_that_are_too_large_are_refused(desk):
    async def act(ann):
        async def chunks():
            for _ in range(40):
                yield b" " * 65536

        path, kind = "/api/v1/session/preferences", {"Content-Type": "application/json"}
        assert (await ann.call("PUT", path, data=b" " * 2_000_000, headers=kind))[0] == 413
        assert (await ann.call("PUT", path, data=chunks(), headers=kind))[0] == 413
        assert (await ann.call("PUT", path, data=b"[" * 500_000, headers=kind))[0] == 422
        assert (await ann.call("PUT", path, data=b'{"language":"\\u0000"}', headers=kind))[0] == 422
        assert (await ann.call("GET", "/api/v1/alerts?search=" + "x" * 7000))[0] == 422

    desk.play(act, "analyst")
    assert (
        raw(desk.address, request("GET /api/v1/session HTTP/1.1", "X-Long: " + "x" * 20_000)).split(b" ")[1] == b"400"
    )
    many = [f"X-{number}: y" for number in range(500)]
    assert raw(desk.address, request("GET /api/v1/session HTTP/1.1", *many)).split(b" ")[1] == b"400"
    assert raw(desk.address, request(f"GET /{'x' * 20_000} HTTP/1.1")).split(b" ")[1] == b"400"


def test_a_client_that_sends_its_head_too_slowly_is_cut_off(desk):
    began = WALL.now()
    drops = [b"GET /api/v1/session HTTP/1.1\r\nHost: localhost\r\n", *[b"X-A: b\r\n"] * 8]
    assert not raw(desk.address, *drops, wait_s=0.4).startswith(b"HTTP/1.1 2")
    assert WALL.now() - began < 15_000_000_000


def test_a_client_that_sends_its_body_too_slowly_is_answered_408(desk):
    head = request("PUT /api/v1/session/preferences HTTP/1.1", "Content-Type: application/json", "Content-Length: 999",
                   f"Authorization: Bearer {desk.tokens['analyst']}")  # fmt: skip
    assert raw(desk.address, head, b"{").split(b" ")[1] == b"403"
    login = request("POST /api/v1/session HTTP/1.1", "Content-Type: application/json", "Content-Length: 999")
    assert raw(desk.address, login, b"{").split(b" ")[1] == b"408"


def test_two_lengths_or_two_hosts_are_no_request(desk):
    both = request(
        "POST /api/v1/session HTTP/1.1", "Content-Length: 4", "Transfer-Encoding: chunked", body=b"0\r\n\r\nGET"
    )
    assert raw(desk.address, both).split(b" ")[1] == b"400"
    twice = request("POST /api/v1/session HTTP/1.1", "Content-Length: 4", "Content-Length: 5", body=b"12345")
    assert raw(desk.address, twice).split(b" ")[1] == b"400"
    hosts = request("GET /api/v1/session HTTP/1.1", "Host: evil.example")
    assert raw(desk.address, hosts).split(b" ")[1] in (b"400", b"421")


def test_a_name_that_is_not_the_consoles_gets_nothing(desk):
    async def act(eve):
        for host in ("evil.example", "127.0.0.1.evil.example", "localhost.", "[::ffff:7f00:1]", ""):
            for path in ("/api/v1/session/providers", "/", "/static/app.js"):
                assert (await eve.call("GET", path, headers={"Host": host}))[0] in (400, 421), host

    desk.play(act, "")


def test_every_answer_forbids_frames_foreign_scripts_and_sniffing(desk):
    async def act(ann):
        for path in ("/", "/alerts", "/static/app.js", "/static/nothing.js", "/api/v1/session", "/api/v1/nothing"):
            _, _, headers = await ann.call("GET", path)
            assert {name: headers.get(name) for name in HEADERS} == HEADERS, path
            assert "unsafe" not in headers["Content-Security-Policy"]
            assert "Server" not in headers
            if path.startswith("/api"):
                assert headers["Cache-Control"] == "no-store"

    desk.play(act, "analyst")


def test_methods_that_nobody_offers_are_refused(desk):
    async def act(root):
        for method in ("TRACE", "CONNECT", "PROPFIND", "DELETE"):
            async with root.session.request(method, desk.address + "api/v1/alerts") as answer:
                assert answer.status in (400, 404, 405), method
        for method in ("POST", "PUT", "DELETE"):
            assert (await root.call(method, "/"))[0] == 405

    desk.play(act, "admin")


def test_a_locked_name_tells_nothing_of_whether_it_exists(desk):
    async def act(eve):
        answers = []
        for name in ("approver", "no-such-person"):
            told = [await eve.log_in(name, "wrong-password") for _ in range(attempts.FREE["account"] + 1)]
            answers.append([(status, sorted(headers), body["error"]) for status, body, headers in told])
        assert answers[0] == answers[1]
        assert [status for status, _, _ in answers[0]] == [401] * attempts.FREE["account"] + [429]

    desk.play(act, "")


def test_an_account_opens_so_many_streams_and_no_more(desk):
    async def act(ann):
        async with contextlib.AsyncExitStack() as stack:
            for expected in [200] * STREAMS + [429]:
                opening = ann.session.get(desk.address + "api/v1/events?topics=alerts")
                assert (await stack.enter_async_context(opening)).status == expected
        assert (await ann.call("GET", "/api/v1/session"))[0] == 200

    desk.play(act, "analyst")


def test_words_in_sql_are_only_words(desk):
    async def act(root):
        for word in ("' OR '1'='1", "%", "_", "\\", "'; SELECT pg_sleep(9); --", "$(id)", "{{7*7}}"):
            query = URL.build(path="/api/v1/instruments", query={"search": word})
            status, told, _ = await root.call("GET", str(query))
            assert (status, told) == (200, []), word

    desk.play(act, "admin")


def test_markup_in_a_name_is_sent_as_json_and_never_as_a_page(desk):
    async def act(ann):
        status, _, headers = await ann.call("GET", "/api/v1/alerts/%3Cimg%20src=x%20onerror=alert(1)%3E")
        assert status == 404 and headers["Content-Type"].startswith("application/json")

    desk.play(act, "analyst")
