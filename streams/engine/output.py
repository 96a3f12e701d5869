"""Where kernels write: fixed buffers for one drain of features, scores, bars, sealed seconds, coverage and scenario
events.

What the engine's kernels work on, as they hand it to each other: one array of addresses.

A kernel that is called, not inlined, takes `context` and opens what it needs: by value these are several hundred
arguments, and compiling a call with them takes seconds.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.autoencoder import score as autoencoder
from detectors.book.features import COUNT as FLOW_COUNT
from detectors.ddqn.lanes import ACTIONS
from detectors.ddqn.virtual import PRIVATE
from detectors.kmeans.score import BLOCK
from detectors.scenarios.library import SCENARIOS
from detectors.scenarios.observation import COUNT as OBSERVED
from streams.engine import state as fields
from streams.engine.detector_config import ActiveDetectors, nobody
from streams.engine.features import COUNT as FEATURE_COUNT
from streams.engine.policy import PLACES as POLICY_PLACES
from streams.engine.policy import WIDEST_INPUT, WIDEST_LAYER
from streams.engine.state import State
from tapewatch.bundles import Layout

# counts: int64[10], how much of each buffer is filled; FULL is 1 when a kernel stopped for want of room, CONTROL at a
# control row; DECISIONS are counted only.
FEATURES, SCORES, BARS, SEALED, COVERAGE, EVENTS, FULL, CONTROL, SIGNALS, DECISIONS = range(10)

VERDICT = 16
"""Evidence and thresholds of a scenario."""
STRENGTH, STREAK = VERDICT, VERDICT + 1
EVENT_VALUES = VERDICT + 2
"""Of an event: the scenario's evidence and thresholds, how strong it was, and for how many seconds in a row."""
SCORES_EACH = 6 + len(SCENARIOS)
"""Score rows that one instrument's second can have."""
POLICY = 4
"""Which policy acted, the column of `signals`."""
SIGNALS_EACH = len(POLICY_PLACES)
HELD, PRICE, Q = range(3)
SIGNAL_VALUES = Q + len(ACTIONS)
"""Of a signal: position that the policy saw, price, and the values of its actions, NaN where not allowed."""
SILENCE, HALT, GAP = 0, 1, 2
"""Why seconds were not watched: the feed was silent, the instrument halted, the venue's ids showed a hole."""

# Rows of `work`: the K-means kernel's own, then distance and price of each instrument of a block, the autoencoder's
# errors, and one row of odds and ends.
RAW, PRICES, ERRORS, ODDS = range(FEATURE_COUNT + 3, FEATURE_COUNT + 7)
WORK_ROWS = ODDS + 1

RING_ROWS_AT = BLOCK
PLACES = BLOCK + 32
"""Of `places`: the output row of each instrument of a block, then the rings' rows of a second."""

_PADDING = 16
"""Columns beyond a power of two, so that the columns of a row do not fall on the same cache set."""


class Output(NamedTuple):
    """Buffers. Features are column-major, float32[features, room], so that each column leaves without a copy.

    feature_keys, score_keys, bar_keys : int64[3, room] slot, time (UTC ns), causing offset (scores: [4, room], then
    detector)
    bars : float64[8, room] open, high, low, close, volume, trades, buys, sells
    sealed : int64[3, room] second's end, instruments, offset
    coverage : int64[6, room] slot or -1, from second, to second, reason, offset, instruments
    events : int64[room, 8] scenario, kind, slot, onset, decided, updated (UTC ns), revision, onset offset;
    event_offsets : int64[room, 2]
    work, places : scratch of the kernels, float64[WORK_ROWS, BLOCK] and int64[PLACES]
    signals : int64[room, 5] slot, time (UTC ns), causing offset, action, policy; signal_values : float64[room,
    SIGNAL_VALUES]; policy_work, masks, own : scratch of the policy's kernels
    slots, classes : int64[BLOCK], instrument and class of each observation; observations : float64[BLOCK, COUNT];
    strengths : float64[BLOCK], verdicts : float64[BLOCK, VERDICT], of the scenario at hand; network_work,
    forest_inputs : of the autoencoder's and the forest's kernels; all of them scratch too
    """

    counts: npt.NDArray[np.int64]
    features: npt.NDArray[np.float32]
    feature_keys: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float32]
    score_keys: npt.NDArray[np.int64]
    bars: npt.NDArray[np.float64]
    bar_keys: npt.NDArray[np.int64]
    sealed: npt.NDArray[np.int64]
    coverage: npt.NDArray[np.int64]
    events: npt.NDArray[np.int64]
    event_offsets: npt.NDArray[np.int64]
    event_values: npt.NDArray[np.float64]
    work: npt.NDArray[np.float64]
    places: npt.NDArray[np.int64]
    flow: npt.NDArray[np.float64]
    slots: npt.NDArray[np.int64]
    classes: npt.NDArray[np.int64]
    observations: npt.NDArray[np.float64]
    strengths: npt.NDArray[np.float64]
    verdicts: npt.NDArray[np.float64]
    network_work: npt.NDArray[np.float32]
    forest_inputs: npt.NDArray[np.float32]
    signals: npt.NDArray[np.int64]
    signal_values: npt.NDArray[np.float64]
    policy_work: npt.NDArray[np.float32]
    masks: npt.NDArray[np.bool_]
    own: npt.NDArray[np.float64]


def create(instruments: int) -> Output:
    """Buffers with room for the seconds of `instruments` instruments: several of few, at least one of many."""
    room = max(4096, instruments) + _PADDING
    return Output(
        counts=np.zeros(10, dtype=np.int64),
        features=np.zeros((FEATURE_COUNT, room), dtype=np.float32),
        feature_keys=np.zeros((3, room), dtype=np.int64),
        scores=np.zeros((2, SCORES_EACH * room), dtype=np.float32),
        score_keys=np.zeros((4, SCORES_EACH * room), dtype=np.int64),
        bars=np.zeros((8, room), dtype=np.float64),
        bar_keys=np.zeros((3, room), dtype=np.int64),
        sealed=np.zeros((3, 4096), dtype=np.int64),
        coverage=np.zeros((6, 2 * room), dtype=np.int64),
        events=np.zeros((len(SCENARIOS) * room, 8), dtype=np.int64),
        event_offsets=np.zeros((len(SCENARIOS) * room, 2), dtype=np.int64),
        event_values=np.zeros((len(SCENARIOS) * room, EVENT_VALUES)),
        work=np.zeros((WORK_ROWS, BLOCK)),
        places=np.zeros(PLACES, dtype=np.int64),
        flow=np.zeros(FLOW_COUNT),
        slots=np.zeros(BLOCK, dtype=np.int64),
        classes=np.zeros(BLOCK, dtype=np.int64),
        observations=np.zeros((BLOCK, OBSERVED)),
        strengths=np.zeros(BLOCK),
        verdicts=np.zeros((BLOCK, VERDICT)),
        network_work=autoencoder.create_work(),
        forest_inputs=np.zeros(FEATURE_COUNT, dtype=np.float32),
        signals=np.zeros((SIGNALS_EACH * room, 5), dtype=np.int64),
        signal_values=np.zeros((SIGNALS_EACH * room, SIGNAL_VALUES)),
        policy_work=np.zeros((WIDEST_INPUT + 2 * WIDEST_LAYER + len(ACTIONS), BLOCK), dtype=np.float32),
        masks=np.zeros((BLOCK, len(ACTIONS)), dtype=np.bool_),
        own=np.zeros(len(PRIVATE)),
    )


class KernelContext(NamedTuple):
    """What rows are taken into."""

    state: State
    detectors: ActiveDetectors
    out: Output


CONTEXT = Layout(KernelContext(fields.create(1), nobody(), create(1)))
opened = CONTEXT.open
"""Within a kernel: the KernelContext that a bundle's words stand for."""
