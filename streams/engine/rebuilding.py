"""The recoveries that an engine has under way: begun for the partitions that its group gives it, worked on in short
steps between the polls, and put aside over a rebalance.
"""

from dataclasses import dataclass
from typing import Protocol

import msgspec

from streams.engine import opening_snapshots
from streams.engine.cadence import Cadence
from streams.engine.recovery import Progress, Rebuild, Recovery
from streams.engine.snapshots import Pointers
from streams.engine.task import Task
from streams.members import Key
from tapewatch.clock import NANOS, Clock
from tapewatch.settings import EngineSettings

STEP_S = 0.25
"""How long recovery may work before the group is answered again, s."""


@dataclass(slots=True)
class AssignedPartition:
    """A partition in this process's hands. opened : the newest day of its clock whose opening is kept, -1 for none"""

    task: Task
    pointers: Pointers
    cadence: Cadence
    opened: int = -1


class RecoveryCounts(Protocol):
    """Totals of a process. recovered : partitions whose state was made from snapshot and log"""

    recovered: int


class RebuildQueue:
    """Partitions whose state is not there yet. under_way : in the order in which they are worked on"""

    def __init__(self, settings: EngineSettings, recovery: Recovery, totals: RecoveryCounts, clock: Clock) -> None:
        self._settings, self._recovery, self._totals, self._clock = settings, recovery, totals, clock
        self.under_way: dict[Key, Rebuild] = {}
        self._interrupted: dict[Key, Rebuild] = {}

    def begin(self, key: Key, committed: int, pointers: Pointers) -> None:
        """Rebuild a partition up to its committed offset; one that was put aside on its way there goes on."""
        begun = self._interrupted.pop(key, None)
        same = begun is not None and begun.target == committed
        self.under_way[key] = begun if begun and same else self._recovery.begin(*key, committed, pointers)

    def put_aside(self) -> None:
        """Stop all of them; they may come back with the next assignment."""
        self._interrupted, self.under_way = self.under_way, {}

    def drop_aside(self) -> None:
        """Forget what was put aside and did not come back."""
        self._interrupted.clear()

    def step(self) -> dict[Key, AssignedPartition]:
        """One step of the recoveries that are due, one partition after the other; gives those that are whole now."""
        until = self._clock.elapsed() + int(STEP_S * NANOS)
        whole: dict[Key, AssignedPartition] = {}
        while self.under_way and (left := until - self._clock.elapsed()) > 0:
            key, rebuild = next(iter(self.under_way.items()))
            if rebuild.advance(left / NANOS):
                del self.under_way[key]
                whole[key] = self._recovered(rebuild)
        return whole

    def _recovered(self, rebuild: Rebuild) -> AssignedPartition:
        task, pointers = rebuild.task, rebuild.pointers
        if rebuild.target == 0:
            pointers = msgspec.structs.replace(pointers, snapshots=(), began=task.next_offset)
        self._totals.recovered += rebuild.target > 0
        now = self._clock.elapsed()
        cadence = Cadence(self._settings.snapshot_seconds, self._settings.replay_seconds, now, rebuild.replay_ns)
        return AssignedPartition(task, pointers, cadence, opening_snapshots.day_of(task))

    @property
    def progress(self) -> list[Progress]:
        """How far the recoveries are that are not done; callable from another thread."""
        return [rebuild.progress for rebuild in list(self.under_way.values())]
