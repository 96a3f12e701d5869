"""What became of an attempt, and when the next one is due."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tapewatch.clock import NANOS

JITTER = 0.2
MOST_RETRY_AFTER_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """An attempt's end.

    status : HTTP status, 0 where none came; error : why it failed, empty where it did not
    retry_after_s : pause that the receiver asked for, for all of its messages; gone : it wants no more
    """

    status: int = 0
    error: str = ""
    retry_after_s: float = 0.0
    gone: bool = False

    @property
    def delivered(self) -> bool:
        """Whether the receiver has it."""
        return not self.error


def next_due(
    outcome: Outcome, attempts: int, now_ns: int, schedule_s: Sequence[float], draw: Callable[[], float]
) -> int | None:
    """When to try again after `attempts` attempts, UTC ns; None after the last one.

    schedule_s : waits between attempts; draw : uniform in [0, 1), for the jitter that lengthens a wait
    """
    if attempts > len(schedule_s):
        return None
    wait_s = schedule_s[attempts - 1] * (1.0 + JITTER * draw())
    return now_ns + int(max(wait_s, outcome.retry_after_s) * NANOS)
