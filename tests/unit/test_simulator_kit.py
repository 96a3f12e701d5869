"""The simulators' server and faults, seen by a plain client."""

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Iterable
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType, web

from producers.simulators.__main__ import main
from producers.simulators.answers import json_answer
from producers.simulators.catalogue import SIMULATORS, SimulatorOptions, simulated
from producers.simulators.connection import Connection, frame
from producers.simulators.faults import Fault, FaultKind, FaultPlan
from producers.simulators.server import ConnectionRules, SimulatorServer
from tapewatch.errors import TapewatchError
from tapewatch.settings import Settings


class Ticker:
    """A venue that pushes numbers, and answers how many."""

    name = "ticker"

    def __init__(self) -> None:
        self.clients: list[Connection] = []
        self.number = 0
        self.heard: list[str | bytes] = []

    def addresses(self, http: str, ws: str) -> dict[str, str]:
        return {"rest": http, "stream": f"{ws}/push"}

    def routes(self, server: SimulatorServer) -> Iterable[web.RouteDef]:
        async def number(request: web.Request) -> web.StreamResponse:
            return json_answer({"number": self.number, "padding": "x" * 1_000, "now": server.now()})

        return [web.get("/number", number), server.websocket("/push", self)]

    async def run(self, server: SimulatorServer) -> None:
        while True:
            await asyncio.sleep(0.002)
            if self.clients:
                self.number += 1
                for client in self.clients:
                    client.push([frame(b"%d" % self.number)], ["numbers"])

    def sent(self) -> dict[str, Any]:
        return {"numbers": self.number}

    async def opened(self, connection: Connection) -> None:
        self.clients.append(connection)

    async def received(self, connection: Connection, data: str | bytes) -> None:
        self.heard.append(data)

    def closed(self, connection: Connection) -> None:
        self.clients.remove(connection)


@contextlib.asynccontextmanager
async def served(
    plan: FaultPlan, **more: Any
) -> AsyncIterator[tuple[SimulatorServer, aiohttp.ClientSession, dict[str, str]]]:
    async with SimulatorServer(Ticker(), plan, **more) as server, aiohttp.ClientSession() as client:
        yield server, client, server.addresses()


async def numbers(client: aiohttp.ClientSession, address: str, count: int) -> list[int]:
    async with client.ws_connect(address) as socket:
        return [int(await socket.receive_str(timeout=10)) for _ in range(count)]


def run_with(plan: FaultPlan, count: int = 10) -> list[int]:
    async def scene() -> list[int]:
        async with served(plan) as (_, client, at):
            return await numbers(client, at["stream"], count)

    return asyncio.run(scene())


def test_without_faults_every_number_comes_once_in_order() -> None:
    got = run_with(FaultPlan())
    assert got == list(range(got[0], got[0] + 10))


def test_a_gap_leaves_numbers_out() -> None:
    plan = FaultPlan(script=[Fault(FaultKind.GAP, count=3, match="numb")])
    assert run_with(plan)[0] == 4
    assert plan.report()["injected"] == {"gap": 3}


def test_a_duplicate_comes_twice() -> None:
    assert run_with(FaultPlan(script=[Fault(FaultKind.DUPLICATE)]), 4) == [1, 1, 2, 3]


def test_a_reordered_message_comes_after_the_next() -> None:
    assert run_with(FaultPlan(script=[Fault(FaultKind.REORDERED)]), 4) == [2, 1, 3, 4]


def test_a_fault_of_another_stream_waits_for_it() -> None:
    plan = FaultPlan(script=[Fault(FaultKind.GAP, match="letters")])
    assert run_with(plan)[0] == 1
    assert plan.pending(FaultKind.GAP) == 1


def test_a_disconnect_cuts_in_mid_frame_without_a_close() -> None:
    async def scene() -> tuple[bytes, bytes]:
        async with served(FaultPlan(script=[Fault(FaultKind.DISCONNECT, at_s=0.1)])) as (_, _, at):
            host, port = at["rest"].removeprefix("http://").split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(
                b"GET /push HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            )
            head, _, rest = (await asyncio.wait_for(reader.read(), 10)).partition(b"\r\n\r\n")
            writer.close()
            return head, rest

    head, rest = asyncio.run(scene())
    assert b"101" in head
    while len(rest) >= 2 and len(rest) >= 2 + rest[1]:
        assert rest[0] == 0x81, "no close frame"
        rest = rest[2 + rest[1] :]
    assert rest, "half a frame is left"


def test_silence_sends_nothing_and_answers_no_ping_until_it_ends() -> None:
    async def scene() -> list[WSMsgType | str]:
        seen: list[WSMsgType | str] = []
        async with (
            served(FaultPlan()) as (server, client, at),
            client.ws_connect(at["stream"], autoping=False) as socket,
        ):
            await socket.receive(timeout=10)
            server.plan.now("silence", seconds=2.0)
            with contextlib.suppress(TimeoutError):
                while True:
                    await socket.receive(timeout=0.15)
            await socket.ping()
            try:
                seen.append((await socket.receive(timeout=0.05)).type)
            except TimeoutError:
                seen.append("nothing")
            seen.append((await socket.receive(timeout=10)).type)
        return seen

    assert asyncio.run(scene()) == ["nothing", WSMsgType.TEXT]


def test_a_connection_is_closed_at_its_age() -> None:
    async def scene() -> int | None:
        rules = ConnectionRules(age_s=0.1)
        async with served(FaultPlan(), rules=rules) as (server, client, at), client.ws_connect(at["stream"]) as socket:
            async for _ in socket:
                pass
            assert server.plan.injected[FaultKind.AGE_CUT] == 1
            return socket.close_code

    assert asyncio.run(scene()) == 1001


def test_the_venue_pings_and_drops_a_client_that_answers_none() -> None:
    async def scene() -> tuple[int, int | None]:
        rules = ConnectionRules(ping_s=0.05, pong_s=0.1)
        async with (
            served(FaultPlan(), rules=rules) as (_, client, at),
            client.ws_connect(at["stream"], autoping=False) as socket,
        ):
            kinds = [message.type async for message in socket]
            return kinds.count(WSMsgType.PING), socket.close_code

    pings, code = asyncio.run(scene())
    assert pings >= 1
    assert code == 1008


@pytest.mark.parametrize(("kind", "status"), [("429", 429), ("418", 418), ("403", 403), ("500", 500), ("503", 503)])
def test_a_refused_request_gets_its_status_once(kind: str, status: int) -> None:
    async def scene() -> list[tuple[int, str | None]]:
        async with served(FaultPlan()) as (server, client, at):
            server.plan.now(f"http_{kind}", seconds=7, match="/number")
            out = []
            for _ in range(2):
                async with client.get(f"{at['rest']}/number") as answer:
                    out.append((answer.status, answer.headers.get("Retry-After")))
            return out

    first, second = asyncio.run(scene())
    assert first == (status, "7" if status in (429, 418) else None)
    assert second == (200, None)


def test_html_comes_in_the_place_of_json() -> None:
    async def scene() -> tuple[int, str, bytes]:
        async with (
            served(FaultPlan(script=[Fault(FaultKind.HTML)])) as (_, client, at),
            client.get(f"{at['rest']}/number") as answer,
        ):
            return answer.status, answer.content_type, await answer.read()

    status, kind, body = asyncio.run(scene())
    assert (status, kind) == (200, "text/html")
    assert body.startswith(b"<!DOCTYPE html>")


def test_truncated_gzip_is_half_of_the_body() -> None:
    async def scene() -> bytes:
        async with served(FaultPlan(script=[Fault(FaultKind.TRUNCATED_GZIP)])) as (_, client, at):
            try:
                async with client.get(f"{at['rest']}/number") as answer:
                    return await answer.read()
            except aiohttp.ClientError:
                return b""

    with pytest.raises(json.JSONDecodeError):
        json.loads(asyncio.run(scene()))


def test_a_slow_body_takes_its_time() -> None:
    async def scene() -> None:
        async with (
            served(FaultPlan(script=[Fault(FaultKind.SLOW_BODY, seconds=60)])) as (_, client, at),
            client.get(f"{at['rest']}/number") as answer,
        ):
            assert answer.status == 200
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(answer.read(), 0.2)

    asyncio.run(scene())


def test_a_skewed_clock_shows_in_the_date_header_and_in_the_body() -> None:
    async def scene() -> int:
        async with served(FaultPlan()) as (server, client, at):
            before = server.now()
            server.plan.now("clock_skew", seconds=3600)
            await asyncio.sleep(0.1)
            async with client.get(f"{at['rest']}/number") as answer:
                assert answer.headers["Date"]
                return int((await answer.json())["now"]) - before

    assert asyncio.run(scene()) >= 3600 * 10**9


def test_a_certificate_nobody_signed_is_refused_and_a_trusted_one_is_not() -> None:
    async def scene() -> int:
        async with served(FaultPlan(), tls=True) as (server, client, at):
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await client.get(f"{at['rest']}/number")
            trusting = ssl.create_default_context(cafile=str(server.certificate))
            server.plan.now("tls_failure")
            with pytest.raises(aiohttp.ClientConnectorError):
                await client.get(f"{at['rest']}/number", ssl=trusting)
            async with client.get(f"{at['rest']}/number", ssl=trusting) as answer:
                return answer.status

    assert asyncio.run(scene()) == 200


def test_what_was_written_is_accounted_for() -> None:
    async def scene() -> dict[str, Any]:
        async with served(FaultPlan(script=[Fault(FaultKind.GAP, count=2)])) as (_, client, at):
            await numbers(client, at["stream"], 5)
            while True:
                async with client.get(f"{at['rest']}/sim/sent") as answer:
                    report: dict[str, Any] = await answer.json()
                if not report["connections"]:
                    return report

    report = asyncio.run(scene())
    assert report["withheld"] == 2
    assert report["written"] + report["withheld"] >= report["sent"]["numbers"] >= 7
    assert report["faults"]["injected"] == {"gap": 2}


def test_random_faults_come_at_their_rate_and_the_same_for_a_seed() -> None:
    def times(seed: int) -> list[float]:
        clock = [0.0]
        plan = FaultPlan(seed=seed, rates={FaultKind.GAP: 60.0})
        plan.start(lambda: clock[0])
        out = []
        for step in range(6_000):
            clock[0] = step * 0.1
            while plan.take({FaultKind.GAP}) is not None:
                out.append(clock[0])
        return out

    assert times(1) == times(1) != times(2)
    assert 500 < len(times(1)) < 700


def test_a_plan_that_is_none_says_which_kinds_there_are() -> None:
    assert FaultPlan.from_json('{"rates":{"gap":2}}').report()["rates"] == {"gap": 2.0}
    with pytest.raises(TapewatchError, match="plan"):
        FaultPlan.from_json('{"rates":{"meteor":2}}')


@pytest.mark.parametrize("name", SIMULATORS)
def test_every_simulator_gives_the_addresses_that_the_settings_of_its_venue_have(name: str) -> None:
    async def scene() -> tuple[dict[str, str], int]:
        venue = simulated(name, SimulatorOptions(count=3, rate=50.0))
        async with SimulatorServer(venue) as server, aiohttp.ClientSession() as client:
            port = next(iter(server.addresses().values())).rpartition(":")[2].partition("/")[0]
            async with client.get(f"http://127.0.0.1:{port}/sim/sent") as answer:
                return server.addresses(), answer.status

    addresses, status = asyncio.run(scene())
    assert status == 200
    assert set(addresses) <= set(getattr(Settings().venues, name).__struct_fields__)


def test_a_simulator_that_does_not_exist_is_named() -> None:
    with pytest.raises(TapewatchError, match="nasdaq"):
        simulated("nasdaq", SimulatorOptions())


def test_the_command_serves_measures_and_ends(capfd: pytest.CaptureFixture[str]) -> None:
    # A second of warming up and a second of measuring, with a client in a process of its own.
    assert main(["--venue", "binance", "--symbols", "5", "--rate", "500", "--seconds", "1", "--connections", "2"]) == 0
    first, second = (json.loads(line) for line in capfd.readouterr().out.splitlines())
    assert first["rest"].startswith("http://127.0.0.1:")
    assert second["messages"] > 0
