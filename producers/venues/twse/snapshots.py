"""One instrument's market at one instant, as either upstream shows it."""

from dataclasses import dataclass

from producers.base.ladder import Level


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What an upstream shows of one instrument.

    event : the upstream's time, UTC ns; sequence : rises with each change
    volume : shares traded in the session so far; last : price of the last trade, NaN where the snapshot has none
    bids, asks : levels, best first; quantities in shares, 0 where the upstream does not tell
    deep : several levels, and so a book; trial : what kind of trial matching, empty in trading
    halted : until when trading is halted (HH:MM:SS), empty where it is not
    """

    instrument: str
    event: int
    sequence: int
    volume: float
    last: float
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    deep: bool
    trial: str = ""
    halted: str = ""


class UnreadableError(ValueError):
    """A message that cannot be read. reason : a word for the count"""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
