"""Event streams under load: what 100 subscribers at once cost the server, and how soon an alert reaches them."""

import asyncio
import json
from typing import Any

import aiohttp
import msgspec
from confluent_kafka import Producer

from benchmarks.console_run import ACCOUNT, ConsoleProcess, resident_mb
from tapewatch import kafka, topics
from tapewatch.clock import NANOS, WALL
from tapewatch.settings import Settings

SUBSCRIBERS = 100
ALERTS = 100
ALERT_BYTES = 3_000
"""What an alert with evidence and provenance weighs."""


class StreamsResult(msgspec.Struct, frozen=True):
    """Subscribers of server-sent events. rss_before_mb : of the server, with one subscriber

    push_ms : from asking for the commit to a subscriber's receipt, over all alerts and subscribers
    """

    subscribers: int
    alerts: int
    received: int
    rss_before_mb: float
    rss_after_mb: float
    push_ms: dict[str, float]


def measure(settings: Settings, served: ConsoleProcess) -> StreamsResult:
    """Connect, write alerts in transactions, and look."""
    return asyncio.run(_measured(settings, served))


async def _measured(settings: Settings, served: ConsoleProcess) -> StreamsResult:
    sent: dict[int, int] = {}
    delays: list[float] = []
    connector = aiohttp.TCPConnector(limit=0)
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(served.url, connector=connector, cookie_jar=jar) as session:
        told = {"name": ACCOUNT, "password": served.password}
        (await session.post("/api/v1/session", json=told)).raise_for_status()
        producer = _producer(settings)
        first = await _listening(session, sent, delays)
        await asyncio.to_thread(_write, producer, sent, 1)
        await asyncio.sleep(2)
        before = resident_mb(served.pid)
        rest = [await _listening(session, sent, delays) for _ in range(SUBSCRIBERS - 1)]
        delays.clear()
        for _ in range(ALERTS):
            await asyncio.to_thread(_write, producer, sent, 1)
            await asyncio.sleep(0.1)
        await asyncio.sleep(3)
        after = resident_mb(served.pid)
        for task in (first, *rest):
            task.cancel()
        await asyncio.gather(first, *rest, return_exceptions=True)
    delays.sort()
    places = {"median": delays[len(delays) // 2], "p99": delays[int(len(delays) * 0.99)], "max": delays[-1]}
    figures = {name: round(value, 1) for name, value in places.items()}
    return StreamsResult(SUBSCRIBERS, ALERTS, len(delays), round(before, 1), round(after, 1), figures)


def _producer(settings: Settings) -> Producer:
    producer = kafka.producer(settings, linger_ms=0, transactional_id="bench-console")
    producer.init_transactions(30)
    return producer


def _write(producer: Producer, sent: dict[int, int], count: int) -> None:
    """Alerts, one transaction each; when its commit returned is noted."""
    for _ in range(count):
        number = len(sent)
        alert = {"id": f"{number:032x}", "number": number, "instrument": "2330.TWSE", "sentence": "x" * ALERT_BYTES}
        producer.begin_transaction()
        producer.produce(topics.ALERTS, key=b"2330.TWSE", value=json.dumps(alert).encode())
        # Whoever reads fast has the alert before the commit's answer is back: the clock starts before it is asked for.
        sent[number] = WALL.now()
        producer.commit_transaction(30)


async def _listening(session: aiohttp.ClientSession, sent: dict[int, int], delays: list[float]) -> asyncio.Task[None]:
    """A subscriber, once it is connected."""
    timeout = aiohttp.ClientTimeout(total=None)
    answer = await session.get("/api/v1/events", params={"topics": "alerts"}, timeout=timeout)
    answer.raise_for_status()
    await answer.content.readuntil(b"begin\ndata: {}\n\n")
    return asyncio.create_task(_listen(answer, sent, delays))


async def _listen(answer: aiohttp.ClientResponse, sent: dict[int, int], delays: list[float]) -> None:
    async with answer:
        while True:
            block = await answer.content.readuntil(b"\n\n")
            now = WALL.now()
            data = next((line for line in block.splitlines() if line.startswith(b"data: ")), b"")
            message: dict[str, Any] = json.loads(data.removeprefix(b"data: ") or b"{}")
            if "number" in message:
                delays.append((now - sent[message["number"]]) / NANOS * 1000)
