"""Counts of durations in logarithmic buckets: any length, a few kilobytes, percentiles within three per cent."""

import numpy as np
import numpy.typing as npt

STEPS = 32
"""Buckets an octave, so that a bucket is at most 1/32 wider than its lower end."""
OCTAVES = 48
"""Up to 2^47 ns, more than a day."""
TOGETHER = 4_096


class Latencies:
    """A histogram of nanoseconds, in the manner of HdrHistogram."""

    def __init__(self) -> None:
        self._count = 0
        self._total_ns = 0
        self._longest_ns = 0
        self._waiting: list[npt.NDArray[np.int64]] = []
        self._waiting_count = 0
        self._buckets: npt.NDArray[np.int64] = np.zeros(OCTAVES * STEPS, np.int64)

    def add(self, durations: npt.NDArray[np.int64]) -> None:
        """Count durations, int64[n], ns; below 1 counts as 1."""
        # Counted many at a time: a frame's few durations would cost more than the frame.
        self._waiting.append(durations)
        self._waiting_count += len(durations)
        if self._waiting_count >= TOGETHER:
            self._settle()

    @property
    def count(self) -> int:
        """How many were counted."""
        return self._count + self._waiting_count

    @property
    def longest_ns(self) -> int:
        """The longest, ns."""
        self._settle()
        return self._longest_ns

    @property
    def total_ns(self) -> int:
        """All together, ns."""
        self._settle()
        return self._total_ns

    def _settle(self) -> None:
        """Count what waits."""
        if not self._waiting_count:
            self._waiting.clear()
            return
        durations = np.concatenate(self._waiting)
        self._waiting.clear()
        self._waiting_count = 0
        whole = np.maximum(durations, 1)
        mantissa, exponent = np.frexp(whole.astype(np.float64))
        places = (exponent - 1) * STEPS + ((mantissa - 0.5) * (2 * STEPS)).astype(np.int64)
        self._buckets += np.bincount(np.minimum(places, OCTAVES * STEPS - 1), minlength=OCTAVES * STEPS)
        self._count += len(whole)
        self._total_ns += int(whole.sum())
        self._longest_ns = max(self._longest_ns, int(whole.max()))

    def percentile_ns(self, percent: float) -> int:
        """The upper end of the bucket that the percentile lies in, at most the longest; 0 where nothing was counted."""
        self._settle()
        if not self._count:
            return 0
        rank = max(1, int(np.ceil(percent / 100.0 * self.count - 1e-9)))
        place = int(np.searchsorted(np.cumsum(self._buckets), rank))
        octave, step = divmod(place, STEPS)
        return min(self.longest_ns, int(2.0**octave * (1.0 + (step + 1) / STEPS)))

    def below_octaves(self, first: int, last: int) -> list[tuple[float, int]]:
        """(seconds, how many were shorter) for 2^first, ..., 2^last ns, exactly."""
        self._settle()
        shorter = np.cumsum(self._buckets)
        return [(2.0**octave / 1e9, int(shorter[octave * STEPS - 1])) for octave in range(first, last + 1)]

    def as_dict(self) -> dict[str, float | int]:
        """Count, mean and percentiles in milliseconds."""
        percentiles = {name: self.percentile_ns(value) / 1e6 for name, value in _PERCENTILES}
        mean = self.total_ns / self.count / 1e6 if self.count else 0.0
        found = {"mean": mean, **percentiles, "longest": self.longest_ns / 1e6}
        return {"count": self.count, **{f"{name}_ms": round(value, 3) for name, value in found.items()}}


_PERCENTILES = (("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("p999", 99.9))
