"""The console's door over HTTP at times set by hand: what its settings say reaches locks, sessions and tokens."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from aiohttp.test_utils import TestServer
from argon2 import PasswordHasher

from console.accounts import passwords
from console.accounts.enter import identifier
from console.api import session, tokens
from console.app import make_app
from console.database import Database
from console.services import Services
from tapewatch import rfc3339
from tapewatch.clock import NANOS
from tapewatch.settings import Settings
from tapewatch.settings.stack import Addresses
from tests.integration.console_at_work import PASSWORD, Browser, browser, configured, of_its_own, people
from tests.integration.postgres_kept import superuser

T = 1_700_000_000 * NANOS
MINUTE = 60 * NANOS
HOUR = 60 * MINUTE


class SetClock:
    """A clock that stands where it is put."""

    def __init__(self) -> None:
        self.at = T

    def now(self) -> int:
        return self.at

    elapsed = now

    def sleep(self, seconds: float) -> None:
        raise AssertionError("nobody waits at the door")


@pytest.fixture(scope="module")
def inhabited(stack: Addresses, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A database with people; passwords that are cheap to look at, since there are dozens of logins a test."""
    with of_its_own(stack, tmp_path_factory.mktemp("data")) as changed, pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "_HASHER", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
        ready = configured(changed, session_hours=2.0, idle_minutes=10.0)
        people(ready)
        yield ready


@pytest.fixture
def desk(inhabited: Settings) -> Settings:
    """People whom nobody remembers yet."""
    with superuser(inhabited) as cursor:
        cursor.execute("DELETE FROM sessions; DELETE FROM api_tokens; DELETE FROM login_attempts")
    return inhabited


@contextlib.asynccontextmanager
async def door(settings: Settings, clock: SetClock) -> AsyncIterator[str]:
    database = Database(settings.postgres_url())
    services = Services(settings, database, clock=clock)
    app = make_app(services, identifier(services), [*session.ROUTES, *tokens.ROUTES])
    try:
        async with TestServer(app) as server:
            yield str(server.make_url("/"))
    finally:
        database.close()


def played(settings: Settings, scene: Callable[[Browser, SetClock], Awaitable[None]]) -> None:
    """A scene with a browser at the door, at T."""

    async def run() -> None:
        clock = SetClock()
        async with door(settings, clock) as address, browser(address) as ann:
            await scene(ann, clock)

    asyncio.run(run())


async def status_of(ann: Browser, method: str, path: str, body: Any = None, **more: Any) -> int:
    return int((await ann.call(method, f"/api/v1/{path}", body, **more))[0])


async def tried(ann: Browser, name: str, password: str = "wrong-password") -> tuple[int, str]:
    """A login's status, and what to do next."""
    status, told, _ = await ann.log_in(name, password)
    return int(status), told.get("next", "")


def test_a_session_lasts_as_long_as_the_settings_say(desk: Settings) -> None:
    async def scene(ann: Browser, clock: SetClock) -> None:
        headers = (await ann.log_in("viewer"))[2]
        assert "Max-Age=7200;" in headers["Set-Cookie"]
        (only,) = (await ann.call("GET", "/api/v1/sessions"))[1]
        assert only["own"] and only["address"] == "127.0.0.1" and "aiohttp" in only["agent"]
        assert [rfc3339.from_rfc3339(only[name]) - T for name in ("created", "seen", "expires")] == [0, 0, 2 * HOUR]
        for minutes in range(9, 118, 9):
            clock.at = T + minutes * MINUTE
            assert await status_of(ann, "GET", "session") == 200
        clock.at = T + 2 * HOUR - 1
        assert await status_of(ann, "GET", "session") == 200
        clock.at = T + 2 * HOUR
        assert await status_of(ann, "GET", "session") == 401

    played(desk, scene)


def test_a_session_without_a_call_ends_when_the_settings_say(desk: Settings) -> None:
    async def scene(ann: Browser, clock: SetClock) -> None:
        await ann.log_in("viewer")
        clock.at = T + 10 * MINUTE - 1
        assert await status_of(ann, "GET", "session") == 200
        clock.at += 10 * MINUTE
        assert await status_of(ann, "GET", "session") == 401
        await ann.log_in("viewer")
        assert len((await ann.call("GET", "/api/v1/sessions"))[1]) == 1, "one that is idle for too long is not open"

    played(desk, scene)


def test_the_fifth_wrong_password_locks_the_name_and_a_good_one_begins_anew(desk: Settings) -> None:
    async def scene(ann: Browser, clock: SetClock) -> None:
        for _ in range(2):
            assert [(await tried(ann, "viewer"))[0] for _ in range(4)] == [401] * 4
            assert await tried(ann, " Viewer ", PASSWORD) == (200, "")
        assert [(await tried(ann, "viewer"))[0] for _ in range(5)] == [401] * 5
        assert await tried(ann, "viewer", PASSWORD) == (429, "Try again in 15 s.")
        clock.at += 15 * NANOS - 1
        assert await tried(ann, "viewer", PASSWORD) == (429, "Try again in 1 s.")
        clock.at += 1
        assert (await tried(ann, "viewer"))[0] == 401
        assert await tried(ann, "viewer", PASSWORD) == (429, "Try again in 30 s.")
        assert (await tried(ann, "analyst", PASSWORD))[0] == 200

    played(desk, scene)


def test_the_25th_wrong_name_locks_the_address_for_everybody(desk: Settings) -> None:
    async def scene(ann: Browser, clock: SetClock) -> None:
        for number in range(25):
            assert (await tried(ann, f"nobody {number}"))[0] == 401
            assert number == 24 or (await tried(ann, "viewer", PASSWORD))[0] == 200
        assert await tried(ann, "viewer", PASSWORD) == (429, "Try again in 15 s.")
        clock.at += 15 * NANOS
        assert (await tried(ann, "viewer", PASSWORD))[0] == 200

    played(desk, scene)


def test_wrong_old_passwords_lock_as_wrong_logins_do(desk: Settings) -> None:
    async def scene(ann: Browser, clock: SetClock) -> None:
        async def changed(old: str, new: str) -> tuple[int, str]:
            status, told, _ = await ann.call("PUT", "/api/v1/session/password", {"old": old, "new": new})
            return int(status), told.get("next", "")

        fresh = "another-long-password"
        await ann.log_in("approver")
        assert [(await changed("wrong-password", fresh))[0] for _ in range(4)] == [403] * 4
        assert await changed(PASSWORD, fresh) == (200, "")
        assert (await tried(ann, "approver", fresh))[0] == 200
        assert [(await changed("wrong-password", PASSWORD))[0] for _ in range(5)] == [403] * 5
        assert await changed(fresh, PASSWORD) == (429, "Try again in 15 s.")
        clock.at += 15 * NANOS
        assert await changed(fresh, PASSWORD) == (200, "")
        assert (await tried(ann, "approver", PASSWORD))[0] == 200

    played(desk, scene)


def test_a_token_ends_after_the_days_that_were_asked_for(desk: Settings) -> None:
    async def scene(ann: Browser, clock: SetClock) -> None:
        async def made(**more: Any) -> dict[str, Any]:
            told: dict[str, Any] = (
                await ann.call("POST", "/api/v1/tokens", {"scopes": ["read"], "password": PASSWORD} | more)
            )[1]
            return told

        await ann.log_in("analyst")
        usual, short = await made(name="of usual length"), await made(name="short", days=2)
        shown = {each["id"]: each for each in (await ann.call("GET", "/api/v1/tokens"))[1]}
        lasts = [rfc3339.from_rfc3339(shown[each["id"]]["expires"]) - T for each in (usual, short)]
        assert lasts == [90 * 24 * HOUR, 2 * 24 * HOUR]
        assert shown[short["id"]]["used"] == ""
        for late, status in ((-1, 200), (0, 401)):
            clock.at = T + 48 * HOUR + late
            bearer = {"Authorization": f"bearer  {short['token']} "}
            assert await status_of(ann, "GET", "session", headers=bearer) == status
            await ann.log_in("analyst")
            told = {each["id"]: each for each in (await ann.call("GET", "/api/v1/tokens"))[1]}
            assert (told[short["id"]]["ended"], told[usual["id"]]["ended"]) == (late == 0, False)
        assert rfc3339.from_rfc3339(told[short["id"]]["used"]) == T + 48 * HOUR - 1

    played(desk, scene)


def test_a_credential_that_is_given_counts_alone(desk: Settings) -> None:
    async def scene(ann: Browser, clock: SetClock) -> None:
        await ann.log_in("analyst")
        secret = (await ann.call("POST", "/api/v1/tokens", {"name": "x", "scopes": ["read"], "password": PASSWORD}))[1][
            "token"
        ]
        for header in (f"Basic {secret}", secret, "Bearer", "Bearer xx_" + secret[3:], f"Bearer {secret}{'x' * 200}"):
            assert await status_of(ann, "GET", "session", headers={"Authorization": header}) == 401, header
        assert await status_of(ann, "GET", "session", headers={"Authorization": f"BEARER {secret}"}) == 200
        assert await status_of(ann, "GET", "session") == 200

    played(desk, scene)


def test_who_may_make_which_token(desk: Settings) -> None:
    async def scene(ann: Browser, clock: SetClock) -> None:
        wanted = {"name": "all of it", "scopes": ["admin"], "password": PASSWORD}
        for name, status in (("approver", 403), ("admin", 200)):
            await ann.log_in(name)
            assert await status_of(ann, "POST", "tokens", wanted) == status
        made = {"name": "one of many", "scopes": ["read"], "password": PASSWORD}
        assert [await status_of(ann, "POST", "tokens", made) for _ in range(50)] == [200] * 49 + [409]
        assert await status_of(ann, "DELETE", "tokens/" + "0" * 16) == 404

    played(desk, scene)


def test_logging_out_ends_one_session_and_another_by_its_whole_name_alone(desk: Settings) -> None:
    async def scene(ann: Browser, clock: SetClock) -> None:
        await ann.log_in("viewer")
        ann.session.cookie_jar.clear()
        clock.at += NANOS
        await ann.log_in("viewer")
        own, other = (await ann.call("GET", "/api/v1/sessions"))[1]
        assert (own["own"], other["own"]) == (True, False)
        for wrong in (other["id"][:15], other["id"] + "0", "0" * 16):
            assert await status_of(ann, "DELETE", f"sessions/{wrong}") == 404
        assert len((await ann.call("GET", "/api/v1/sessions"))[1]) == 2
        assert await status_of(ann, "DELETE", "session") == 200
        assert await status_of(ann, "GET", "session") == 401
        await ann.log_in("viewer")
        left = [each["id"] for each in (await ann.call("GET", "/api/v1/sessions"))[1] if not each["own"]]
        assert left == [other["id"]]
        assert await status_of(ann, "DELETE", f"sessions/{other['id']}") == 200
        assert len((await ann.call("GET", "/api/v1/sessions"))[1]) == 1

    played(desk, scene)
