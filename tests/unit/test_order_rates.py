"""Rate limits of venues: kept to before the venue has to say so."""

import asyncio

import pytest
from aiohttp import web

from benchmarks.venues.fix import client, served
from sinks.orders.rest import RestClient
from sinks.orders.venue import NotSentError, UnansweredError
from tapewatch.errors import SettingsError

ANSWERS = {"upbit": [], "binance": {"balances": []}}
LAST_ONES = {"upbit": {"Remaining-Req": "group=default; min=1799; sec=0"}, "binance": {"X-MBX-USED-WEIGHT-1M": "5500"}}
ENOUGH_LEFT = {
    "upbit": {"Remaining-Req": "group=default; min=1799; sec=20"},
    "binance": {"X-MBX-USED-WEIGHT-1M": "120"},
}


def venue_with(name: str, headers: dict[str, str]) -> web.Application:
    async def time(_: web.Request) -> web.Response:
        return web.json_response({"serverTime": 1_750_000_000_000})

    async def accounts(_: web.Request) -> web.Response:
        return web.json_response(ANSWERS[name], headers=headers)

    app = web.Application()
    app.router.add_get("/v1/accounts", accounts)
    app.router.add_get("/api/v3/time", time)
    app.router.add_get("/api/v3/account", accounts)
    return app


@pytest.mark.parametrize("name", ["upbit", "binance"])
def test_the_last_request_of_a_window_is_followed_by_a_pause(name: str) -> None:
    async def scene() -> None:
        async with served(venue_with(name, LAST_ONES[name])) as address:
            venue = client(name, address)
            await venue.open()
            await venue.balances()
            with pytest.raises(NotSentError) as held:
                await venue.balances()
            assert held.value.wait_s > 0.0
            await venue.close()

    asyncio.run(scene())


@pytest.mark.parametrize("name", ["upbit", "binance"])
def test_requests_go_on_while_the_window_has_room(name: str) -> None:
    async def scene() -> None:
        async with served(venue_with(name, ENOUGH_LEFT[name])) as address:
            venue = client(name, address)
            await venue.open()
            for _ in range(3):
                assert await venue.balances() == {}
            await venue.close()

    asyncio.run(scene())


@pytest.mark.parametrize(("status", "wait_s"), [(429, 7.0), (418, 7.0)])
def test_retry_after_holds_every_request(status: int, wait_s: float) -> None:
    async def scene() -> None:
        async def limited(_: web.Request) -> web.Response:
            return web.Response(status=status, headers={"Retry-After": "7"})

        app = web.Application()
        app.router.add_get("/", limited)
        async with served(app) as address:
            rest = RestClient(address, 1.0)
            await rest.open()
            with pytest.raises(NotSentError) as first:
                await rest.request("GET", "/")
            with pytest.raises(NotSentError) as second:
                await rest.request("GET", "/")
            assert first.value.wait_s == wait_s >= second.value.wait_s
            assert "held back" in second.value.reason
            await rest.close()

    asyncio.run(scene())


def test_a_yes_that_cannot_be_read_is_no_answer() -> None:
    async def scene() -> None:
        async def broken(_: web.Request) -> web.Response:
            return web.Response(text='{"uuid": "1"')

        app = web.Application()
        app.router.add_get("/", broken)
        async with served(app) as address:
            rest = RestClient(address, 1.0)
            await rest.open()
            with pytest.raises(UnansweredError):
                await rest.request("GET", "/")
            await rest.close()

    asyncio.run(scene())


@pytest.mark.parametrize("address", ["http://api.example.com", "ftp://127.0.0.1", "api.example.com"])
def test_an_address_without_tls_is_refused_unless_it_is_the_loopback(address: str) -> None:
    with pytest.raises(SettingsError):
        RestClient(address, 1.0)
