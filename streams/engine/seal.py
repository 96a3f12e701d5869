"""Closing a second: accumulators become a feature row, a score and scenario steps, for every active instrument of the
partition.
"""

import numpy as np
import numpy.typing as npt

from detectors.kmeans.score import BLOCK, distances
from streams.engine import output as o
from streams.engine import state as s
from streams.engine.asking import ask_peers
from streams.engine.bars import close_bar
from streams.engine.columns import compute, reference_price
from streams.engine.deciding import decide
from streams.engine.hands import opened
from streams.engine.judging import judge
from streams.engine.observing import observe
from streams.engine.output import Output
from streams.engine.rings import ring_rows
from streams.engine.state import State
from streams.engine.verdicts import ask_models, distance_score
from streams.engine.windows import gather, restart_windows
from tapewatch.clock import NANOS
from tapewatch.kernels import inlined, spliced

I8 = npt.NDArray[np.int64]

MAX_SILENCE_S = 5
"""A partition without any row, heartbeats included, for longer was not watched: windows start anew after it."""


@spliced
def _features_of_block(hands: I8, start: int, count: int, second: int, offset: int) -> int:
    """Write the feature rows of `count` instruments from `start` on, and of each which row it has among them, -1 for
    none; returns how many there are.
    """
    S, _, out = opened(hands)
    rows, at, prices = out.places[:BLOCK], out.places[o.RING_ROWS_AT :], out.work[o.PRICES]
    begin = out.counts[o.FEATURES]
    for each in range(count):
        a = S.acc[start + each]
        rows[each] = -1
        if a[s.PHASE_OF] != s.ACTIVE and a[s.PHASE_OF] != s.IN_AUCTION:
            continue
        price = reference_price(a)
        if np.isnan(price):
            # Where no second is closed the rings hold nothing: windows may not reach over it.
            restart_windows(a)
            continue
        prices[each] = price
        rows[each] = compute(S, start + each, at, price, second, offset, out) - begin
    return int(out.counts[o.FEATURES] - begin)


@spliced
def _verdicts_of_block(
    hands: I8, start: int, count: int, begin: int, second: int, offset: int, ends_minute: bool
) -> None:
    """Say of each instrument of the block what models and rules need to know, end its minute, and go on to the next
    second. begin : the block's first feature row
    """
    S, judges, out = opened(hands)
    rows, at = out.places[:BLOCK], out.places[o.RING_ROWS_AT :]
    raw, prices = out.work[o.RAW], out.work[o.PRICES]
    for each in range(count):
        i = start + each
        a = S.acc[i]
        row = rows[each]
        if row < 0:
            if ends_minute and not np.isnan(a[s.BAR_OPEN]):
                close_bar(S, i, second, offset, a[s.BAR_CLOSE], judges.classic, out)
            continue
        chance = distance_score(i, second, offset, raw[row], judges.kmeans, out)
        if judges.watch:
            x = out.observations[row]
            out.slots[row], out.classes[row] = i, S.klass[i]
            observe(S, i, at, second, prices[each], out.features[:, begin + row], x)
            ask_models(S, i, second, offset, raw[row], chance, judges, x, out)
        if ends_minute:
            close_bar(S, i, second, offset, prices[each], judges.classic, out)
        gather(S, i, at)


@spliced
def seal_second(hands: I8, second: int, offset: int, ends_minute: bool) -> None:
    """Close `second` for every active instrument; `out` must have room for all of them.

    ends_minute : no later second of the minute will be closed: its bars are written, those of instruments that were
    halted or closed on the way too

    Instruments go through in blocks, so that one instruction measures several distances and what a block touches stays
    in the cache.
    """
    S, judges, out = opened(hands)
    ring_rows(second, out.places[o.RING_ROWS_AT :])
    first_row = out.counts[o.FEATURES]
    for start in range(0, S.clock[s.COUNT], BLOCK):
        count = min(S.clock[s.COUNT] - start, BLOCK)
        begin = out.counts[o.FEATURES]
        observed = _features_of_block(hands, start, count, second, offset)
        if judges.decide:
            decide(hands, start, count, observed, begin, second, offset)
        distances(out.features, begin, observed, judges.kmeans, out.work, out.work[o.RAW])
        _verdicts_of_block(hands, start, count, begin, second, offset, ends_minute)
        if judges.ask:
            ask_peers(hands, observed, begin, second, offset)
        if judges.watch:
            judge(hands, observed, second, offset)
    row = out.counts[o.SEALED]
    out.counts[o.SEALED] = row + 1
    out.sealed[0, row], out.sealed[2, row] = (second + 1) * NANOS, offset
    out.sealed[1, row] = out.counts[o.FEATURES] - first_row
    S.clock[s.SEALED] += 1


@inlined
def has_room(S: State, out: Output) -> bool:
    """Whether one more second of every instrument fits."""
    count = S.clock[s.COUNT]
    return bool(
        out.counts[o.FEATURES] + count <= out.feature_keys.shape[1]
        and out.counts[o.SCORES] + o.SCORES_EACH * count <= out.score_keys.shape[1]
        and out.counts[o.BARS] + count <= out.bar_keys.shape[1]
        and out.counts[o.SEALED] < out.sealed.shape[1]
        and out.counts[o.EVENTS] + s.SCENARIOS * count <= out.events.shape[0]
        and out.counts[o.SIGNALS] + o.SIGNALS_EACH * count <= out.signals.shape[0]
        and out.counts[o.COVERAGE] + count + 1 <= out.coverage.shape[1]
    )


@inlined
def cover(out: Output, slot: int, start: int, end: int, reason: int, offset: int, instruments: int) -> None:
    """Record seconds that were not watched, of one instrument or of all so far: [start, end), seconds of the epoch."""
    row = out.counts[o.COVERAGE]
    out.counts[o.COVERAGE] = row + 1
    record = out.coverage
    record[0, row], record[1, row], record[2, row], record[3, row], record[4, row] = slot, start, end, reason, offset
    record[5, row] = instruments


@inlined
def _is_open(S: State) -> bool:
    """Whether a session runs: what says nothing while every instrument is closed has missed nothing."""
    if S.clock[s.PHASE] != s.CLOSED:
        return True
    for i in range(S.clock[s.COUNT]):  # noqa: SIM110 - kernels know no generators
        if S.acc[i, s.PHASE_OF] != s.CLOSED:
            return True
    return False


@spliced
def advance(hands: I8, second: int, offset: int) -> bool:
    """Move the partition's clock to `second`, closing those before it; False when `out` ran full on the way (drain and
    call again).
    """
    S, _, out = opened(hands)
    clock = S.clock
    if clock[s.SECOND] < 0:
        clock[s.SECOND] = second
        return True
    while clock[s.SECOND] < second:
        if not has_room(S, out):
            out.counts[o.FULL] = 1
            return False
        silent = second - clock[s.SECOND] > MAX_SILENCE_S + 1
        ends_minute = (clock[s.SECOND] + 1) % 60 == 0 or (silent and second // 60 > clock[s.SECOND] // 60)
        seal_second(hands, clock[s.SECOND], offset, ends_minute)
        if silent:
            if _is_open(S):
                cover(out, -1, clock[s.SECOND] + 1, second, o.SILENCE, offset, clock[s.COUNT])
            for i in range(clock[s.COUNT]):
                restart_windows(S.acc[i])
            clock[s.SECOND] = second
        else:
            clock[s.SECOND] += 1
    return True
