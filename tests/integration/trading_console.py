"""The console's API for one account, without logins."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from console.api import health, models, rankings, signals, track_record, trading
from console.app import make_app
from console.database import Database
from console.identity import Account
from console.services import Services
from tapewatch.settings import Settings

ROUTES = [
    *health.ROUTES, *models.ROUTES, *rankings.ROUTES, *signals.ROUTES, *track_record.ROUTES, *trading.ROUTES,
]  # fmt: skip
Client = TestClient[web.Request, web.Application]


@asynccontextmanager
async def console(settings: Settings, account: Account) -> AsyncIterator[Client]:
    async def identify(request: web.Request) -> Account:
        return account

    services = Services(settings, Database(settings.postgres.url))
    app = make_app(services, identify, ROUTES, {**models.PARTS, **health.PARTS})
    async with TestClient(TestServer(app)) as client:
        yield client
    services.database.close()


async def got(client: Client, path: str, **parameters: Any) -> Any:
    answer = await client.get(f"/api/v1{path}", params=parameters)
    assert answer.status == 200, await answer.text()
    return await answer.json()
