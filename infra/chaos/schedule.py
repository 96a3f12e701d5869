"""When which fault happens: drawn from a seed before the run, and kept to whatever the site does (open loop)."""

import random
from collections.abc import Iterable, Mapping, Sequence

from infra.chaos.faults import KINDS
from infra.chaos.faults.kind import Fault, Kind

HEAD_S, TAIL_S = 10.0, 20.0
"""Seconds without a fault at the beginning and at the end of a run."""


def schedule(
    seed: int,
    seconds: float,
    per_minute: float,
    targets: Mapping[str, Sequence[str]],
    kinds: Iterable[Kind] = tuple(KINDS.values()),
) -> tuple[Fault, ...]:
    """The faults of a run of `seconds`, by their beginning: the same for the same arguments.

    per_minute : how many are wanted; there are fewer where the lanes have no room for them
    targets : names of processes by kind of process; a kind of fault without any target is left out
    Every kind comes once before one comes twice. Faults of one lane keep their settling time apart, so that no two
    brokers are away together and both engines never are. Targets of a kind take turns.
    """
    rng = random.Random(seed)  # noqa: S311 - a reproducible draw, no secret
    possible = sorted((kind for kind in kinds if not kind.of or targets.get(kind.of)), key=lambda kind: kind.name)
    window = seconds - HEAD_S - TAIL_S
    wanted = round(per_minute * max(0.0, window) / 60.0)
    turns = {kind.name: rng.sample(sorted(targets[kind.of]), len(targets[kind.of])) for kind in possible if kind.of}
    faults: list[Fault] = []
    for _, chosen in sorted(_chosen(rng, possible, window, wanted).items()):
        rng.shuffle(chosen)
        faults += _placed(rng, chosen, window, turns)
    return tuple(sorted(faults, key=lambda fault: (fault.at_s, fault.kind)))


def _chosen(rng: random.Random, kinds: Sequence[Kind], window: float, wanted: int) -> dict[str, list[Kind]]:
    """Which kinds come how often, by lane: in rounds through all kinds, as long as their lane has room."""
    left = {kind.lane: window for kind in kinds}
    chosen: dict[str, list[Kind]] = {kind.lane: [] for kind in kinds}
    count = 0
    while count < wanted:
        before = count
        for kind in rng.sample(kinds, len(kinds)):
            if count < wanted and kind.room_s <= left[kind.lane]:
                left[kind.lane] -= kind.room_s
                chosen[kind.lane].append(kind)
                count += 1
        if count == before:
            break
    return chosen


def _placed(rng: random.Random, chosen: Sequence[Kind], window: float, turns: Mapping[str, list[str]]) -> list[Fault]:
    """One lane's faults in the order of `chosen`, what time is left over spread at random before each."""
    slack = window - sum(kind.room_s for kind in chosen)
    cuts = sorted(rng.uniform(0.0, slack) for _ in chosen)
    faults, taken = [], HEAD_S
    for kind, cut in zip(chosen, cuts, strict=True):
        target = ""
        if kind.of:
            target = turns[kind.name].pop(0)
            turns[kind.name].append(target)
        length = round(rng.uniform(kind.shortest_s, kind.longest_s), 3)
        faults.append(Fault(kind.name, round(taken + cut, 3), length, target, rng.random()))
        taken += kind.room_s
    return faults
