"""The states of a feed's partitions at a cut, dealt out anew over another number of partitions."""

from collections.abc import Callable, Sequence

import numpy as np

from detectors.scenarios.episode import DECIDED_OFFSET, ONSET_OFFSET
from streams.engine import state as fields
from streams.engine.task import Task
from tapewatch.clock import NANOS
from tapewatch.contract.partitioner import partition_for
from tapewatch.errors import TapewatchError

Place = tuple[Task, int]
"""A task and an instrument's slot in it."""


def split(tasks: Sequence[Task], partitions: int, fresh: Callable[[int], Task]) -> list[Task]:
    """One task for each new partition, with the instruments that belong there, in the order (old partition, slot).

    tasks : of all old partitions, in the same second, with the same things in force (see `differences`)
    fresh : makes an empty task of a new partition
    Each begins before its log's first record: no source has been seen, and offsets that open episodes name are 0.
    TapewatchError where an instrument lies in two partitions.
    """
    places: list[dict[str, Place]] = [{} for _ in range(partitions)]
    for task in tasks:
        for slot, name in enumerate(task.admission.names):
            own = places[partition_for(name, partitions)]
            if name in own:
                raise TapewatchError(
                    f"{name} lies in two partitions of {task.topic}", "Its rows had two writers: it has no one state."
                )
            own[name] = (task, slot)
    return [_opened(fresh(partition), tasks, own) for partition, own in enumerate(places)]


def _opened(task: Task, tasks: Sequence[Task], own: dict[str, Place]) -> Task:
    """A new partition's task with its instruments' states."""
    state = fields.gathered([(source.state, slot) for source, slot in own.values()], _clock(tasks))
    for field in (ONSET_OFFSET, DECIDED_OFFSET):
        # Not written where they are zeros already: those pages take no memory.
        for slot in np.flatnonzero(state.episodes[: len(own), :, field].any(axis=1)):
            state.episodes[slot, :, field] = 0.0
    task.admission.load(list(own), {}, -1)
    task.force = tasks[0].force
    task.adopt(state, [source.kinds[slot] for source, slot in own.values()])
    here = {place: slot for slot, place in enumerate((id(source), there) for source, there in own.values())}
    for source in tasks:
        slots = {there: slot for (which, there), slot in here.items() if which == id(source)}
        task.accounts.take_over(source.accounts, slots)
    return task


def _clock(tasks: Sequence[Task]) -> fields.I8:
    """The partitions' clock: they stand in the same second, in which nothing has happened yet."""
    clock = np.zeros(8, dtype=np.int64)
    second = second_of(tasks[0])
    clock[fields.SECOND], clock[fields.NEWEST] = second, second * NANOS
    clock[fields.SEALED] = max(int(task.state.clock[fields.SEALED]) for task in tasks)
    clock[fields.PHASE] = phase_of(tasks)
    return clock


def second_of(task: Task) -> int:
    """The second that is being filled, of the epoch; -1 before the first row."""
    return int(task.state.clock[fields.SECOND])


def phase_of(tasks: Sequence[Task]) -> int:
    """Phase of the partitions; those without instruments do not count, unless all are."""
    held = [task for task in tasks if task.admission.names] or list(tasks)
    return int(held[0].state.clock[fields.PHASE])


def differences(tasks: Sequence[Task]) -> list[str]:
    """Why the partitions' states cannot be dealt out anew, a sentence each; nothing where they can."""
    said = []
    if len({(task.force.config_hash, tuple(sorted(task.force.models.items()))) for task in tasks}) > 1:
        said.append("not the same models and configuration are in force in all partitions")
    held = [task for task in tasks if task.admission.names]
    if len({int(task.state.clock[fields.PHASE]) for task in held}) > 1:
        said.append("a session is open in some partitions and not in others")
    return said
