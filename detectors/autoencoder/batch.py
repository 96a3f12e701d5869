"""The autoencoder over whole samples of feature rows, through the kernel that the engine calls."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from detectors.autoencoder import score
from detectors.autoencoder.inputs import COUNT, prepare
from detectors.autoencoder.score import Network
from detectors.kmeans.sample import Sample
from tapewatch.kernels import kernel

F4 = npt.NDArray[np.float32]
F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]

_STRETCH = 400
"""Instruments laid out at once: the layout of a sample of many takes memory."""


@dataclass(frozen=True, slots=True)
class History:
    """Rows of a sample laid out by second and instrument.

    values : float32[seconds, features, instruments]; there : bool[seconds, instruments]; first : the first second
    rows : int64[seconds, instruments], each one's place in the sample (0 where there is none)
    """

    values: F4
    there: npt.NDArray[np.bool_]
    rows: I8
    first: int


def histories(rows: Sample) -> list[History]:
    """A sample as histories of at most some hundred instruments each."""
    found = []
    for begin in range(0, len(rows.starts) - 1, _STRETCH):
        end = min(begin + _STRETCH, len(rows.starts) - 1)
        low, high = rows.starts[begin], rows.starts[end]
        if high == low:
            continue
        steps = rows.steps[low:high]
        owner = np.repeat(np.arange(end - begin), np.diff(rows.starts[begin : end + 1]))
        first = int(steps.min())
        shape = (int(steps.max()) - first + 1, end - begin)
        values = np.full((shape[0], len(rows.names), shape[1]), np.nan, dtype=np.float32)
        values[steps - first, :, owner] = rows.values[low:high]
        there, places = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=np.int64)
        there[steps - first, owner] = True
        places[steps - first, owner] = np.arange(low, high)
        found.append(History(values, there, places, first))
    return found


def score_rows(net: Network, rows: Sample) -> F8:
    """Reconstruction error of every row, float64[rows]; NaN where the window is not warm."""
    found = np.full(len(rows), np.nan)
    for history in histories(rows):
        out = np.full(history.there.shape, np.nan)
        score.scores_of_history(
            history.values,
            history.there,
            history.first,
            net,
            score.create_state(history.there.shape[1]),
            score.create_work(),
            np.zeros(score.BLOCK, dtype=np.int64),
            out,
        )
        found[history.rows[history.there]] = out[history.there]
    return found


@kernel
def _prepare_all(columns: F4, index: I8, scaling: F4, out: F4) -> None:
    prepare(columns, 0, columns.shape[1], index, scaling, out)


def prepared(columns: F4, index: I8, scaling: F4) -> F4:
    """Scaled inputs of any number of rows, float32[16, rows]. columns : float32[features, rows]."""
    out = np.zeros((COUNT, columns.shape[1]), dtype=np.float32)
    _prepare_all(np.ascontiguousarray(columns, dtype=np.float32), index, scaling, out)
    return out
