"""Feature rows of a stored history: each partition through a brokerless engine without models and scenarios."""

from collections.abc import Callable, Iterator
from typing import Any

from evaluation.history import Partition, Span
from streams.driver import table
from streams.engine.detector_config import DetectorConfig
from streams.engine.models import ActiveModels, ModelStore
from tapewatch.clock import NANOS
from tapewatch.contract import topics

_TAKE_RECORDS = 500
_BEHIND_NS = 5 * NANOS
"""The log is read this far beyond the span's end: its last second is closed by what comes after."""


def tables(partition: Partition, span: Span, say: Callable[[int, int], None]) -> Iterator[dict[str, Any]]:
    """Columns of feature rows, some hundred records at a time, warm-up included; `ts` is the end of a row's second.

    say : told of the market rows read so far, and the log's time (UTC ns)
    """
    task = partition.task(ActiveModels(ModelStore(), {}, DetectorConfig(watch=False)))

    def taken() -> dict[str, Any]:
        return table((one for one in task.take() if one.topic == topics.FEATURES), "features")

    for number, record in enumerate(partition.records(), start=1):
        task.feed(record.offset, record.value, record.headers, record.appended_ns)
        if number % _TAKE_RECORDS == 0:
            if columns := taken():
                yield columns
            say(sum(task.tally.rows.values()), task.clock_ns)
        if task.clock_ns >= span.end_ns + _BEHIND_NS:
            break
    if columns := taken():
        yield columns
    say(sum(task.tally.rows.values()), task.clock_ns)
