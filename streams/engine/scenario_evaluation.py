"""Scenarios over a block of sealed instrument-seconds: how strong each is, what follows, and what is written of it."""

import numpy as np
import numpy.typing as npt

from detectors.ensemble_members import AUTOENCODER as AUTOENCODER_NAME
from detectors.ensemble_members import AUTOENCODER_CRYPTO as CRYPTO_NAME
from detectors.ensemble_members import FUSION as FUSION_NAME
from detectors.ensemble_members import ISOLATION as ISOLATION_NAME
from detectors.scenarios import episode, pump_and_dump
from detectors.scenarios import observation as at
from detectors.scenarios.library import ENGINE, FUSED_ANOMALY, KMEANS_ANOMALY, PUMP_AND_DUMP, SCENARIOS, SPOOFING
from detectors.scenarios.table import strengths
from streams.engine import output, state
from streams.engine.output import Output, opened
from tapewatch.clock import NANOS
from tapewatch.kernels import inlined, kernel, spliced

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]

KMEANS, KMEANS_CLASSIC, PUMPS = 0, 1, 2
_OF_SCENARIO = 3
DETECTORS = (
    "kmeans", "kmeans_classic", "pumps", *SCENARIOS, AUTOENCODER_NAME, ISOLATION_NAME, FUSION_NAME, CRYPTO_NAME,
)  # fmt: skip
"""Detector names by the number that score rows carry."""

AUTOENCODER, ISOLATION, FUSION, CRYPTO = (_OF_SCENARIO + len(SCENARIOS) + place for place in range(4))

REPORTED = 0.5
"""Strength from which a scenario of measured rates has a score row: an alert threshold is 1."""

BOOK_FIRST = _OF_SCENARIO + SPOOFING
"""Detector number of the book model's first scenario; its others follow."""

# The K-means distance and what the book model says have a score row each second anyway, the fusion from there on.
_ANYWAY = {SCENARIOS[number] for number in (KMEANS_ANOMALY, SPOOFING, SPOOFING + 1, SPOOFING + 2, FUSED_ANOMALY)}
_SCORED = np.array([module.MEASURED and module.NAME not in _ANYWAY for module in ENGINE])


@inlined
def score(out: Output, slot: int, second: int, offset: int, detector: int, raw: float, chance: float) -> None:
    """Write a score row."""
    row = out.counts[output.SCORES]
    out.counts[output.SCORES] = row + 1
    keys = out.score_keys
    keys[0, row], keys[1, row], keys[2, row], keys[3, row] = slot, (second + 1) * NANOS, offset, detector
    out.scores[0, row], out.scores[1, row] = raw, chance


@inlined
def _event(
    out: Output, scenario: int, kind: int, slot: int, e: F8, second: int, offset: int, values: F8, strength: float
) -> None:
    """Write a scenario's event."""
    row = out.counts[output.EVENTS]
    out.counts[output.EVENTS] = row + 1
    event = out.events[row]
    event[0], event[1], event[2] = scenario, kind, slot
    event[3], event[4], event[5] = np.int64(e[episode.ONSET]) * NANOS, np.int64(e[episode.DECIDED]) * NANOS, 0
    event[5] = (second + 1) * NANOS
    event[6], event[7] = np.int64(e[episode.REVISION]), np.int64(e[episode.ONSET_OFFSET])
    out.event_offsets[row, 0], out.event_offsets[row, 1] = np.int64(e[episode.DECIDED_OFFSET]), offset
    for j in range(values.size):
        out.event_values[row, j] = values[j]
    out.event_values[row, output.STRENGTH] = strength
    out.event_values[row, output.STREAK] = e[episode.STREAK]


@kernel
def _update_episodes(context: I8, scenario: int, row: int, second: int, offset: int) -> None:
    """What follows from a second that a scenario finds strong, or whose episode goes on.

    row : of the block of observations in `out`; few seconds come here, so it is called, not inlined
    """
    S, detectors, out = opened(context)
    i, strength = out.slots[row], out.strengths[row]
    rule, values = detectors.rules[out.classes[row], scenario], out.verdicts[row]
    if _SCORED[scenario] and strength >= REPORTED:
        score(out, i, second, offset, _OF_SCENARIO + scenario, strength, np.nan)
    bit = np.int64(1) << scenario
    if not strength >= 1.0 and S.live[i] & bit == 0:
        return
    e = S.episodes[i, scenario]
    if scenario == PUMP_AND_DUMP:
        x = out.observations[row]
        pump_and_dump.evidence(x, rule, values)
        kind = pump_and_dump.step(e, strength, x[at.PRICE], second, offset, rule, values)
    else:
        kind = episode.step(e, strength, second, offset, rule)
        if kind == episode.CLOSED:
            # A scenario whose gate is shut has filled in nothing.
            values = e[episode.SHOWN :]
        elif kind != episode.NONE:
            episode.keep(e, values)
    S.live[i] = S.live[i] | bit if episode.is_live(e) else S.live[i] & ~bit
    if kind != episode.NONE:
        shown = strength if kind != episode.CLOSED and strength >= 1.0 else e[episode.PEAK]
        _event(out, scenario, kind, i, e, second, offset, values, shown)


@spliced
def evaluate_scenarios(context: I8, rows: int, second: int, offset: int) -> None:
    """Step every scenario over the `rows` observations of a block."""
    S, detectors, out = opened(context)
    live = np.int64(0)
    for row in range(rows):
        live |= S.live[out.slots[row]]
    found = out.strengths
    for scenario in range(state.SCENARIOS):
        strengths(scenario, out.observations, 0, rows, out.classes, detectors.rules, out.verdicts, found)
        bit = np.int64(1) << scenario
        any_live = live & bit != 0
        for row in range(rows):
            if found[row] >= REPORTED or (any_live and S.live[out.slots[row]] & bit != 0):
                _update_episodes(context, scenario, row, second, offset)
