"""What all scenarios share: an episode's fields, the kinds of events, and the steps from a hit to an open alert to its
close.
"""

import msgspec
import numpy as np
import numpy.typing as npt

from tapewatch.kernels import inlined

F8 = npt.NDArray[np.float64]

FIELDS = 32
OPEN, ONSET, DECIDED, REVISION, ONSET_OFFSET, DECIDED_OFFSET, LAST_HIT, PEAK, STREAK, FIRST_HIT, WORK = range(11)
SHOWN = 16
"""Fields of an episode's state, float64[FIELDS]: zeros at birth. A scenario with steps of its own uses WORK and above
as it likes. PEAK is the strength last reported, STREAK counts hits in a row and FIRST_HIT is the second of their first.
From SHOWN on lie the evidence and thresholds last reported, which the closing revision shows again.
"""

NONE, OPENED, UPDATED, CLOSED = 0, 1, 2, 3
"""What a step says."""


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The parameters with which every scenario's rule begins.

    hold_s : consecutive seconds that must hit before an alert opens (s)
    quiet_s : seconds without a hit after which an episode may close (s)
    cooldown_s : an episode closes no earlier than this after its alert (s)
    update_ratio : a strength this many times the last reported one is a revision (ratio)
    """

    hold_s: float
    quiet_s: float
    cooldown_s: float
    update_ratio: float


HOLD_S, QUIET_S, COOLDOWN_S, UPDATE_RATIO = range(4)
"""Their places."""


@inlined
def keep(e: F8, values: F8) -> None:
    """Remember what is reported. values : float64[16]"""
    for place in range(FIELDS - SHOWN):
        e[SHOWN + place] = values[place]


@inlined
def step(e: F8, strength: float, second: int, offset: int, rule: F8) -> int:
    """One sealed second of one instrument and scenario.

    e : float64[FIELDS], changed in place; strength : how many times the alert threshold was reached, 1 and more is a
    hit; NaN (not assessable) never is; second : the sealed second; offset : the input offset that sealed it
    rule : float64[parameters], beginning with those named above
    Returns NONE, OPENED, UPDATED or CLOSED. ONSET is the first hit of the row that opened the episode, DECIDED the end
    of its last.
    """
    hit = strength >= 1.0
    if hit:
        if e[STREAK] == 0.0:
            e[FIRST_HIT] = second
        e[STREAK] += 1.0
        e[LAST_HIT] = second
    else:
        e[STREAK] = 0.0
    if e[OPEN] == 0.0:
        if not hit or e[STREAK] < rule[HOLD_S]:
            return NONE
        e[OPEN], e[REVISION], e[ONSET], e[DECIDED] = 1.0, 1.0, e[FIRST_HIT], second + 1.0
        e[ONSET_OFFSET] = e[DECIDED_OFFSET] = offset
        e[PEAK] = strength
        return OPENED
    if hit and strength >= rule[UPDATE_RATIO] * e[PEAK]:
        e[PEAK] = strength
        e[REVISION] += 1.0
        return UPDATED
    if second - e[LAST_HIT] >= rule[QUIET_S] and second + 1 - e[DECIDED] >= rule[COOLDOWN_S]:
        e[REVISION] += 1.0
        e[OPEN] = 0.0
        return CLOSED
    return NONE


@inlined
def is_live(e: F8) -> bool:
    """Whether an episode is open or a row of hits has begun: the next second needs a step, hit or not."""
    return bool(e[OPEN] > 0.0 or e[STREAK] > 0.0)
