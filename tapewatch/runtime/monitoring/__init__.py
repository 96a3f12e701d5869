"""What every process shows of itself: figures for Prometheus, whether it is alive, whether it is ready, and why not."""

from tapewatch.runtime.monitoring.metric import DECLARED, LATENCY_BUCKETS, Metric, counter, counters, gauge, histogram
from tapewatch.runtime.monitoring.monitor import Endpoint, Monitor, add_flag, asked

__all__ = [
    "DECLARED",
    "LATENCY_BUCKETS",
    "Endpoint",
    "Metric",
    "Monitor",
    "add_flag",
    "asked",
    "counter",
    "counters",
    "gauge",
    "histogram",
]
