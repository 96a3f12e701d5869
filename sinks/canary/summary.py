"""What a run of the watcher saw."""

import msgspec

from tapewatch.contract.canaries import Canary, Figures, figures


class Summary(msgspec.Struct, frozen=True):
    """The end of a run.

    figures : of the canaries judged in this run; unreadable : records that are no message
    retries : how often the broker failed and the work was taken up again
    """

    figures: Figures
    unreadable: int
    retries: int
    seconds: float


class Progress(msgspec.Struct, frozen=True):
    """Now. recall : of the last hour, None before the first verdict; trouble : why nothing moves, else empty"""

    waiting: int
    found: int
    missed: int
    recall: float | None
    trouble: str = ""


def summary(judged: list[Canary], unreadable: int, retries: int, seconds: float) -> Summary:
    """The counts as plain values."""
    return Summary(figures(judged), unreadable, retries, round(seconds, 3))
