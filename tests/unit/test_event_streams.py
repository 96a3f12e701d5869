"""Event streams: ids, fan-out, what an account may have, slow readers."""

import asyncio
import json
from contextlib import asynccontextmanager

import msgspec
import pytest
from aiohttp import WSServerHandshakeError
from aiohttp.test_utils import TestClient, TestServer

from console.api import events
from console.app import make_app
from console.database import Database
from console.identity import Account
from console.live import hub as hubs
from console.live import log_reader, position
from console.live.hub import Hub
from console.refusal import RefusedError
from console.services import Services
from tapewatch.settings import Settings

ANN = Account("ann", "viewer")
LEE = Account("lee", "viewer", instruments=("*.TWSE",))
OPEN: list[object] = []
"""Subscriptions that stay open: one that nobody holds is ended by the interpreter."""


def alert(number: int, instrument: str = "2330.TWSE", size: int = 0) -> bytes:
    return json.dumps({"id": f"{number:032x}", "instrument": instrument, "sentence": "x" * size}).encode()


def records(*values: bytes, topic: str = "alerts", begin: int = 0) -> list[log_reader.Record]:
    return [(topic, 0, begin + place, value) for place, value in enumerate(values)]


def test_id_gives_its_position_back():
    there = {("alerts", 0): 7, ("alerts", 3): 2**40, ("rankings", 0): 0}
    assert position.decode(position.encode(there)) == there


@pytest.mark.parametrize(
    "text", ["x", "AAAA", "a" * 5000, "AQAAAAAAAA", "é", position.encode({("alerts", 0): 1})[:-1] + "!"]
)
def test_foreign_id_is_refused(text):
    with pytest.raises(RefusedError) as caught:
        position.decode(text)
    assert caught.value.status == 422


def test_id_with_one_character_changed_is_refused():
    text = position.encode({("alerts", 0): 123456, ("cases", 0): 9})
    changed = ("B" if text[4] != "B" else "C").join((text[:4], text[5:]))
    with pytest.raises(RefusedError):
        position.decode(changed)


def test_replay_begins_at_the_id_and_reaches_to_where_the_live_stream_begins():
    starts, missed = log_reader.starts_for({("alerts", 0): 5}, {("alerts", 0): 9, ("cases", 0): 2}, {})
    assert (starts, missed) == ({("alerts", 0): 5, ("cases", 0): 0}, {})


def test_too_long_a_replay_tells_how_much_it_leaves_out():
    end = log_reader.MAX_REPLAY * 3
    starts, missed = log_reader.starts_for({("alerts", 0): 0}, {("alerts", 0): end}, {})
    assert missed == {("alerts", 0): end - log_reader.MAX_REPLAY}
    assert starts == {("alerts", 0): end - log_reader.MAX_REPLAY}


def test_records_that_the_log_no_longer_holds_are_told_as_missed():
    _, missed = log_reader.starts_for({("alerts", 0): 3}, {("alerts", 0): 20}, {("alerts", 0): 10})
    assert missed == {("alerts", 0): 7}


def test_topic_made_anew_is_told_as_missed():
    _, missed = log_reader.starts_for({("alerts", 0): 30}, {("alerts", 0): 4}, {})
    assert missed == {("alerts", 0): 26}


@pytest.fixture
def hub() -> Hub:
    made = Hub(Settings())
    made.begin({("alerts", 0): 0, ("rankings", 0): 0, ("cases", 0): 0})
    return made


async def listening(hub: Hub, account: Account, *topics: str, instrument: str = ""):
    manager = hub.subscribed(account, frozenset(topics or ("alerts",)), instrument, "sse", "")
    listener, _ = await manager.__aenter__()
    OPEN.append(manager)
    return listener


def test_every_subscriber_gets_the_same_bytes(hub):
    async def scene():
        ann, bob = await listening(hub, ANN), await listening(hub, ANN)
        hub.publish(records(alert(1), alert(2)))
        return await ann.next(0), await bob.next(0)

    ours, theirs = asyncio.run(scene())
    assert len(ours) == 2
    assert all(one is other for one, other in zip(ours, theirs, strict=True))


def test_account_gets_only_instruments_it_sees(hub):
    async def scene():
        lee = await listening(hub, LEE, "alerts", "cases", "rankings")
        hub.publish(records(alert(1, "BTCUSDT.BINANCE"), alert(2)))
        mixed = json.dumps({"instrument": "2330.TWSE", "instruments": ["2330.TWSE", "2330.OTHER"]}).encode()
        hub.publish(records(mixed, topic="cases"))
        hub.publish(records(b'{"ranked":[{"instrument":"BTCUSDT.BINANCE"}]}', topic="rankings"))
        return b"".join(await lee.next(0))

    got = asyncio.run(scene())
    assert got.count(b"event:") == 1
    assert f"{2:032x}".encode() in got


def test_one_instrument_can_be_chosen(hub):
    async def scene():
        ann = await listening(hub, ANN, instrument="2317.TWSE")
        hub.publish(records(alert(1), alert(2, "2317.TWSE")))
        return await ann.next(0)

    assert len(asyncio.run(scene())) == 1


def test_record_that_is_no_message_is_passed_over(hub):
    async def scene():
        ann = await listening(hub, ANN)
        hub.publish([("alerts", 0, 0, None), ("alerts", 0, 1, b"\xff{"), ("alerts", 0, 2, alert(3))])
        return await ann.next(0)

    (only,) = asyncio.run(scene())
    assert position.decode(only.split(b"\n")[0].removeprefix(b"id: ").decode())["alerts", 0] == 3


def test_message_of_several_lines_stays_one_event(hub):
    async def scene():
        ann = await listening(hub, ANN)
        hub.publish(records(b'{\n"instrument": "2330.TWSE",\r\n"sentence": "a\\nb"}'))
        return await ann.next(0)

    (only,) = asyncio.run(scene())
    assert only.count(b"\n") == 4
    assert json.loads(only.split(b"data: ")[1])["sentence"] == "a\nb"


def test_slow_reader_is_closed_instead_of_losing_one(hub):
    async def scene():
        ann = await listening(hub, ANN)
        taken = []
        for number in range(2 * hubs.MAX_WAITING // 4096):
            hub.publish(records(alert(number, size=4096), begin=number))
        taken = await ann.next(0)
        return ann, taken

    ann, taken = asyncio.run(scene())
    assert "resume" in ann.reason
    assert taken == []


def test_too_many_streams_of_an_account_are_refused(hub, monkeypatch):
    monkeypatch.setattr(hubs, "MAX_OF_ACCOUNT", 2)

    async def scene():
        for _ in range(3):
            await listening(hub, ANN)

    with pytest.raises(RefusedError) as caught:
        asyncio.run(scene())
    assert caught.value.status == 429


@asynccontextmanager
async def console(hub: Hub, account: Account):
    @asynccontextmanager
    async def part(_):
        yield hub

    async def identify(_):
        return account

    services = Services(Settings(), Database("postgresql+psycopg2://nobody@127.0.0.1:1/none"))
    app = make_app(services, identify, events.ROUTES, {"events": part})
    async with TestClient(TestServer(app)) as client:
        yield client


def test_server_sent_events_have_ids_and_the_message(hub):
    async def scene():
        async with console(hub, ANN) as client:
            answer = await client.get("/api/v1/events", params={"topics": "alerts"})
            await answer.content.readuntil(b"begin\ndata: {}\n\n")
            hub.publish(records(alert(5)))
            return answer.headers["Content-Type"], await answer.content.readuntil(b"}\n\n")

    kind, text = asyncio.run(scene())
    assert kind == "text/event-stream"
    assert text.startswith(b"id: ")
    assert b"\nevent: alerts\ndata: {" in text


def test_slow_stream_says_why_it_ends(hub):
    async def scene():
        async with console(hub, ANN) as client:
            answer = await client.get("/api/v1/events", params={"topics": "alerts"})
            await answer.content.readuntil(b"begin\ndata: {}\n\n")
            hub.publish(records(*(alert(number, size=9000) for number in range(40))))
            return await answer.content.read()

    assert b"event: closed" in asyncio.run(scene())


@pytest.mark.parametrize(
    ("parameters", "status"),
    [({"topics": "orders"}, 422), ({"last": "x"}, 422), ({"instrument": "BTCUSDT.BINANCE"}, 404)],
)
def test_wrong_wish_is_refused(hub, parameters, status):
    async def scene():
        async with console(hub, LEE) as client:
            return (await client.get("/api/v1/events", params=parameters)).status

    assert asyncio.run(scene()) == status


def test_topic_outside_the_seat_is_refused(hub):
    async def scene():
        async with console(hub, msgspec.structs.replace(ANN, pages=("alerts",))) as client:
            return (await client.get("/api/v1/events", params={"topics": "signals"})).status

    assert asyncio.run(scene()) == 403


def test_web_socket_brings_the_same(hub):
    async def scene():
        async with console(hub, ANN) as client:
            talk = await client.ws_connect("/api/v1/events/ws", origin=str(client.make_url("")).rstrip("/"))
            await talk.send_json({"topics": ["alerts"], "last": ""})
            begin = await talk.receive_json()
            hub.publish(records(alert(5)))
            return begin, await talk.receive_json()

    begin, event = asyncio.run(scene())
    assert begin["topic"] == "begin"
    assert event["message"]["instrument"] == "2330.TWSE"
    assert position.decode(event["id"])["alerts", 0] == 1


@pytest.mark.parametrize("headers", [{"Origin": "https://elsewhere.example"}, {}])
def test_web_socket_of_another_site_is_refused(hub, headers):
    async def scene():
        async with console(hub, ANN) as client:
            await client.ws_connect("/api/v1/events/ws", headers=headers)

    with pytest.raises(WSServerHandshakeError) as caught:
        asyncio.run(scene())
    assert caught.value.status == 403


def test_web_socket_that_opens_with_nonsense_is_closed(hub):
    async def scene():
        async with console(hub, msgspec.structs.replace(ANN, by_token=True)) as client:
            talk = await client.ws_connect("/api/v1/events/ws")
            await talk.send_str("hello")
            await talk.receive()
            return talk.close_code

    assert asyncio.run(scene()) == 1008
