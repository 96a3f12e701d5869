"""The simulated Binance, seen by a plain client that knows Binance's documentation."""

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from producers.simulators.binance import BinanceVenue
from producers.simulators.server import SimulatorServer

STREAMS = "btcusdt@trade/btcusdt@bookTicker/btcusdt@depth@100ms"


class Client:
    """REST and websocket of one simulated market."""

    def __init__(self, venue: BinanceVenue, session: aiohttp.ClientSession, at: dict[str, str]) -> None:
        self.venue, self.session, self.at = venue, session, at

    async def get(self, path: str, **headers: str) -> tuple[int, Any, dict[str, str]]:
        async with self.session.get(f"{self.at['rest']}{path}", headers=headers) as answer:
            return answer.status, await answer.json(), dict(answer.headers)

    def stream(self, path: str) -> Any:
        return self.session.ws_connect(f"{self.at['stream']}{path}")


@contextlib.asynccontextmanager
async def market(dialect: str = "binance", symbol: str = "BTCUSDT", **more: Any) -> AsyncIterator[Client]:
    venue = BinanceVenue([symbol, "ETHUSDT"], dialect=dialect, seed=1, **({"rate": 0.0} | more))
    async with SimulatorServer(venue) as server, aiohttp.ClientSession() as session:
        yield Client(venue, session, server.addresses())


async def heard(socket: Any, count: int) -> list[dict[str, Any]]:
    return [json.loads(await socket.receive_str(timeout=10)) for _ in range(count)]


def test_combined_frames_have_the_documented_fields() -> None:
    async def scene() -> dict[str, dict[str, Any]]:
        async with market() as client, client.stream(f"/stream?streams={STREAMS}") as socket:
            await asyncio.sleep(0.05)
            made = client.venue.step(60)
            return {frame["stream"]: frame["data"] for frame in await heard(socket, made)}

    found = asyncio.run(scene())
    assert set(found["btcusdt@trade"]) == set("eEstpqTmM")
    assert set(found["btcusdt@bookTicker"]) == set("usbBaA")
    assert set(found["btcusdt@depth@100ms"]) == set("eEsUuba")
    assert found["btcusdt@trade"]["e"] == "trade"
    assert len(found["btcusdt@trade"]["p"].partition(".")[2]) == 8


@pytest.mark.parametrize(("dialect", "symbol"), [("binance_usdm", "BTCUSDT"), ("binance_coinm", "BTCUSD_PERP")])
def test_futures_frames_have_the_documented_fields(dialect: str, symbol: str) -> None:
    name = symbol.lower()

    async def scene() -> list[dict[str, Any]]:
        query = "/".join(f"{name}@{kind}" for kind in ("trade", "aggTrade", "bookTicker", "depth@0ms"))
        paths = ("/public/stream", "/market/stream") if dialect == "binance_usdm" else ("/stream",)
        frames: list[dict[str, Any]] = []
        async with market(dialect, symbol) as client:
            for path in paths:
                async with client.stream(f"{path}?streams={query}") as socket:
                    await asyncio.sleep(0.05)
                    client.venue.step(60)
                    await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 1})
                    while "result" not in (frame := (await heard(socket, 1))[0]):
                        frames.append(frame)
        return frames

    frames = asyncio.run(scene())
    found = {frame["stream"].partition("@")[2]: frame["data"] for frame in frames}
    pair = {"ps"} if dialect == "binance_coinm" else set()
    assert set(found["trade"]) == {"e", "E", "T", "s", "t", "p", "q", "X", "m"}
    assert set(found["aggTrade"]) == set("eEaspqflTm")
    assert set(found["bookTicker"]) == {"e", "u", "s", "b", "B", "a", "A", "T", "E"} | pair
    assert set(found["depth@0ms"]) == {"e", "E", "T", "s", "U", "u", "pu", "b", "a"} | pair
    depths = [frame["data"] for frame in frames if frame["stream"].endswith("@depth@0ms")]
    assert all(after["pu"] == before["u"] for before, after in itertools.pairwise(depths))


def test_differences_on_a_snapshot_give_the_true_book_by_the_documented_rules() -> None:
    async def scene() -> None:
        async with market() as client, client.stream("/stream?streams=btcusdt@depth") as socket:
            await asyncio.sleep(0.05)
            made = client.venue.step(20)
            _, snapshot, _ = await client.get("/api/v3/depth?symbol=BTCUSDT&limit=5000")
            made += client.venue.step(50)
            sides = [dict(snapshot[side]) for side in ("bids", "asks")]
            last = snapshot["lastUpdateId"]
            for frame in await heard(socket, made):
                data = frame["data"]
                if data["u"] <= last:
                    continue
                assert data["U"] <= last + 1 <= data["u"]
                last = data["u"]
                for side, changes in zip(sides, (data["b"], data["a"]), strict=True):
                    for price, quantity in changes:
                        side[price] = quantity
                        if float(quantity) == 0.0:
                            del side[price]
            true = client.venue.market.books["BTCUSDT"]
            assert last == true.last_id
            for side, levels in zip(sides, true.floats(), strict=True):
                assert {float(price): float(quantity) for price, quantity in side.items()} == dict(levels)

    asyncio.run(scene())


def test_usdm_paths_send_what_is_routed_to_them_and_take_any_subscription() -> None:
    query = "?streams=btcusdt@trade/btcusdt@aggTrade/btcusdt@bookTicker/btcusdt@depth@100ms"

    async def scene(path: str) -> set[str]:
        async with market("binance_usdm") as client, client.stream(f"{path}{query}") as socket:
            await asyncio.sleep(0.05)
            client.venue.step(100)
            await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 1})
            seen = set()
            while "result" not in (frame := (await heard(socket, 1))[0]):
                seen.add(frame["stream"].partition("@")[2])
            assert len(frame["result"]) == 4
            return seen

    books = {"trade", "bookTicker", "depth@100ms"}
    assert asyncio.run(scene("/public/stream")) == books
    assert asyncio.run(scene("/stream")) == books
    assert asyncio.run(scene("/market/stream")) == {"aggTrade"}


def test_streams_are_subscribed_and_left_by_message() -> None:
    async def scene() -> list[dict[str, Any]]:
        async with market() as client, client.stream("/stream") as socket:
            for number, (method, *params) in enumerate(
                [("SUBSCRIBE", "btcusdt@trade"), ("LIST_SUBSCRIPTIONS",), ("UNSUBSCRIBE", "btcusdt@trade"), ("SING",)]
            ):
                await socket.send_json({"method": method, "params": params, "id": number})
            answers = await heard(socket, 4)
            client.venue.step(10)
            await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 4})
            return [*answers, *await heard(socket, 1)]

    first, second, third, wrong, last = asyncio.run(scene())
    assert first == {"result": None, "id": 0}
    assert second == {"result": ["btcusdt@trade"], "id": 1}
    assert third == {"result": None, "id": 2}
    assert wrong["error"]["code"] == 2
    assert last == {"result": [], "id": 4}


def test_a_client_that_talks_too_much_or_wants_too_much_is_dropped() -> None:
    async def scene() -> list[int | None]:
        codes = []
        async with market("binance_usdm") as client:
            async with client.stream("/stream") as socket:
                for number in range(12):
                    await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": number})
                _ = [message async for message in socket]
                codes.append(socket.close_code)
            async with client.stream("/stream") as socket:
                names = [f"s{number}usdt@trade" for number in range(1_025)]
                await socket.send_json({"method": "SUBSCRIBE", "params": names, "id": 1})
                _ = [message async for message in socket]
                codes.append(socket.close_code)
        return codes

    assert asyncio.run(scene()) == [1008, 1008]


def test_raw_streams_come_without_the_wrapper() -> None:
    async def scene() -> dict[str, Any]:
        async with market() as client, client.stream("/ws/btcusdt@trade") as socket:
            await asyncio.sleep(0.05)
            client.venue.step(1)
            return (await heard(socket, 1))[0]

    assert asyncio.run(scene())["e"] == "trade"


def test_trades_can_be_fetched_from_an_id_on() -> None:
    async def scene() -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[int]]:
        async with market() as client, client.stream("/stream?streams=btcusdt@trade") as socket:
            await asyncio.sleep(0.05)
            pushed = [frame["data"]["t"] for frame in await heard(socket, client.venue.step(20))]
            _, trades, _ = await client.get(f"/api/v3/historicalTrades?symbol=BTCUSDT&fromId={pushed[5]}&limit=3")
            _, aggregates, _ = await client.get(f"/api/v3/aggTrades?symbol=BTCUSDT&fromId={pushed[5]}")
            return trades, aggregates, pushed

    trades, aggregates, pushed = asyncio.run(scene())
    assert [trade["id"] for trade in trades] == pushed[5:8]
    assert [trade["a"] for trade in aggregates] == pushed[5:]
    assert set(trades[0]) == {"id", "price", "qty", "time", "isBuyerMaker", "isBestMatch"}


def test_weight_is_told_and_beyond_the_limit_comes_429_then_418() -> None:
    async def scene() -> list[tuple[int, str | None, str | None]]:
        out = []
        async with market(weight=10) as client:
            for _ in range(14):
                status, _, headers = await client.get("/api/v3/depth?symbol=BTCUSDT&limit=100")
                out.append((status, headers.get("X-MBX-USED-WEIGHT-1M"), headers.get("Retry-After")))
        return out

    found = asyncio.run(scene())
    assert [status for status, _, _ in found] == [200, 200] + [429] * 11 + [418]
    assert [weight for _, weight, _ in found[:2]] == ["5", "10"]
    assert all(int(after or 0) > 0 for _, _, after in found[2:])


def test_wrong_questions_get_binances_codes() -> None:
    async def scene() -> list[tuple[int, int]]:
        async with market("binance_usdm") as client:
            paths = ["depth?symbol=NOPE", "depth", "depth?symbol=BTCUSDT&limit=7", "historicalTrades?symbol=BTCUSDT"]
            answers = [await client.get(f"/fapi/v1/{path}") for path in paths]
            return [(status, body["code"]) for status, body, _ in answers]

    assert asyncio.run(scene()) == [(400, -1121), (400, -1102), (400, -4021), (401, -2014)]


def test_a_delisted_symbol_is_so_in_exchange_info_and_moves_no_more() -> None:
    async def scene() -> tuple[dict[str, str], list[str]]:
        async with market() as client, client.stream("/stream?streams=btcusdt@trade/ethusdt@trade") as socket:
            await asyncio.sleep(0.05)
            client.venue.delist("BTCUSDT")
            frames = await heard(socket, client.venue.step(10))
            _, exchange, _ = await client.get("/api/v3/exchangeInfo")
            return {one["symbol"]: one["status"] for one in exchange["symbols"]}, [one["stream"] for one in frames]

    states, streams = asyncio.run(scene())
    assert states == {"BTCUSDT": "BREAK", "ETHUSDT": "TRADING"}
    assert set(streams) == {"ethusdt@trade"}


def test_what_was_sent_is_told_by_stream() -> None:
    async def scene() -> tuple[int, dict[str, Any], list[int]]:
        async with market() as client, client.stream("/stream?streams=btcusdt@trade") as socket:
            await asyncio.sleep(0.05)
            ids = [frame["data"]["t"] for frame in await heard(socket, client.venue.step(20))]
            _, report, _ = await client.get("/sim/sent")
            return int(report["written"]), report["sent"]["btcusdt@trade"], ids

    written, stream, ids = asyncio.run(scene())
    assert written == len(ids) == stream["made"] == stream["sent"]
    assert (stream["first_id"], stream["last_id"]) == (ids[0], ids[-1])


def test_the_rate_can_be_changed_while_it_runs() -> None:
    async def scene() -> tuple[list[int], float]:
        async with market(rate=10.0) as client:
            codes = []
            for value in ("0", "-1", "nan", "fast"):
                async with client.session.post(f"{client.at['rest']}/sim/rate?value={value}") as answer:
                    codes.append(answer.status)
            return codes, client.venue.rate

    assert asyncio.run(scene()) == ([200, 400, 400, 400], 0.0)
