"""One client on a simulated websocket: frames written in bulk, and the faults that happen to them on the way.

Websocket frames as a server writes them: unmasked, whole messages (RFC 6455, 5.2).
"""

import asyncio
from collections.abc import Sequence

from aiohttp import web

from producers.simulators.faults import MESSAGE_FAULTS, FaultKind, FaultPlan

TEXT = 0x81
BINARY = 0x82


def frame(payload: bytes, *, binary: bool = False) -> bytes:
    """A message as one frame: text (UTF-8) or binary."""
    size = len(payload)
    kind = BINARY if binary else TEXT
    if size < 126:
        return bytes((kind, size)) + payload
    if size < 65_536:
        return bytes((kind, 126, size >> 8, size & 255)) + payload
    return bytes((kind, 127)) + size.to_bytes(8, "big") + payload


SLOW_CLIENT_BYTES = 64 << 20
"""A client that lets this much wait is cut off, as venues do."""


class Connection:
    """A websocket connection seen from the venue.

    where : path and query of its request; opened : loop time, s; silent : sends nothing and answers no ping
    written, withheld, repeated : messages written, left out by a fault, and written once more by one
    """

    def __init__(self, request: web.Request, socket: web.WebSocketResponse, plan: FaultPlan) -> None:
        if request.transport is None:
            raise ConnectionResetError("the client went away while it connected")
        loop = asyncio.get_running_loop()
        self.where = request.path_qs
        self.socket = socket
        self.opened = self.last_pong = self.last_ping = loop.time()
        self.silent_until = 0.0
        self.silent = False
        self.written = 0
        self.withheld = 0
        self.repeated = 0
        self.cut_off = ""
        self._plan = plan
        self._held: dict[str, bytes] = {}
        self._transport = request.transport
        self._last = frame(b'{"stream":"btcusdt@trade","data":{"e":"trade"}}')

    @property
    def alive(self) -> bool:
        """Whether frames can still be written."""
        return not self._transport.is_closing()

    @property
    def waiting(self) -> int:
        """Bytes that the client has not read yet."""
        return self._transport.get_write_buffer_size()

    def send(self, payload: bytes | str, stream: str = "", *, binary: bool = False) -> None:
        """Write one message, whose stream faults may match."""
        data = payload.encode() if isinstance(payload, str) else payload
        self.push([frame(data, binary=binary)], [stream])

    def push(self, frames: Sequence[bytes], streams: Sequence[str]) -> None:
        """Write frames in one go. streams : name of each frame's stream, which faults may match"""
        if self._transport.is_closing():
            self.withheld += len(frames)
            return
        if self._held or self._plan.due():
            frames = self._misled(frames, streams)
        if self.silent or not frames:
            self.withheld += len(frames)
            return
        self._last = frames[-1]
        self.written += len(frames)
        self._transport.write(b"".join(frames))
        if self.waiting > SLOW_CLIENT_BYTES:
            self.cut("slow client")

    def hush(self, until: float) -> None:
        """Send nothing and answer no ping until then. until : loop time, s"""
        self.silent, self.silent_until = True, until

    async def room(self, limit: int = 1 << 20) -> None:
        """Wait until less than `limit` bytes are waiting, for simulators that send as fast as it goes."""
        while self.alive and self.waiting > limit:
            await asyncio.sleep(0.001)

    def cut(self, why: str) -> None:
        """Break off in the middle of a frame, without a websocket close."""
        if self.alive:
            self.cut_off = why
            self._transport.write(self._last[: max(3, len(self._last) // 2)])
            self._transport.close()

    async def close(self, code: int, why: str) -> None:
        """A websocket close that does not wait for the client's."""
        self.cut_off = why
        if self.alive:
            await self.socket.close(code=code, message=why.encode(), drain=False)

    def _misled(self, frames: Sequence[bytes], streams: Sequence[str]) -> Sequence[bytes]:
        """The frames that are written where messages get lost, come twice, or after the next one of their stream."""
        out: list[bytes] = []
        for data, stream in zip(frames, streams, strict=True):
            late = self._held.pop(stream, None)
            if late is not None:
                out += (data, late)
                continue
            fault = self._plan.take(MESSAGE_FAULTS, stream)
            if fault is None:
                out.append(data)
            elif fault.kind is FaultKind.GAP:
                self.withheld += 1
            elif fault.kind is FaultKind.DUPLICATE:
                self.repeated += 1
                out += (data, data)
            else:
                self._held[stream] = data
        return out
