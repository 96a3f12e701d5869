"""Event streams: alerts, cases, signals and rankings as they are committed, with resume by the last id."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
from aiohttp import WSMsgType, web
from msgspec import Meta

from console.live.hub import PAGES, Hub, Note, Subscriber, hub_of
from console.live.position import MAX_ID, TOPICS
from console.refusal import RefusedError
from console.routing import Call, Route
from tapewatch.clock import NANOS, WALL

HEARTBEAT_S = 15.0
RETRY_MS = 2000
STREAM_S = 300.0
"""A stream ends after so long, and the client resumes: a session that was ended, or a right that was taken, does not
live on in it.
"""

_SEND_S = 20.0
_FIRST_S = 10.0
Send = Callable[[bytes], Awaitable[None]]
_RENEW = "the stream is renewed; resume by the last id"


class EventStreamQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to stream. topics : names with commas between; instrument : of this one alone

    last : id to resume after, for clients that cannot send Last-Event-ID
    """

    topics: Annotated[str, Meta(max_length=100)] = "alerts,cases"
    instrument: Annotated[str, Meta(max_length=64)] = ""
    last: Annotated[str, Meta(max_length=MAX_ID)] = ""


class EventStreamRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The first message of a WebSocket."""

    topics: Annotated[tuple[str, ...], Meta(min_length=1, max_length=8)]
    instrument: Annotated[str, Meta(max_length=64)] = ""
    last: Annotated[str, Meta(max_length=MAX_ID)] = ""


async def stream(call: Call) -> web.StreamResponse:
    """Server-sent events; ends with the client, after five minutes, or when the client reads too slowly."""
    wanted: EventStreamQuery = call.query
    last = call.request.headers.get("Last-Event-ID", "") or wanted.last
    topics = _topics(call, wanted.topics.split(","))
    hub: Hub = call.services.parts["events"]
    async with hub.subscribed(call.account, topics, _seen(call, wanted.instrument), "sse", last) as (listener, first):
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        )
        await response.prepare(call.request)

        async def send(chunk: bytes) -> None:
            await response.write(chunk)

        try:
            await _write(send, b"retry: %d\n\n" % RETRY_MS)
            await _pump(listener, first, send, b": still here\n\n")
        except (TimeoutError, ConnectionError):
            # The client takes nothing, or is gone.
            if call.request.transport is not None:
                call.request.transport.abort()
    return response


async def socket(call: Call) -> web.StreamResponse:
    """The same over a WebSocket, which a browser may hold many of; the first message says what is wanted."""
    check_origin(call)
    answer = web.WebSocketResponse(heartbeat=HEARTBEAT_S, max_msg_size=16 * 1024, compress=False)
    if not answer.can_prepare(call.request):
        raise RefusedError(426, "this is a WebSocket", "Connect with a WebSocket client.")
    await answer.prepare(call.request)
    try:
        opening = msgspec.json.decode(await answer.receive_str(timeout=_FIRST_S), type=EventStreamRequest)
        topics = _topics(call, opening.topics)
        hub: Hub = call.services.parts["events"]
        seen = _seen(call, opening.instrument)
        async with hub.subscribed(call.account, topics, seen, "frame", opening.last) as (listener, first):
            await _talk(answer, listener, first)
    except (msgspec.DecodeError, TypeError, TimeoutError):
        await answer.close(code=1008, message=b"the first message must be {topics, last}")
    except RefusedError as refused:
        await answer.close(code=1013 if refused.status in (429, 503) else 1008, message=refused.reason.encode()[:120])
    return answer


async def _talk(answer: web.WebSocketResponse, listener: Subscriber, first: list[bytes]) -> None:
    """Send until the client goes or the stream ends."""

    async def send(chunk: bytes) -> None:
        await answer.send_frame(chunk, WSMsgType.TEXT)

    writing = asyncio.create_task(_pump(listener, first, send, b"", one_by_one=True))
    reading = asyncio.create_task(_until_closed(answer))
    try:
        await asyncio.wait({writing, reading}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (writing, reading):
            task.cancel()
        await asyncio.gather(writing, reading, return_exceptions=True)
    await answer.close(message=listener.reason.encode()[:120] or b"renewed")


async def _until_closed(answer: web.WebSocketResponse) -> None:
    """Read what the client says, which means nothing, until it closes."""
    async for _ in answer:
        pass


async def _pump(listener: Subscriber, first: list[bytes], send: Send, idle: bytes, *, one_by_one: bool = False) -> None:
    """Send what was missed, then what comes, then why the stream ends. idle : sent when nothing came for a while

    one_by_one : each event a message of its own. TimeoutError where the client takes nothing for 20 s.
    """
    until = WALL.elapsed() + int(STREAM_S * NANOS)
    chunks = first
    while True:
        for chunk in chunks if one_by_one else _joined(chunks):
            await _write(send, chunk)
        if listener.reason:
            break
        if WALL.elapsed() > until:
            listener.close(_RENEW)
            break
        chunks = await listener.next(HEARTBEAT_S)
        if not chunks and not listener.reason and idle:
            await _write(send, idle)
    await _write(send, Note("closed", listener.reason).encoded(listener.form))


def _joined(chunks: list[bytes]) -> list[bytes]:
    return [b"".join(chunks)] if chunks else []


async def _write(send: Send, chunk: bytes) -> None:
    await asyncio.wait_for(send(chunk), _SEND_S)


def _topics(call: Call, names: Sequence[str]) -> frozenset[str]:
    """The topics wanted, checked against what there is and what the account may see."""
    wanted = frozenset(name.strip() for name in names if name.strip())
    if not wanted or not wanted <= set(TOPICS):
        raise RefusedError(422, "parameters: topics", f"Choose from {', '.join(TOPICS)}.")
    for name in wanted:
        if not call.account.sees_page(PAGES[name]):
            raise RefusedError(403, f"{name} is not part of your seat", "Ask an administrator.")
    return wanted


def _seen(call: Call, instrument: str) -> str:
    return call.see(instrument) if instrument else ""


def check_origin(call: Call) -> None:
    """RefusedError 403 where a page of another site opens a WebSocket: browsers do not hold it back themselves."""
    origin = call.request.headers.get("Origin", "")
    if urlsplit(origin).netloc != call.request.host and (origin or not call.account.by_token):
        raise RefusedError(403, "this WebSocket was opened by a page of another site")


PARTS = {"events": hub_of}

ROUTES = [
    Route(
        "GET",
        "/api/v1/events",
        stream,
        "Events as they are committed, as server-sent events; resume with Last-Event-ID",
        query=EventStreamQuery,
        media="text/event-stream",
    ),
    Route("GET", "/api/v1/events/ws", socket, "The same over a WebSocket", media="websocket"),
]
