"""Event streams on a real Kafka: pushed when committed, resumed without loss or repetition."""

import asyncio
import json
import uuid
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from console.api import events
from console.app import make_app
from console.database import Database
from console.identity import Account
from console.live.position import encode
from console.services import Services
from tapewatch.contract import topics
from tapewatch.runtime import kafka


@pytest.fixture
def writer(settings):
    kafka.create_topics(settings, [*topics.shared_topics(settings.topics), *topics.case_topics(settings.topics)])
    producer = kafka.producer(settings, linger_ms=0, transactional_id=f"events-{uuid.uuid4().hex}")
    producer.init_transactions(30)
    return producer


def write(producer, numbers, *, commit: bool = True) -> None:
    """One transaction of alerts."""
    producer.begin_transaction()
    for number in numbers:
        value = json.dumps({"id": number, "instrument": "2330.TWSE"}).encode()
        producer.produce(topics.ALERTS, key=b"2330.TWSE", value=value)
        producer.produce(topics.SIGNALS, key=b"2330.TWSE", value=value)
    producer.commit_transaction(30) if commit else producer.abort_transaction(30)


@asynccontextmanager
async def console(settings):
    async def identify(_):
        return Account("ann", "viewer", by_token=True)

    app = make_app(Services(settings, Database(settings.postgres.url)), identify, events.ROUTES, events.PARTS)
    async with TestClient(TestServer(app)) as client:
        yield client


async def take(answer, count: int) -> list[tuple[str, str, dict[str, Any]]]:
    """The next events: id, topic, message."""
    found: list[tuple[str, str, dict[str, Any]]] = []
    while len(found) < count:
        block = (await asyncio.wait_for(answer.content.readuntil(b"\n\n"), 30)).decode()
        fields = dict(line.partition(": ")[::2] for line in block.splitlines())
        if fields.get("event") not in (None, "begin"):
            found.append((fields["id"], fields["event"], json.loads(fields["data"])))
    return found


async def open_stream(client, last: str = "", wanted: str = "alerts"):
    answer = await client.get("/api/v1/events", params={"topics": wanted}, headers={"Last-Event-ID": last})
    assert answer.status == 200, await answer.text()
    if not last:
        await answer.content.readuntil(b"begin\ndata: {}\n\n")
    return answer


def test_resumed_stream_goes_on_after_the_last_id_without_loss_or_repetition(settings, writer):
    async def scene():
        async with console(settings) as client:
            first = await open_stream(client)
            await asyncio.to_thread(write, writer, range(3))
            await asyncio.to_thread(write, writer, [90, 91], commit=False)
            got = await take(first, 3)
            first.close()
            await asyncio.to_thread(write, writer, range(3, 6))
            # Resumed in the middle of what it had: from there on, and on with what comes.
            second = await open_stream(client, last=got[1][0])
            await asyncio.to_thread(write, writer, [6])
            again = await take(second, 5)
        # Another process takes the id over.
        async with console(settings) as client:
            third = await open_stream(client, last=again[2][0])
            return got, again, await take(third, 2)

    got, again, third = asyncio.run(scene())
    assert [message["id"] for _, _, message in got] == [0, 1, 2]
    assert [message["id"] for _, _, message in again] == [2, 3, 4, 5, 6]
    assert [message["id"] for _, _, message in third] == [5, 6]


def test_id_of_another_log_gives_a_gap_and_then_what_comes(settings, writer):
    async def scene():
        async with console(settings) as client:
            stream = await open_stream(client, last=encode({(topics.ALERTS, 0): 10**9}))
            (gap,) = await take(stream, 1)
            return gap

    _, kind, message = asyncio.run(scene())
    assert kind == "gap"
    assert message["missed"]["alerts"] > 0
