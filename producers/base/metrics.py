"""What a live feed tells about itself, symbol by symbol: rows, gaps, refusals, losses, delays, clock offset.

Counts of durations in logarithmic buckets: any length, a few kilobytes, percentiles within three per cent.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from producers.base.clock_offset import ClockOffset
from producers.base.collector import Collector
from tapewatch.contract.rows import EVERY_INSTRUMENT, Rows, RowType, StatusKind
from tapewatch.runtime.exposition import Sample, family, sample_line
from tapewatch.runtime.monitoring import counter, gauge, histogram

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


TYPES = len(RowType)
PREFIX = "tapewatch_producer"
_FIRST_OCTAVE, _LAST_OCTAVE = 18, 35
"""Buckets shown of the delays: 2^18 ns (0.26 ms) to 2^35 ns (34 s), each twice the one before."""
_METRICS = {
    "messages": counter(f"{PREFIX}_messages_total", "Messages that came in, by kind.", "feed", "kind"),
    "dropped": counter(f"{PREFIX}_dropped_total", "Messages or rows rightly left out, by reason.", "feed", "reason"),
    "refused": counter(f"{PREFIX}_refused_total", "Messages that could not be taken, by reason.", "feed", "reason"),
    "violations": counter(f"{PREFIX}_violations_total", "Rebuilt books that were not sound, by kind.", "feed", "kind"),
    "connections": counter(f"{PREFIX}_connections_total", "Websockets opened, renewals included.", "feed", "link"),
    "losses": counter(f"{PREFIX}_losses_total", "Websockets that broke.", "feed", "link"),
    "answers": counter(f"{PREFIX}_answers_total", "Answers of web services that could be used.", "feed", "host"),
    "request_failures": counter(
        f"{PREFIX}_request_failures_total", "Attempts at requests that failed, by reason.", "feed", "host", "reason"
    ),
    "rows": counter(f"{PREFIX}_rows_total", "Rows handed on, by instrument and type.", "feed", "instrument", "type"),
    "gaps": counter(f"{PREFIX}_gaps_total", "Gap status rows.", "feed", "instrument"),
    "resyncs": counter(f"{PREFIX}_resyncs_total", "Resync status rows.", "feed", "instrument"),
    "halts": counter(f"{PREFIX}_halts_total", "Halt status rows.", "feed", "instrument"),
    "last_event": gauge(
        f"{PREFIX}_last_event_timestamp_seconds", "Venue time of the newest row.", "feed", "instrument"
    ),
    "last_receipt": gauge(
        f"{PREFIX}_last_receipt_timestamp_seconds", "Receipt time of the newest row.", "feed", "instrument"
    ),
    "clock": gauge(f"{PREFIX}_clock_offset_seconds", "Venue's clock minus ours.", "feed", "method"),
    "ack_latency": histogram(
        f"{PREFIX}_ack_latency_seconds", "From the receipt of a message to the acknowledgement of its rows.", "feed"
    ),
}
_Counts = npt.NDArray[np.int64]
_KINDS = {StatusKind.GAP: "gaps", StatusKind.RESYNC: "resyncs", StatusKind.HALT: "halts"}


class ConnectionCounters(Protocol):
    """A websocket. connections : opened so far, renewals included; losses : of them, how many broke"""

    name: str
    connections: int
    losses: int


class RequestCounters(Protocol):
    """A web service. answers : given so far; failures : failed attempts at requests, by reason"""

    host: str
    answers: int
    failures: Counter[str]


class FeedMetrics:
    """One feed's figures, each counted from the start.

    collector : whose messages, refusals, drops and violations are shown; None where there is none
    ack : from the receipt of a message to Kafka's acknowledgement of its rows
    links, services : the feed's websockets and web services; offset : of the venue's clock
    newest_ns : receipt of the newest row that is no status, UTC ns; 0 before the first
    """

    def __init__(self, feed: str, collector: Collector | None = None) -> None:
        self.feed = feed
        self.newest_ns = 0
        self.ack = Latencies()
        self.links: Sequence[ConnectionCounters] = ()
        self.services: Sequence[RequestCounters] = ()
        self.offset: ClockOffset | None = None
        self.collector = collector
        self._names: list[str] = [EVERY_INSTRUMENT]
        self._codes: dict[str, int] = {EVERY_INSTRUMENT: 0}
        self._rows: _Counts = np.zeros((TYPES, 1), np.int64)
        self._status: dict[StatusKind, _Counts] = {kind: np.zeros(1, np.int64) for kind in _KINDS}
        self._event: _Counts = np.zeros(1, np.int64)
        self._received: _Counts = np.zeros(1, np.int64)
        self._dictionary: tuple[Any, _Counts] = ((), np.empty(0, np.int64))

    def rows(self, rows: Rows) -> None:
        """Count rows that were handed on, in receipt order."""
        if not len(rows):
            return
        codes = self._own(rows)
        size = len(self._names)
        self._rows[rows.type] += np.bincount(codes, minlength=size)
        # Of several values for one place numpy keeps the last, which is the newest.
        self._received[codes] = rows.ts_recv
        if rows.type is RowType.STATUS:
            for kind, counts in self._status.items():
                counts += np.bincount(codes[rows.columns["kind"] == int(kind)], minlength=size)
        else:
            self._event[codes] = rows.columns["ts_event"]
            self.newest_ns = int(rows.ts_recv[-1])

    def acknowledged(self, received: npt.NDArray[np.int64], now: int) -> None:
        """Count the rows of a frame that Kafka acknowledged. received : their ts_recv; now : UTC ns"""
        self.ack.add(now - received)

    def rows_by_type(self) -> dict[str, int]:
        """Rows handed on by type, without types that had none."""
        return {kind.label: int(self._rows[kind].sum()) for kind in RowType if self._rows[kind].any()}

    def status(self, kind: StatusKind) -> int:
        """Gaps, resyncs or halts so far."""
        return int(self._status[kind].sum())

    def as_dict(self) -> dict[str, Any]:
        """All figures in a form JSON knows; instruments without rows are left out."""
        offset = self.offset.as_dict() if self.offset is not None else None
        return {
            "feed": self.feed,
            **{name: dict(sorted(counts.items())) for name, _, counts in self._collected()},
            "rows": self.rows_by_type(),
            **{name: self.status(kind) for kind, name in _KINDS.items()},
            "connections": {link.name: link.connections for link in self.links},
            "losses": {link.name: link.losses for link in self.links},
            "failures": {one.host: dict(sorted(one.failures.items())) for one in self.services},
            "ack": self.ack.as_dict(),
            "clock": offset,
            "instruments": {self._names[code]: self._instrument(code) for code in self._seen()},
        }

    def exposition(self) -> str:
        """All figures in Prometheus' text format."""
        return "\n".join([*self._totals(), *self._by_instrument(), *self._delays(), *self._clock()]) + "\n"

    def _own(self, rows: Rows) -> _Counts:
        """The rows' instruments as our codes, int64[rows]; new ones are added."""
        names, translation = self._dictionary
        if rows.instruments is not names:
            for name in rows.instruments:
                if name not in self._codes:
                    self._codes[name] = len(self._names)
                    self._names.append(name)
            translation = np.array([self._codes[name] for name in rows.instruments], np.int64)
            self._dictionary = (rows.instruments, translation)
            self._grow(len(self._names))
        own: _Counts = translation[rows.columns["instrument"]]
        return own

    def _grow(self, size: int) -> None:
        """Room for so many instruments."""
        more = size - self._rows.shape[1]
        if more:
            self._rows = np.pad(self._rows, ((0, 0), (0, more)))
            self._status = {kind: np.pad(counts, (0, more)) for kind, counts in self._status.items()}
            self._event, self._received = np.pad(self._event, (0, more)), np.pad(self._received, (0, more))

    def _seen(self) -> list[int]:
        """The instruments that had rows."""
        seen: list[int] = np.flatnonzero(self._received).tolist()
        return seen

    def _instrument(self, code: int) -> dict[str, Any]:
        """One instrument's figures."""
        return {
            "rows": {kind.label: int(self._rows[kind, code]) for kind in RowType if self._rows[kind, code]},
            **{name: int(self._status[kind][code]) for kind, name in _KINDS.items()},
            "last_event_ns": int(self._event[code]),
            "last_received_ns": int(self._received[code]),
        }

    def _collected(self) -> Iterator[tuple[str, str, Mapping[str, int]]]:
        """(name, label, counts) of what the collector counts."""
        if self.collector is not None:
            yield "messages", "kind", dict(self.collector.messages)
            yield "dropped", "reason", dict(self.collector.dropped)
            yield "refused", "reason", dict(self.collector.refused)
            yield "violations", "kind", dict(self.collector.violations)

    def _totals(self) -> Iterator[str]:
        """The feed's own counters."""
        for name, label, counts in self._collected():
            yield from self._counter(name, (({label: key}, value) for key, value in counts.items()))
        links, services = list(self.links), list(self.services)
        yield from self._counter("connections", [({"link": link.name}, link.connections) for link in links])
        yield from self._counter("losses", [({"link": link.name}, link.losses) for link in links])
        yield from self._counter("answers", [({"host": one.host}, one.answers) for one in services])
        failures = [
            ({"host": one.host, "reason": reason}, value)
            for one in services
            for reason, value in dict(one.failures).items()
        ]
        yield from self._counter("request_failures", failures)

    def _by_instrument(self) -> Iterator[str]:
        """Every instrument's counters and times, without those that are 0."""
        rows = [one for kind in RowType for one in self._samples(self._rows[kind], {"type": kind.label})]
        yield from self._counter("rows", rows)
        for status, name in _KINDS.items():
            yield from self._counter(name, self._samples(self._status[status], {}))
        for name, times in (("last_event", self._event), ("last_receipt", self._received)):
            samples = [({"feed": self.feed, **labels}, ns / 1e9) for labels, ns in self._samples(times, {})]
            yield from _family(name, samples)

    def _samples(self, values: _Counts, labels: Mapping[str, str]) -> list[Sample]:
        """The instruments' values that are not 0."""
        places = np.flatnonzero(values)
        pairs = zip(places.tolist(), values[places].tolist(), strict=True)
        return [({"instrument": self._names[code], **labels}, value) for code, value in pairs]

    def _counter(self, name: str, samples: Iterable[Sample]) -> list[str]:
        """A counter's lines."""
        own: list[Sample] = [({"feed": self.feed, **labels}, value) for labels, value in samples]
        return _family(name, own)

    def _delays(self) -> Iterator[str]:
        """The histogram of the delays."""
        metric, feed = _METRICS["ack_latency"], {"feed": self.feed}
        name = metric.name
        yield f"# HELP {name} {metric.text}"
        yield f"# TYPE {name} histogram"
        for seconds, shorter in self.ack.below_octaves(_FIRST_OCTAVE, _LAST_OCTAVE):
            yield sample_line(f"{name}_bucket", {**feed, "le": repr(seconds)}, shorter)
        yield sample_line(f"{name}_bucket", {**feed, "le": "+Inf"}, self.ack.count)
        yield sample_line(f"{name}_sum", feed, self.ack.total_ns / 1e9)
        yield sample_line(f"{name}_count", feed, self.ack.count)

    def _clock(self) -> list[str]:
        """The venue's clock, once it is known."""
        found = self.offset.estimate if self.offset is not None else None
        if found is None:
            return []
        labels = {"feed": self.feed, "method": found.method}
        return _family("clock", [(labels, found.offset_s)])


def _family(name: str, samples: Iterable[Sample]) -> list[str]:
    """A metric's lines."""
    metric = _METRICS[name]
    return family(metric.name, metric.kind, metric.text, samples)
