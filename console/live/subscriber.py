"""One listener of the event streams: what it wants, and what waits for it, bounded in bytes."""

import asyncio
from collections import deque
from typing import Literal

import msgspec

from console.identity import Account
from console.live.event import Event, may_see
from tapewatch.contract import topics

MAX_WAITING = 256 * 1024
"""Bytes that may wait for one subscriber; beyond them its stream is closed, and it resumes by id."""

_AT_ONCE = 64 * 1024
PAGES = {topics.ALERTS: "alerts", topics.CASES: "cases", topics.SIGNALS: "signals", topics.RANKINGS: "signals"}
"""The entitlement that each topic belongs to."""

Form = Literal["sse", "frame"]


class Note(msgspec.Struct, frozen=True):
    """What the stream itself says. kind : gap (events were left out) or closed (resume by the last id)

    id : where the stream stands after it, empty where it does not move
    """

    kind: Literal["gap", "closed"]
    reason: str
    id: str = ""
    missed: dict[str, int] = {}

    def encoded(self, form: Form) -> bytes:
        """As a server-sent event of that kind, or as the text of a WebSocket message."""
        body = msgspec.json.encode({"reason": self.reason, "missed": self.missed})
        if form == "sse":
            place = f"id: {self.id}\n".encode() if self.id else b""
            return place + b"event: %b\ndata: %b\n\n" % (self.kind.encode(), body)
        return b'{"id":"%b","topic":"%b","message":%b}' % (self.id.encode(), self.kind.encode(), body)


class Subscriber:
    """A listener. Its waiting events belong to the event loop; nothing here is safe across threads."""

    def __init__(self, account: Account, wanted: frozenset[str], instrument: str, form: Form) -> None:
        self.account, self.wanted, self.instrument, self.form = account, wanted, instrument, form
        self.reason = ""
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._ready = asyncio.Event()

    def wants(self, event: Event) -> bool:
        """Whether an event is for it."""
        if event.topic not in self.wanted or (self.instrument and self.instrument not in event.instruments):
            return False
        return may_see(self.account, event)

    def offer(self, event: Event) -> None:
        """Put an event into the queue; an overflow closes the stream instead of losing one."""
        if self.reason or not self.wants(event):
            return
        encoded = event.sse if self.form == "sse" else event.frame
        if self._bytes + len(encoded) > MAX_WAITING:
            self.close("you read too slowly; resume by the last id")
            return
        self._waiting.append(encoded)
        self._bytes += len(encoded)
        self._ready.set()

    def close(self, reason: str) -> None:
        """End the stream; what waits is dropped, since the client has not seen its ids."""
        self.reason = self.reason or reason
        self._waiting.clear()
        self._bytes = 0
        self._ready.set()

    async def next(self, seconds: float) -> list[bytes]:
        """What waits, 64 KiB at most at a time; empty after that many seconds of nothing, or at the end."""
        if not self._waiting and not self.reason:
            try:
                await asyncio.wait_for(self._ready.wait(), seconds)
            except TimeoutError:
                return []
        taken: list[bytes] = []
        size = 0
        while self._waiting and size < _AT_ONCE:
            taken.append(self._waiting.popleft())
            size += len(taken[-1])
        self._bytes -= size
        if not self._waiting and not self.reason:
            self._ready.clear()
        return taken
