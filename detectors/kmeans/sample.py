"""Rows to train and judge a K-means model on: inputs in columns, instrument by instrument, each in time order."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Sample:
    """Rows of several instruments.

    names : of the columns; values : float64[rows, names], NaN where not warm or not assessable
    steps : int64[rows], the sealed second (or minute) of each row; starts : int64[instruments + 1], where each
    instrument's rows begin
    step_s : seconds of one step; labels : int8[rows], 1 manipulated, 0 normal, -1 uncertain; None where nobody knows
    """

    names: tuple[str, ...]
    values: F8
    steps: I8
    starts: I8
    step_s: int = 1
    labels: npt.NDArray[np.int8] | None = None

    def __len__(self) -> int:
        return len(self.values)

    @property
    def normal(self) -> npt.NDArray[np.bool_]:
        """bool[rows]: rows that are not known to be manipulated or uncertain."""
        return np.ones(len(self), dtype=bool) if self.labels is None else self.labels == 0

    def masked(self, missing: Sequence[str]) -> "Sample":
        """The same rows as a feed without these inputs would give them."""
        values = self.values.copy()
        values[:, [self.names.index(name) for name in missing if name in self.names]] = np.nan
        return replace(self, values=values)

    def split(self, share: float) -> tuple["Sample", "Sample"]:
        """The rows before and after the moment at which a share of all steps has passed."""
        at = np.quantile(self.steps, 1.0 - share)
        return self.where(self.steps <= at), self.where(self.steps > at)

    def where(self, keep: npt.NDArray[np.bool_]) -> "Sample":
        """Only the rows that `keep`, bool[rows], names."""
        owner = np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))[keep]
        starts = np.searchsorted(owner, np.arange(len(self.starts)), side="left").astype(np.int64)
        labels = None if self.labels is None else self.labels[keep]
        return replace(self, values=self.values[keep], steps=self.steps[keep], starts=starts, labels=labels)


def build(
    instruments: npt.NDArray[np.object_],
    steps: I8,
    names: Sequence[str],
    values: F8,
    step_s: int = 1,
    labels: npt.NDArray[np.int8] | None = None,
) -> Sample:
    """A sample from rows in any order; instruments : object[rows] of texts."""
    known, owner = np.unique(instruments.astype(str), return_inverse=True)
    order = np.lexsort((steps, owner))
    starts = np.searchsorted(owner[order], np.arange(len(known) + 1), side="left").astype(np.int64)
    return Sample(
        tuple(names),
        np.ascontiguousarray(values[order], dtype=np.float64),
        steps[order].astype(np.int64),
        starts,
        step_s,
        None if labels is None else labels[order].astype(np.int8),
    )


def concatenated(parts: Sequence[Sample]) -> Sample:
    """Samples of the same columns one behind the other; instruments of two parts are different ones."""
    first = parts[0]
    counts = np.cumsum([0, *(len(part) for part in parts)])
    starts = np.concatenate([[0], *(part.starts[1:] + count for part, count in zip(parts, counts, strict=False))])
    labels = [part.labels for part in parts if part.labels is not None]
    return Sample(
        first.names,
        np.concatenate([part.values for part in parts]),
        np.concatenate([part.steps for part in parts]),
        starts.astype(np.int64),
        first.step_s,
        np.concatenate(labels) if len(labels) == len(parts) else None,
    )
