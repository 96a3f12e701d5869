"""What tests of the console share: the console on a free port over a migrated database, and people who log in."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import aiohttp
import msgspec
import sqlalchemy as sa

from console import serve
from console.accounts import passwords, store, tokens
from tapewatch.clock import NANOS, WALL
from tapewatch.settings import KafkaSettings, PostgresSettings, Settings
from tapewatch.settings.delivery import ConsoleSettings
from tapewatch.settings.stack import Addresses
from tests.integration.postgres_kept import migrated, template

PASSWORD = "correct-horse-battery"
ROLES = ("viewer", "analyst", "approver", "admin")


def configured(settings: Settings, **more) -> Settings:
    return msgspec.structs.replace(settings, console=msgspec.structs.replace(ConsoleSettings(port=0), **more))


def people(settings: Settings) -> dict[str, str]:
    """An account of each role, named like it, and a token of each with all scopes it may have."""
    made, kept = {}, passwords.hashed(PASSWORD)
    with sa.create_engine(settings.postgres_url(), poolclass=sa.NullPool).begin() as session:
        for role in ROLES:
            store.add(session, role, role, WALL.now(), password=kept)
            scopes = ["read", "write", *(["admin"] if role == "admin" else [])]
            _, made[role] = tokens.make(session, role, "test", scopes, WALL.now(), WALL.now() + 3600 * NANOS)
    return made


def change(settings: Settings, name: str, **values) -> None:
    with sa.create_engine(settings.postgres_url(), poolclass=sa.NullPool).begin() as session:
        store.change(session, name, values, WALL.now())


@contextmanager
def undone(url: str) -> Iterator[sa.Connection]:
    """A migrated database as it is at first, in one transaction that never comes true. url : of its server"""
    engine = sa.create_engine(sa.make_url(url).set(database=template(url)), poolclass=sa.NullPool)
    try:
        with engine.connect() as session:
            yield session
    finally:
        engine.dispose()


class Browser:
    """A person at the console: cookies, and the CSRF proof in what changes something."""

    def __init__(self, session: aiohttp.ClientSession, address: str) -> None:
        self.session, self.address, self.csrf = session, address.rstrip("/"), ""

    async def call(self, method: str, path: str, body=None, **more):
        headers = {"X-CSRF-Token": self.csrf} | more.pop("headers", {})
        sent = {} if body is None else {"json": body}
        async with self.session.request(method, self.address + path, headers=headers, **sent, **more) as answer:
            content = await answer.read()
            told = msgspec.json.decode(content) if answer.content_type == "application/json" else content
            return answer.status, told, answer.headers

    async def log_in(self, name: str, password: str = PASSWORD):
        status, told, headers = await self.call("POST", "/api/v1/session", {"name": name, "password": password})
        self.csrf = told.get("csrf", "")
        return status, told, headers


@asynccontextmanager
async def browser(address: str):
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar) as session:
        yield Browser(session, address)


def at_work(settings: Settings, scene: Callable[[str], Awaitable[None]]) -> None:
    """Run a scene against the console's address."""

    async def run() -> None:
        async with serve.running(settings) as address:
            await scene(address)

    asyncio.run(run())


@contextmanager
def of_its_own(stack: Addresses, data: Path):
    """Settings with a migrated database for a whole module's tests."""
    kafka, postgres = KafkaSettings(bootstrap=stack.bootstrap), PostgresSettings(url=stack.postgres_url)
    with migrated(Settings(data=str(data), kafka=kafka, postgres=postgres)) as settings:
        yield settings


@contextmanager
def beside(settings: Settings):
    """The console in a thread of its own, for many tests; its address."""
    opened, loop = threading.Event(), asyncio.new_event_loop()
    told: dict[str, str] = {}
    ending = asyncio.Event()

    async def run() -> None:
        async with serve.running(settings) as address:
            told["address"] = address
            opened.set()
            await ending.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),))
    thread.start()
    try:
        assert opened.wait(600)
        yield told["address"]
    finally:
        loop.call_soon_threadsafe(ending.set)
        thread.join(600)
        loop.close()
