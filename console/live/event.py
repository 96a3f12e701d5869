"""One message on its way to subscribers: read once, encoded once, shared by all."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec

from console.identity import Account
from console.live.position import Log, encode
from tapewatch.contract import topics
from tapewatch.contract.message import UNREADABLE


class _Head(msgspec.Struct):
    """The part of a message that says whom it concerns."""

    instrument: str = ""
    instruments: tuple[str, ...] = ()


class _RankedInstrument(msgspec.Struct):
    instrument: str = ""


class _Ranking(msgspec.Struct):
    ranked: tuple[_RankedInstrument, ...] = ()
    excluded: dict[str, Any] = {}


_HEAD = msgspec.json.Decoder(_Head)
_RANKING = msgspec.json.Decoder(_Ranking)


class Event:
    """A message of a topic with its id; `sse` and `frame` are made when the first subscriber wants them.

    instruments : whom it concerns; position : of the stream after it
    """

    __slots__ = ("_frame", "_id", "_position", "_sse", "instruments", "topic", "value")

    def __init__(self, topic: str, value: bytes, instruments: frozenset[str], position: Mapping[Log, int]) -> None:
        self.topic, self.value, self.instruments = topic, value, instruments
        self._position: dict[Log, int] | None = dict(position)
        self._id = ""
        self._sse = b""
        self._frame = b""

    @property
    def id(self) -> str:
        """The id to resume after it."""
        if self._position is not None:
            self._id, self._position = encode(self._position), None
        return self._id

    @property
    def sse(self) -> bytes:
        """As a server-sent event."""
        if not self._sse:
            self._sse = b"id: %b\nevent: %b\ndata: %b\n\n" % (self.id.encode(), self.topic.encode(), self.value)
        return self._sse

    @property
    def frame(self) -> bytes:
        """As the text of a WebSocket message."""
        if not self._frame:
            self._frame = b'{"id":"%b","topic":"%b","message":%b}' % (
                self.id.encode(),
                self.topic.encode(),
                self.value,
            )
        return self._frame


def read(topic: str, value: bytes | None) -> tuple[bytes, frozenset[str]] | None:
    """A record's message on one line, and the instruments it concerns; None where it is no message."""
    try:
        if not value or b"\n" in value or b"\r" in value:
            value = msgspec.json.encode(msgspec.json.decode(value or b""))
        value.decode()
        if topic == topics.RANKINGS:
            ranking = _RANKING.decode(value)
            return value, frozenset({each.instrument for each in ranking.ranked} | ranking.excluded.keys())
        head = _HEAD.decode(value)
    except UNREADABLE:
        return None
    return value, frozenset({head.instrument, *head.instruments} - {""})


@lru_cache(1 << 16)
def _sees(patterns: tuple[str, ...], instrument: str) -> bool:
    return Account("", "viewer", patterns).sees(instrument)


def may_see(account: Account, event: Event) -> bool:
    """Whether an account may have an event: only where it sees every instrument that the event names."""
    patterns = account.instruments
    return "*" in patterns or all(_sees(patterns, instrument) for instrument in event.instruments)
