"""Faults of the input itself, which the producer commits on order: see producers/feed/fault_injection.py."""

import json
from pathlib import Path

from infra.chaos.faults.kind import INPUT, Fault, Ground, Kind, NotInjectedError, Pause, asleep, comes

ANSWER_S = 10.0
"""The producer looks for orders at every flush; one that has been killed forgets them."""
MOST_FRAMES = 8
JUMP_S = (0.5, 4.0)


def _answers(site: Ground) -> Path:
    return site.mischief.with_name(f"{site.mischief.name}.done")


def _order(site: Ground, pause: Pause, name: str, **words: object) -> None:
    """Give an order and wait for its answer; NotInjectedError where none comes."""
    answers = _answers(site)
    with site.mischief.open("a") as file:
        file.write(json.dumps({"id": name, **words}) + "\n")
    sought = f'"id":{json.dumps(name)}'
    if not comes(lambda: answers.exists() and sought in answers.read_text(), pause, ANSWER_S):
        raise NotInjectedError("the producer did not take the order")


def _frames(fault: Fault) -> int:
    return 1 + int(fault.draw * MOST_FRAMES)


def _name(fault: Fault) -> str:
    return f"{fault.kind}-{fault.at_s}"


def jump_clock(site: Ground, fault: Fault, pause: Pause) -> str:
    """The producer's clock jumps, by the draw forth or back, and jumps again at the end to be right."""
    size = JUMP_S[0] + (JUMP_S[1] - JUMP_S[0]) * abs(2 * fault.draw - 1)
    by_s = round(size if fault.draw < 0.5 else -size, 3)
    before = site.of("producer")[0].restarts
    _order(site, pause, _name(fault), do="clock", by_s=by_s)
    try:
        pause(fault.length_s)
    finally:
        if site.of("producer")[0].restarts == before:  # one that was started again has no error left
            _order(site, asleep, f"{_name(fault)}-back", do="clock", by_s=-by_s)
    return f"{by_s:+.1f} s"


def duplicate(site: Ground, fault: Fault, pause: Pause) -> str:
    """Frames are written twice."""
    _order(site, pause, _name(fault), do="duplicate", frames=_frames(fault))
    return f"{_frames(fault)} frames"


def reorder(site: Ground, fault: Fault, pause: Pause) -> str:
    """Frames are overtaken by the next one of their partition."""
    _order(site, pause, _name(fault), do="reorder", frames=_frames(fault))
    return f"{_frames(fault)} frames"


def poison(site: Ground, fault: Fault, pause: Pause) -> str:
    """Records that no reader can use."""
    _order(site, pause, _name(fault), do="poison", frames=_frames(fault))
    return f"{_frames(fault)} records"


KINDS = (
    Kind("jump_clock", "the producer's clock jumps by up to 4 s, and back later", INPUT, jump_clock, "", 3, 8, 4),
    Kind("duplicate_frames", "frames are written twice", INPUT, duplicate, settle_s=2),
    Kind("reorder_frames", "frames are overtaken by later ones", INPUT, reorder, settle_s=2),
    Kind("poison_frames", "records come that no reader can use", INPUT, poison, settle_s=2),
)
