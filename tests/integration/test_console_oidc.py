"""Logging in at an identity provider, there and back, over the running console."""

import asyncio
from contextlib import asynccontextmanager
from typing import Literal
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from aiohttp import web

from console import serve
from tapewatch.clock import NANOS, WALL
from tapewatch.proof import audit
from tapewatch.settings.delivery import OidcSettings
from tests.integration.console_at_work import browser, change, configured, people
from tests.unit.identity_provider import CLIENT, FakeProvider, claims

ROLES: dict[str, Literal["viewer", "analyst", "approver", "admin"]] = {"desk": "analyst", "approvers": "approver"}


@asynccontextmanager
async def provider():
    """A provider that listens on the loopback."""
    there = FakeProvider()

    async def answer(request: web.Request) -> web.Response:
        form = {name: [str(value)] for name, value in (await request.post()).items()}
        status, told = there.answer(request.path, form)
        return web.json_response(told, status=status)

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    there.issuer = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield there
    finally:
        await runner.cleanup()


async def there_and_back(ann, there, code: str = "good", **said):
    """Where the browser ends after it went to the provider and came back."""
    status, _, headers = await ann.call("GET", "/api/v1/oidc/login", allow_redirects=False)
    assert status == 303
    words = {name: value[0] for name, value in parse_qs(urlsplit(headers["Location"]).query).items()}
    there.challenge = words["code_challenge"]
    there.said = claims(words["nonce"], there.issuer, WALL.now() // NANOS, **said)
    back = f"/api/v1/oidc/callback?state={words['state']}&code={code}&session_state=x"
    status, _, headers = await ann.call("GET", back, allow_redirects=False)
    assert status == 303
    return headers["Location"], back


@pytest.fixture
def desk(ours):
    return configured(ours)


def test_who_the_provider_vouches_for_enters_with_the_mapped_role(desk):
    people(desk)

    async def scene(there, address):
        async with browser(address) as ann, browser(address) as eve:
            assert (await ann.call("GET", "/api/v1/session/providers"))[1] == {"oidc": "Single sign-on"}
            place, back = await there_and_back(ann, there)
            told = (await ann.call("GET", "/api/v1/session"))[1]
            assert (place, told["name"], told["role"]) == ("/", "ann", "approver")
            for who in (ann, eve):
                again = await who.call("GET", back, allow_redirects=False)
                assert again[2]["Location"] == "/?login=refused"
            assert (await eve.call("GET", "/api/v1/session"))[0] == 401
            await there_and_back(ann, there, groups=["desk"])
            assert (await ann.call("GET", "/api/v1/session"))[1]["role"] == "analyst"

    run(desk, scene)
    told = [entry.action for entry in audit.entries(audit.folder(desk.data_path))]
    assert told == ["account.add", "session.begin", "account.change", "session.begin"]


def test_who_is_not_vouched_for_does_not_enter(desk):
    people(desk)
    change(desk, "viewer", disabled=True)

    async def scene(there, address):
        async with browser(address) as eve:
            assert (await there_and_back(eve, there, code="stolen"))[0] == "/?login=refused"
            assert (await there_and_back(eve, there, groups=["strangers"]))[0] == "/?login=norole"
            assert (await there_and_back(eve, there, aud="another"))[0] == "/?login=refused"
            assert (await eve.call("GET", "/api/v1/session"))[0] == 401

    run(desk, scene)


def test_a_name_there_does_not_take_over_the_account_of_that_name_here(desk):
    people(desk)

    async def scene(there, address):
        async with browser(address) as eve:
            place, _ = await there_and_back(eve, there, preferred_username="admin", groups=["desk"])
            told = (await eve.call("GET", "/api/v1/session"))[1]
            assert place == "/" and told["role"] == "analyst"
            assert told["name"].startswith("admin-") and told["name"] != "admin"

    run(desk, scene)


def run(desk, scene) -> None:
    """The scene with a provider and a console that knows it."""

    async def whole() -> None:
        async with provider() as there:
            known = OidcSettings(
                issuer=there.issuer,
                client_id=CLIENT,
                public_url="http://127.0.0.1",
                roles=ROLES,
                networks=("127.0.0.1/32",),
            )
            console = msgspec.structs.replace(desk.console, oidc=known)
            settings = msgspec.structs.replace(desk, console=console)

            async with serve.running(settings) as address:
                await scene(there, address)

    asyncio.run(whole())
