"""Factor images: days of factors as a picture, an index a channel, and whether the first index rises after it.

Rows are days, oldest first, columns factors. A factor is scaled by its own mean and deviation over the days that the
image reaches back, so an image is a function of bars up to its last day and of a fixed number of them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from detectors.forecast.series import Panel, Series

F4 = npt.NDArray[np.float32]
F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

DAYS = 56
"""Rows of an image."""
REACH = 112
"""Days over which a factor is scaled, the image's own among them."""
AHEAD = 14
"""Bars of the target after an image's last day whose last close is compared with its own."""
CLIP = 4.0
"""Deviations beyond which a factor is held."""
REASONS = ("non_overlapping", "channel_missing", "warm_up", "nan_factor", "label_unknown")
"""Why a window is no example, in the order in which they are asked: a window counts under the first that holds."""
_CHUNK = 256

Factors = Callable[[Series], tuple[tuple[str, ...], F8]]
"""Names of the factors, and their values at each bar, float64[bars, factors], NaN until they are warm."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Windows of DAYS bars of the target, and what became of them. dropped : by each of REASONS; used : the rest"""

    possible: int
    used: int
    dropped: Mapping[str, int]

    @property
    def ratios(self) -> dict[str, float]:
        """Share of the possible windows dropped for each reason."""
        return {reason: count / max(self.possible, 1) for reason, count in self.dropped.items()}


@dataclass(frozen=True, slots=True)
class Images:
    """Images of the target's days, oldest first.

    channels : instruments, the target first; factors : names of the columns
    at : int64[images], when the last day's bar was complete; known : int64[images], when its label was, 0 for not yet
    pixels : float32[images, channels, DAYS, factors], within -CLIP and CLIP
    up : bool[images], whether the close AHEAD bars later is higher; False where not known yet
    past : float64[images, DAYS], log return of the target over the last 1 to DAYS bars; reference : its close
    loss : windows left out
    """

    channels: tuple[str, ...]
    factors: tuple[str, ...]
    at: I8
    known: I8
    pixels: F4
    up: Bools
    past: F8
    reference: F8
    loss: Loss

    @property
    def labelled(self) -> Bools:
        """Which images have a label, bool[images]."""
        return self.known > 0


def images(panel: Panel, channels: Sequence[str], factors: Factors) -> Images:
    """The images of a panel, one for each day of the first channel on which every channel has all it takes.

    ValueError where a channel is not in the panel. An image whose label is not known yet is given, but counts as lost.
    """
    missing = [name for name in channels if name not in panel.series]
    if missing or not channels:
        raise ValueError(f"no bars of {', '.join(missing) or 'any channel'}")
    target = panel.series[channels[0]]
    grid, warm, names = _grid(panel, channels, factors, target.at)
    why = _reasons(panel, channels, target, grid, warm)
    possible = why[DAYS - 1 :]
    counts = {reason: int((possible == place).sum()) for place, reason in enumerate(REASONS)}
    used = np.flatnonzero((why == len(REASONS)) | (why == REASONS.index("label_unknown")))
    later = np.minimum(used + AHEAD, len(target) - 1)
    labelled = used + AHEAD < len(target)
    log_close = np.log(target.close)
    return Images(
        channels=tuple(channels),
        factors=names,
        at=target.at[used],
        known=np.where(labelled, target.at[later], 0),
        pixels=_pixels(grid, used),
        up=labelled & (target.close[later] > target.close[used]),
        past=log_close[used, None] - log_close[used[:, None] - np.arange(1, DAYS + 1)],
        reference=target.close[used],
        loss=Loss(len(possible), int(labelled.sum()), counts),
    )


def _grid(panel: Panel, channels: Sequence[str], factors: Factors, at: I8) -> tuple[F8, Bools, tuple[str, ...]]:
    """Factors of every channel on the target's days, float64[channels, days, factors], NaN without a bar; and whether
    the channel has the bar, bool[channels, days].
    """
    made = {name: factors(panel.series[name]) for name in dict.fromkeys(channels)}
    names = made[channels[0]][0]
    grid = np.full((len(channels), len(at), len(names)), np.nan)
    there = np.zeros((len(channels), len(at)), dtype=np.bool_)
    for place, name in enumerate(channels):
        own = panel.series[name].at
        _, rows, found = np.intersect1d(at, own, assume_unique=True, return_indices=True)
        grid[place, rows] = made[name][1][found]
        there[place, rows] = True
    return grid, there, names


def _reasons(panel: Panel, channels: Sequence[str], target: Series, grid: F8, there: Bools) -> I8:
    """Why each day of the target ends no example, as a place in REASONS, or their number where it does."""
    days = len(target)
    begin = np.maximum(np.arange(days) - REACH + 1, 0)
    spans = [panel.series[name].at[[0, -1]] for name in channels]
    apart = np.zeros(days, dtype=np.bool_)
    for first, last in spans:
        apart |= (target.at[begin] < first) | (target.at > last)
    holes = _within(np.any(~there, axis=0), begin)
    unknown: Bools = np.any(~np.isfinite(grid), axis=2)
    # A channel is warm from the first day on which all its factors have values: what is missing later is a hole.
    cold = np.zeros_like(there)
    for place in range(len(channels)):
        lived = np.flatnonzero(there[place] & ~unknown[place])
        cold[place] = np.arange(days) < (lived[0] if len(lived) else days)
    warming = _within(np.any(cold, axis=0), begin) | (np.arange(days) < REACH - 1)
    holds = (apart, holes, warming, _within(np.any(unknown, axis=0), begin), np.arange(days) + AHEAD >= days)
    return np.select(holds, range(len(REASONS)), len(REASONS)).astype(np.int64)


def _within(marked: Bools, begin: I8) -> Bools:
    """Whether any day from `begin` to a day itself is marked, bool[days]."""
    total = np.concatenate([[0], np.cumsum(marked)])
    return total[1:] > total[begin]


def _pixels(grid: F8, ends: I8) -> F4:
    """The images that end on the given days of the grid, float32[ends, channels, DAYS, factors]."""
    found = np.empty((len(ends), len(grid), DAYS, grid.shape[2]), dtype=np.float32)
    for first in range(0, len(ends), _CHUNK):
        rows = ends[first : first + _CHUNK, None] - np.arange(REACH - 1, -1, -1)
        reached = grid[:, rows]
        mean, spread = reached.mean(axis=2, keepdims=True), reached.std(axis=2, keepdims=True)
        # A factor that stood still has nothing to say; a spread of mere rounding would make noise of it.
        still = spread <= 1e-9 * np.abs(mean) + 1e-300
        scaled = np.where(still, 0.0, (reached[:, :, -DAYS:] - mean) / np.where(still, 1.0, spread))
        found[first : first + _CHUNK] = np.clip(scaled, -CLIP, CLIP).transpose(1, 0, 2, 3)
    return found
