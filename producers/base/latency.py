"""Time from a message's receipt to Kafka's acknowledgement, counted in logarithmic buckets."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tapewatch.clock import Clock
from tapewatch.rows import Rows

BUCKETS_A_DOUBLING = 8
SMALLEST_NS = 65_536
_BUCKETS = 256


class Latency:
    """A histogram of rows; a quantile is right to a twelfth (upper end of its bucket)."""

    def __init__(self, clock: Clock) -> None:
        self.counts = np.zeros(_BUCKETS, dtype=np.int64)
        self.longest_ns = 0
        self._clock = clock

    def watch(self, rows: Rows) -> Callable[[], None]:
        """What to call when the frame with these rows is acknowledged."""
        times: Any = rows.ts_recv

        def acknowledged() -> None:
            ages = np.maximum(self._clock.now() - times, 1)
            places = np.log2(ages / SMALLEST_NS) * BUCKETS_A_DOUBLING + 1.0
            np.add.at(self.counts, np.clip(places, 0, _BUCKETS - 1).astype(np.int64), 1)
            self.longest_ns = max(self.longest_ns, int(ages.max()))

        return acknowledged

    def quantile_ms(self, part: float) -> float:
        """The quantile in milliseconds; 0 where nothing was counted."""
        total = int(self.counts.sum())
        if total == 0:
            return 0.0
        place = int(np.searchsorted(np.cumsum(self.counts), part * total))
        return float(min(SMALLEST_NS * 2.0 ** (place / BUCKETS_A_DOUBLING), self.longest_ns) / 1e6)

    def as_dict(self) -> dict[str, float]:
        """Rows, p50, p99, p99.9 and the longest, ms."""
        found = {
            f"p{name}_ms": round(self.quantile_ms(part), 3)
            for name, part in (("50", 0.5), ("99", 0.99), ("999", 0.999))
        }
        return {"rows": float(self.counts.sum()), **found, "longest_ms": round(self.longest_ns / 1e6, 3)}
