"""One process's figures, its beat, and what it still waits for."""

import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from threading import Lock
from types import TracebackType
from typing import Self

from tapewatch import __version__, logs
from tapewatch.runtime import exposition, tracing
from tapewatch.runtime.monitoring import process_figures
from tapewatch.runtime.monitoring.kafka_clients import KafkaClients
from tapewatch.runtime.monitoring.metric import Distribution, Metric, gauge
from tapewatch.runtime.monitoring.server import Endpoint
from tapewatch.settings import Settings

BUILD = gauge("tapewatch_build_info", "1; the labels say which process of which version this is.", "process", "version")
ALIVE = gauge("tapewatch_alive", "1 where the main loop came round lately (metrics.stale_s), else 0: /livez.")
READY = gauge("tapewatch_ready", "1 where the process does its work, else 0: /readyz.")
WAITS = gauge("tapewatch_waits_for", "1 for each thing that the process waits for before it is ready.", "what")
BEAT_AGE = gauge("tapewatch_beat_age_seconds", "Since the main loop last came round.")

_log = logs.get("metrics")

Readings = Mapping[tuple[str, ...], float]
"""Label values, in the metric's order, to value; `()` where it has no labels."""


class Monitor:
    """What a process shows. It counts whether or not anybody may look: an endpoint is opened by `open`.

    process : engine, sink_postgres, producer, ...; a figure is added from any thread, and read in the endpoint's.
    tracer : sends spans of alerts; None unless the settings name a collector
    It is ready once `ready()` was called and nothing that it `waits_for` is left; it is alive while `beat()` is called.
    """

    def __init__(self, process: str, settings: Settings) -> None:
        self.process, self.settings = process, settings
        self._lock = Lock()
        self._values: dict[Metric, dict[tuple[str, ...], float]] = {}
        self._distributions: dict[Metric, dict[tuple[str, ...], Distribution]] = {}
        self._shown: dict[Metric, Callable[[], Readings]] = {}
        self._texts: list[Callable[[], str]] = []
        self._asked: list[Callable[[], Mapping[str, str]]] = []
        self._waits: dict[str, str] = {"start": "the process is starting"}
        self._beat = time.monotonic()
        self._endpoint: Endpoint | None = None
        self.set(BUILD, 1, process, __version__)
        process_figures.show(self.show, settings.data_path)
        self._clients = KafkaClients(self.show)
        self.tracer = tracing.tracer(process, settings)

    def add(self, metric: Metric, by: float = 1, *labels: str) -> None:
        """Let a counter grow. labels : their values, in the metric's order"""
        _check(metric, labels)
        with self._lock:
            values = self._values.setdefault(metric, {})
            values[labels] = values.get(labels, 0) + by

    def set(self, metric: Metric, value: float, *labels: str) -> None:
        """Let a gauge stand at a value."""
        _check(metric, labels)
        with self._lock:
            self._values.setdefault(metric, {})[labels] = value

    def forget(self, metric: Metric) -> None:
        """Take away all samples of a gauge: of partitions that are held no more, for example."""
        with self._lock:
            self._values.pop(metric, None)

    def distribution(self, metric: Metric, *labels: str) -> Distribution:
        """A histogram's counts under these labels; keep it and call its `observe`."""
        _check(metric, labels)
        with self._lock:
            return self._distributions.setdefault(metric, {}).setdefault(labels, Distribution(metric.buckets))

    def show(self, metric: Metric, read: Callable[[], Readings]) -> None:
        """Read a metric whenever somebody looks: for what the process counts anyway. Called in another thread."""
        self._shown[metric] = read

    def show_text(self, text: Callable[[], str]) -> None:
        """Show samples that are in Prometheus' text format already. Called in another thread."""
        self._texts.append(text)

    def show_counts(self, metrics: Mapping[str, Metric], counts: object) -> None:
        """Show the attributes of these names, read whenever somebody looks. counts : such as a stage's totals"""
        for name, metric in metrics.items():
            self.show(metric, partial(_attribute, counts, name))

    def client(self, name: str) -> Callable[[str], None] | None:
        """What `kafka.consumer` and `kafka.producer` want as `told`; None where nobody may look at this process."""
        return self._clients.listener(name) if self.settings.metrics.port else None

    def beat(self) -> None:
        """The main loop came round: tens of nanoseconds, so call it in every turn."""
        self._beat = time.monotonic()

    @property
    def is_alive(self) -> bool:
        """Whether the main loop came round within `metrics.stale_s`."""
        return self.beat_age_s <= self.settings.metrics.stale_s

    @property
    def beat_age_s(self) -> float:
        """Since the last beat, s."""
        return time.monotonic() - self._beat

    def ready(self) -> None:
        """The start is over."""
        self.has("start")

    def waits_for(self, what: str, why: str) -> None:
        """Not ready, for this reason. what : a word, such as `database`, by which `has` takes it back"""
        with self._lock:
            self._waits[what] = why

    def has(self, what: str) -> None:
        """What was waited for is there."""
        with self._lock:
            self._waits.pop(what, None)

    def asks(self, lacks: Callable[[], Mapping[str, str]]) -> None:
        """Not ready either while this names anything: what, and why. Called in another thread."""
        self._asked.append(lacks)

    @property
    def why_not_ready(self) -> dict[str, str]:
        """What it waits for, and why; empty where it is ready."""
        with self._lock:
            waits = dict(self._waits)
        for lacks in list(self._asked):
            waits.update(lacks())
        return waits

    def exposition(self) -> str:
        """All figures in Prometheus' text format."""
        with self._lock:
            found: dict[Metric, dict[tuple[str, ...], float]] = {key: dict(held) for key, held in self._values.items()}
            distributions = {metric: dict(held) for metric, held in self._distributions.items()}
        waits = self.why_not_ready
        found[ALIVE], found[READY] = {(): self.is_alive}, {(): not waits}
        found[WAITS], found[BEAT_AGE] = {(what,): 1 for what in waits}, {(): self.beat_age_s}
        for metric, read in list(self._shown.items()):
            try:
                found.setdefault(metric, {}).update(read())
            except Exception as error:
                # What is broken in a process that fails must not hide the rest of it.
                _log.warning("a metric cannot be read", metric=metric.name, error=repr(error)[:300])
        lines: list[str] = []
        for metric in sorted(found, key=lambda each: each.name):
            lines += exposition.family(metric.name, metric.kind, metric.text, _samples(metric, found[metric]))
        for metric, held in distributions.items():
            lines += [f"# HELP {metric.name} {metric.text}", f"# TYPE {metric.name} histogram"]
            for labels, each in held.items():
                lines += each.lines(metric, dict(zip(metric.labels, labels, strict=True)))
        return "\n".join(lines) + "\n" + "".join(text() for text in list(self._texts))

    def open(self) -> Self:
        """Open the endpoint where the settings ask for one (`metrics.port`). TapewatchError where the port is taken."""
        if self.settings.metrics.port and self._endpoint is None:
            self._endpoint = Endpoint(self.settings.metrics, self)
        return self

    @property
    def port(self) -> int:
        """Where the endpoint listens; 0 where there is none."""
        return self._endpoint.port if self._endpoint is not None else 0

    def close(self) -> None:
        """Close the endpoint, and send the spans that are left."""
        if self.tracer is not None:
            self.tracer.close()
        if self._endpoint is not None:
            self._endpoint.close()
            self._endpoint = None

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _attribute(counts: object, name: str) -> Readings:
    return {(): getattr(counts, name)}


def _check(metric: Metric, labels: tuple[str, ...]) -> None:
    if len(labels) != len(metric.labels):
        raise ValueError(f"{metric.name} has the labels {metric.labels}, not {labels}")


def _samples(metric: Metric, values: Readings) -> Iterable[exposition.Sample]:
    return [(dict(zip(metric.labels, labels, strict=True)), value) for labels, value in values.items()]
