"""What a venue's messages mean, apart from how they come: no I/O and no clock, so that a tape replays a session."""

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from producers.base.collector import Collector


@dataclass(frozen=True, slots=True)
class DecoderRequest:
    """What a decoder needs of the venue to go on.

    kind : such as snapshot or trades; symbol : the venue's own name; start : first id wanted, where that has a meaning
    upto : newest id that is missing, or UTC nanoseconds, where what is missed later is another question's; -1 on tapes
        of builds before 0.3
    """

    kind: str
    symbol: str
    start: int = -1
    upto: int = -1


class Decoder(Protocol):
    """Turns a venue's messages into rows in `collector`.

    wants : questions that a connector asks the venue, and answers with `answer`; a replay finds the answers on the tape
    A message that gives no row is refused with a reason in `collector`; no input raises.
    """

    collector: Collector
    wants: deque[DecoderRequest]

    def message(self, data: bytes | str, received: int) -> None:
        """Take a pushed message. received : UTC nanoseconds, never decreasing"""
        ...

    def answer(self, want: DecoderRequest, data: bytes, received: int) -> None:
        """Take the body of the answer to a question."""
        ...

    def lost(self, symbols: Collection[str], reason: str, received: int) -> None:
        """The connection that carried these symbols broke: gap rows, and whatever has to be built anew."""
        ...
