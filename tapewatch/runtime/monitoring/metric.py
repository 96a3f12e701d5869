"""What a metric is: declared once in the module that fills it, so that docs/monitoring.md can be held against all.

Figures that processes of several kinds have under one name, so that one rule watches them all.
"""

import bisect
from collections.abc import Mapping, Sequence
from threading import Lock

import msgspec

from tapewatch.runtime.exposition import sample_line

LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper ends, s: from a transaction on this machine to a recovery."""

PREFIXES = ("tapewatch_", "process_")


class Metric(msgspec.Struct, frozen=True):
    """A family of samples. kind : counter, gauge or histogram; labels : their names, in order

    buckets : upper ends of a histogram, ascending, without the last, which has none
    """

    name: str
    kind: str
    text: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


DECLARED: dict[str, Metric] = {}
"""Every metric of the modules imported so far, by name."""


def counter(name: str, text: str, *labels: str) -> Metric:
    """Declare what only grows, and begins at 0 with the process. Its name ends with _total."""
    if not name.endswith("_total"):
        raise ValueError(f"a counter's name ends with _total: {name}")
    return _declared(Metric(name, "counter", text, labels))


def counters(process: str, **texts: str) -> dict[str, Metric]:
    """Declare `tapewatch_<process>_<name>_total` for each name and text: what a process' totals hold anyway."""
    return {name: counter(f"tapewatch_{process}_{name}_total", text) for name, text in texts.items()}


def gauge(name: str, text: str, *labels: str) -> Metric:
    """Declare what goes up and down."""
    return _declared(Metric(name, "gauge", text, labels))


def histogram(name: str, text: str, *labels: str, buckets: Sequence[float] = LATENCY_BUCKETS) -> Metric:
    """Declare a distribution over fixed buckets; of durations, s, with a name that ends with _seconds."""
    return _declared(Metric(name, "histogram", text, labels, tuple(buckets)))


def _declared(metric: Metric) -> Metric:
    """The metric, known from now on. ValueError where another one has its name."""
    if not metric.name.startswith(PREFIXES):
        raise ValueError(f"a metric's name begins with {' or '.join(PREFIXES)}: {metric.name}")
    known = DECLARED.setdefault(metric.name, metric)
    if known != metric:
        raise ValueError(f"two metrics are called {metric.name}")
    return metric


class Distribution:
    """A histogram's counts under one set of labels; takes observations of several threads."""

    __slots__ = ("_buckets", "_counts", "_lock", "_sum")

    def __init__(self, buckets: Sequence[float]) -> None:
        self._buckets = buckets
        self._counts = [0] * (len(buckets) + 1)
        self._sum = 0.0
        self._lock = Lock()

    def observe(self, value: float) -> None:
        """Count one."""
        place = bisect.bisect_left(self._buckets, value)
        with self._lock:
            self._counts[place] += 1
            self._sum += value

    def lines(self, metric: Metric, labels: dict[str, str]) -> list[str]:
        """Samples: how many were at most each bucket's end, their sum and count."""
        with self._lock:
            counts, total = list(self._counts), self._sum
        ends = [*(repr(end) for end in self._buckets), "+Inf"]
        lines, below = [], 0
        for end, count in zip(ends, counts, strict=True):
            below += count
            lines.append(sample_line(f"{metric.name}_bucket", {**labels, "le": end}, below))
        return [
            *lines,
            sample_line(f"{metric.name}_sum", labels, total),
            sample_line(f"{metric.name}_count", labels, below),
        ]


TRANSACTIONS = counter("tapewatch_transactions_total", "Transactions committed: Kafka's, or a sink's database's.")
ABORTED = counter("tapewatch_transactions_aborted_total", "Kafka transactions that failed and were aborted.")
TRANSACTION_SECONDS = histogram("tapewatch_transaction_seconds", "From the begin of a transaction to its commit.")
REFUSED = counter("tapewatch_refused_total", "Rows and records that were refused, by reason.", "reason")
DUPLICATES = counter("tapewatch_duplicates_total", "Frames that had come before and were passed over.")
DEAD_LETTERS = counter("tapewatch_dead_letters_total", "Records sent to a dead-letter topic, by reason.", "reason")
RETRIES = counter("tapewatch_retries_total", "Times a server failed and the work was taken up again.")
WRITTEN = counter("tapewatch_sink_written_total", "Rows or documents that a sink keeps now, by what they are.", "kind")
PARTITIONS = gauge("tapewatch_partitions_held", "Input partitions in the hands of this process.")

ENDINGS = {"transactions": TRANSACTIONS, "aborted": ABORTED}
"""By the names that totals have for them."""


def labelled(counts: Mapping[str, float]) -> dict[tuple[str, ...], float]:
    """Counts by the value of the one label, as a monitor reads them."""
    return {(name,): value for name, value in dict(counts).items()}
