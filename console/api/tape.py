"""The tape: all instruments as they stand, once as JSON or pushed as they move."""

import asyncio
from typing import Annotated, Any

import msgspec
from aiohttp import web
from msgspec import Meta

from console.api.events import HEARTBEAT_S, STREAM_S, check_origin
from console.filters import Word
from console.live.market import ACTIONS, MILLI, SEVERITIES
from console.live.tape import Tape, tape_of
from console.live.tape_wire import values
from console.live.viewers import Group, Viewer
from console.refusal import RefusedError
from console.routing import Call, Route
from tapewatch.clock import NANOS, WALL

_SEND_S = 20.0


class TapeQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """search : part of the id; limit : at most so many"""

    search: Word = ""
    limit: Annotated[int, Meta(ge=1, le=50_000)] = 5000


class Tick(msgspec.Struct, frozen=True):
    """An instrument as it stands. null : nothing is known yet

    change : relative, since the first price of the UTC day
    volume : of that day, or of the session where the feed's quotes tell it
    score : highest probability among detectors; action : of the newest signal; alerts : how many are open
    time : of the newest row, ms
    """

    instrument: str
    last: float | None
    change: float | None
    volume: float | None
    bid: float | None
    ask: float | None
    score: float | None
    action: str
    alerts: int
    severity: str
    time: float | None


class TapeSnapshot(msgspec.Struct, frozen=True):
    """The tape at a moment. t : ms"""

    t: float
    instruments: list[Tick]


class LiveTapeQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """instrument : this one alone"""

    instrument: Annotated[str, Meta(max_length=64)] = ""


async def shown(call: Call) -> TapeSnapshot:
    """Everything once."""
    wanted: TapeQuery = call.query
    tape: Tape = call.services.parts["tape"]
    async with tape.used():
        with tape.lock:
            group = Group(call.account, "")
            group.meet(tape.market)
            slots = group.slots
            names = [tape.market.names[slot] for slot in slots]
            columns: dict[str, list[Any]] = {name: each.tolist() for name, each in values(tape.market, slots).items()}
    columns["action"] = [ACTIONS[each] for each in columns["action"]]
    columns["severity"] = [SEVERITIES[each] for each in columns["severity"]]
    picked = sorted((name, row) for row, name in enumerate(names) if wanted.search.upper() in name)[: wanted.limit]
    ticks = [
        Tick(instrument=name, **{column: _known(each[row]) for column, each in columns.items()}) for name, row in picked
    ]
    return TapeSnapshot(call.services.clock.now() / MILLI, ticks)


def _known(value: Any) -> Any:
    """NaN and infinity are nothing that is known."""
    return None if isinstance(value, float) and value - value != 0.0 else value


async def live(call: Call) -> web.StreamResponse:
    """Heads as text, frames as binary messages; at most four a second, and only what moved."""
    check_origin(call)
    instrument = call.see(call.query.instrument) if call.query.instrument else ""
    if not call.account.sees_page("instrument" if instrument else "tape"):
        raise RefusedError(403, "this page is not part of your seat", "Ask an administrator.")
    answer = web.WebSocketResponse(heartbeat=HEARTBEAT_S, max_msg_size=4096, compress=False)
    if not answer.can_prepare(call.request):
        raise RefusedError(426, "this is a WebSocket", "Connect with a WebSocket client.")
    tape: Tape = call.services.parts["tape"]
    async with tape.watched(call.account, instrument) as (group, viewer):
        await answer.prepare(call.request)
        writing = asyncio.create_task(_write(answer, tape, group, viewer))
        reading = asyncio.create_task(_read(answer))
        try:
            await asyncio.wait({writing, reading}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (writing, reading):
                task.cancel()
            await asyncio.gather(writing, reading, return_exceptions=True)
        await answer.close(message=viewer.reason.encode())
    return answer


async def _write(answer: web.WebSocketResponse, tape: Tape, group: Group, viewer: Viewer) -> None:
    """Send what moves, until the end of the connection's time."""
    until = WALL.elapsed() + int(STREAM_S * NANOS)
    while not viewer.reason and WALL.elapsed() < until:
        for message in tape.outgoing(group, viewer):
            text = message.startswith(b"{")
            sending = answer.send_str(message.decode()) if text else answer.send_bytes(message)
            await asyncio.wait_for(sending, _SEND_S)
        await viewer.ready(HEARTBEAT_S)


async def _read(answer: web.WebSocketResponse) -> None:
    """What the client says means nothing."""
    async for _ in answer:
        pass


PARTS = {"tape": tape_of}

ROUTES = [
    Route("GET", "/api/v1/tape", shown, "All instruments as they stand", page="tape", query=TapeQuery,
          answer=TapeSnapshot),
    Route(
        "GET", "/api/v1/live/tape", live, "All instruments as they move, over a WebSocket", query=LiveTapeQuery,
        media="websocket",
    ),
]  # fmt: skip
