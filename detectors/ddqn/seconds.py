"""Closed seconds of a market: what the engine knew at each close, and the quotes that virtual orders met."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.ddqn import virtual
from detectors.ddqn.virtual import Rows, scaled_rows

F8 = npt.NDArray[np.float64]
F4 = npt.NDArray[np.float32]
I8 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


class Seconds(NamedTuple):
    """Sessions one after another, each of one instrument and in order of time.

    names : of the features; instruments : of each session
    first, last : int64[sessions], rows; has_hours : bool[sessions], whether the session's end is known beforehand
    features : float32[rows, names] as the engine has them, NaN where not warm; second : int64[rows], of the epoch
    quotes : float64[rows, 4], costs : float64[rows, 2], tradable : bool[rows] as in `virtual_lanes.Rows`
    trend : float64[rows], the regime
    """

    names: tuple[str, ...]
    instruments: tuple[str, ...]
    first: I8
    last: I8
    has_hours: Bools
    features: F4
    second: I8
    quotes: F8
    costs: F8
    tradable: Bools
    trend: F8

    def rows(self, center: F4, scale: F4) -> Rows:
        """As the kernels take them, with scaled features and the share of each session that is left."""
        seen = np.empty_like(self.features)
        scaled_rows(self.features, center, scale, seen)
        left = np.ones(len(self.second))
        for first, last, has_hours in zip(self.first, self.last, self.has_hours, strict=True):
            if has_hours:
                opened, closes = self.second[first], self.second[last] + 1
                left[first : last + 1] = (closes - self.second[first : last + 1] - 1) / (closes - opened)
        context = np.stack([self.trend, left], axis=1)
        return Rows(seen, self.second, self.quotes, context, self.tradable & (left > 0.0), self.costs)

    def scaling(self) -> tuple[F4, F4]:
        """Center (median) and scale (1 / standard deviation) of each feature, float32[names]."""
        with np.errstate(invalid="ignore"):
            known = np.where(np.isfinite(self.features), self.features, np.nan).astype(np.float64)
        empty = np.isnan(known).all(axis=0)
        known[:, empty] = 0.0
        spread = np.nanstd(known, axis=0)
        center = np.nanmedian(known, axis=0)
        return center.astype(np.float32), (1.0 / np.where(spread > 0.0, spread, 1.0)).astype(np.float32)

    def chosen(self, names: Sequence[str]) -> "Seconds":
        """The same seconds with these features only, in this order; KeyError where one is missing."""
        missing = [name for name in names if name not in self.names]
        if missing:
            raise KeyError(", ".join(missing))
        columns = [self.names.index(name) for name in names]
        return self._replace(names=tuple(names), features=np.ascontiguousarray(self.features[:, columns]))

    def split(self, held_out: float, embargo_s: int) -> tuple["Seconds", "Seconds"]:
        """Each session's older seconds and its newest share `held_out`, with `embargo_s` seconds between them that are
        in neither: windows of the newer part do not reach into the older one. ValueError where nothing is left.
        """
        begins = self.second[self.first]
        whole = self.second[self.last] + 1 - begins
        cut = begins + ((1.0 - held_out) * whole).astype(np.int64)
        session = np.repeat(np.arange(len(self.first)), self.last - self.first + 1)
        return self.where(self.second < cut[session] - embargo_s), self.where(self.second >= cut[session])

    def where(self, kept: Bools) -> "Seconds":
        """The rows `kept`; a session of which fewer than two are left goes. ValueError where none is left."""
        lengths = np.add.reduceat(kept.astype(np.int64), self.first)
        usable = lengths >= 2
        if not usable.any():
            raise ValueError("fewer than two seconds of every session are left")
        kept = kept & np.repeat(usable, self.last - self.first + 1)
        last = np.cumsum(lengths[usable]) - 1
        columns: dict[str, Any] = {name: getattr(self, name)[kept] for name in _COLUMNS}
        return self._replace(
            instruments=tuple(name for name, use in zip(self.instruments, usable.tolist(), strict=True) if use),
            first=last - lengths[usable] + 1,
            last=last,
            has_hours=self.has_hours[usable],
            **columns,
        )


_COLUMNS = ("features", "second", "quotes", "costs", "tradable", "trend")
"""Fields of `Seconds` with a row each."""


def joined(parts: Sequence[Seconds]) -> Seconds:
    """Sessions of all parts, which have the same features; ValueError where they do not."""
    if len({part.names for part in parts}) != 1:
        raise ValueError("the parts have different features")
    shifts = np.cumsum([0] + [len(part.second) for part in parts[:-1]])
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts]) for name in ("has_hours", *_COLUMNS)
    }
    return parts[0]._replace(
        instruments=tuple(name for part in parts for name in part.instruments),
        first=np.concatenate([part.first + shift for part, shift in zip(parts, shifts, strict=True)]),
        last=np.concatenate([part.last + shift for part, shift in zip(parts, shifts, strict=True)]),
        **columns,
    )


def session_of(
    instrument: str,
    names: Sequence[str],
    features: F4,
    second: I8,
    quotes: F8,
    costs: tuple[float, float],
    regime: tuple[F8, F8],
    has_hours: bool = False,
    warm_s: int = 60,
) -> Seconds:
    """One instrument's session.

    regime : float64[rows] each, `ret_300s` and `rv_300s`; warm_s : seconds after the first row or a gap in which
        nothing may be placed; see `Seconds` for the rest
    """
    begun = np.maximum.accumulate(np.where(np.diff(second, prepend=second[0] - 2) != 1, second, second[0]))
    standing = (quotes[:, 2] > 0.0) & (quotes[:, 3] > 0.0)
    trend = np.array([virtual.trend(change, spread) for change, spread in zip(*regime, strict=True)])
    end = np.zeros(1, dtype=np.int64)
    return Seconds(
        tuple(names),
        (instrument,),
        end,
        end + len(second) - 1,
        np.array([has_hours]),
        features,
        second,
        quotes,
        np.tile(np.array(costs), (len(second), 1)),
        standing & (second - begun >= warm_s),
        trend,
    )
