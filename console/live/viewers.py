"""Who watches the tape: accounts of one entitlement share one encoding; a slow reader gets what moved, once, later."""

import asyncio

import numpy as np
import numpy.typing as npt

from console.identity import Account
from console.live.market import Market, Slots
from console.live.tape_wire import frame, head


class Viewer:
    """One connection. `waiting` holds at most one frame; what moves in the meantime is encoded when it is taken."""

    def __init__(self) -> None:
        self.reason = ""
        self.heads = 0
        self._frame = b""
        self._behind: npt.NDArray[np.bool_] | None = None
        self._ready = asyncio.Event()

    def offer(self, encoded: bytes, slots: Slots, size: int) -> None:
        """A frame of what moved. size : of the market's arrays"""
        if self._behind is None and not self._frame:
            self._frame = encoded
        else:
            self._fall_behind(slots, size)
        self._ready.set()

    def hold(self, slots: Slots, size: int) -> None:
        """Let slots be sent with the next frame: what a viewer begins with."""
        self._fall_behind(slots, size)
        self._ready.set()

    def _fall_behind(self, slots: Slots, size: int) -> None:
        if self._behind is None or len(self._behind) < size:
            old, self._behind = self._behind, np.zeros(size, dtype=np.bool_)
            if old is not None:
                self._behind[: len(old)] = old
        self._behind[slots] = True

    def close(self, reason: str) -> None:
        """End the connection."""
        self.reason = self.reason or reason
        self._ready.set()

    async def ready(self, seconds: float) -> None:
        """Wait until there is something to send, or the end, or that long."""
        try:
            await asyncio.wait_for(self._ready.wait(), seconds)
        except TimeoutError:
            return

    def taken(self) -> tuple[bytes, Slots | None]:
        """A frame that waits, and the slots that moved since and have to be encoded."""
        self._ready.clear()
        encoded, self._frame = self._frame, b""
        behind, self._behind = self._behind, None
        return encoded, None if behind is None else np.flatnonzero(behind)


class Group:
    """The viewers of one entitlement: which instruments they see, under which numbers.

    patterns : of the account; instrument : the only one wanted, empty for all
    """

    def __init__(self, account: Account, instrument: str) -> None:
        self.viewers: set[Viewer] = set()
        self.names: list[str] = []
        self._account, self._instrument = account, instrument
        self._numbers = np.full(0, -1, dtype=np.intp)
        self._met = 0

    def meet(self, market: Market) -> None:
        """Number the instruments that the market has met since."""
        if len(self._numbers) < market.size:
            grown = np.full(market.size, -1, dtype=np.intp)
            grown[: len(self._numbers)] = self._numbers
            self._numbers = grown
        for slot in range(self._met, len(market.names)):
            name = market.names[slot]
            if (not self._instrument or name == self._instrument) and self._account.sees(name):
                self._numbers[slot] = len(self.names)
                self.names.append(name)
        self._met = len(market.names)

    def seen(self, slots: Slots) -> Slots:
        """Those of the slots that this group sees."""
        return slots[self._numbers[slots] >= 0]

    @property
    def slots(self) -> Slots:
        """Every slot that it sees."""
        return np.flatnonzero(self._numbers >= 0)

    def head(self, viewer: Viewer) -> bytes:
        """The head that a viewer lacks; empty where it knows every instrument."""
        if viewer.heads and viewer.heads > len(self.names):
            return b""
        first = max(viewer.heads - 1, 0)
        viewer.heads = len(self.names) + 1
        return head(self.names, first)

    def frame(self, market: Market, slots: Slots, now_ms: float) -> bytes:
        """A frame of these slots, which the group sees."""
        return frame(market, slots, self._numbers[slots], now_ms)
