"""One process's figures, its beat, and what it still waits for.

The endpoint: /metrics, /livez and /readyz over HTTP from a daemon thread, on the standard library alone.
"""

import argparse
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from types import TracebackType
from typing import ClassVar, Protocol, Self

import msgspec

from tapewatch import __version__, logs
from tapewatch.errors import TapewatchError
from tapewatch.runtime import exposition, tracing
from tapewatch.runtime.exposition import CONTENT_TYPE
from tapewatch.runtime.monitoring import process_figures
from tapewatch.runtime.monitoring.kafka_clients import KafkaClients
from tapewatch.runtime.monitoring.metric import Distribution, Metric, gauge
from tapewatch.settings import MetricsSettings, Settings

ANY_PORT = -1
PATIENCE_S = 10.0
"""For a request's head."""
PLAIN = "text/plain; charset=utf-8"

_log = logs.get("metrics")


class MonitoredProcess(Protocol):
    """What an endpoint shows."""

    @property
    def is_alive(self) -> bool:
        """Whether the main loop came round lately."""

    @property
    def beat_age_s(self) -> float:
        """Since it did, s."""

    @property
    def why_not_ready(self) -> dict[str, str]:
        """What the process waits for, and why."""

    def exposition(self) -> str:
        """All figures."""


class Endpoint:
    """Listens from the start on until `close`. TapewatchError where the port is taken."""

    def __init__(self, settings: MetricsSettings, watched: MonitoredProcess) -> None:
        try:
            self._server = _Server((settings.host, max(settings.port, 0)), watched)
        except OSError as error:
            raise TapewatchError(
                f"cannot listen on {settings.host}:{settings.port}: {error.strerror}",
                "Choose another port: metrics.port, or --metrics.",
            ) from error
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.1,), name="metrics", daemon=True).start()
        if settings.port == ANY_PORT:
            print(f"metrics at http://{settings.host}:{self.port}/metrics", file=sys.stderr, flush=True)

    def close(self) -> None:
        """End listening."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 32

    def __init__(self, address: tuple[str, int], watched: MonitoredProcess) -> None:
        self.watched = watched
        super().__init__(address, _RequestHandler)

    def handle_error(self, request: object, client_address: object) -> None:
        """A caller that hangs up is nobody's fault; anything else is told in the log."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            _log.warning("a look at the metrics failed", exc_info=True)


class _RequestHandler(BaseHTTPRequestHandler):
    """One connection."""

    timeout = PATIENCE_S
    server: _Server
    server_version, sys_version = "tapewatch", ""
    protocol_version = "HTTP/1.1"
    PAGES: ClassVar = ("/metrics", "/livez", "/readyz")

    def do_GET(self) -> None:
        """Answer a path; the query counts for nothing."""
        path = self.path.partition("?")[0]
        watched = self.server.watched
        if path == "/metrics":
            self._say(HTTPStatus.OK, watched.exposition(), CONTENT_TYPE)
        elif path == "/livez":
            age = f"the main loop came round {watched.beat_age_s:.1f} s ago\n"
            self._say(HTTPStatus.OK if watched.is_alive else HTTPStatus.SERVICE_UNAVAILABLE, age)
        elif path == "/readyz":
            waits = [f"waits for {what}: {why}\n" for what, why in watched.why_not_ready.items()]
            self._say(HTTPStatus.SERVICE_UNAVAILABLE if waits else HTTPStatus.OK, "".join(waits) or "ready\n")
        else:
            self._say(HTTPStatus.NOT_FOUND, "".join(f"{page}\n" for page in self.PAGES))

    do_HEAD = do_GET  # noqa: N815 - http.server's name

    def _say(self, status: HTTPStatus, text: str, kind: str = PLAIN) -> None:
        body = text.encode("utf-8", "replace")
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing: a scrape comes every few seconds."""


def add_flag(parser: argparse.ArgumentParser) -> None:
    """`--metrics PORT` for a command whose process can be watched."""
    parser.add_argument(
        "--metrics", type=int, metavar="PORT",
        help="Prometheus at 127.0.0.1:PORT/metrics, and /livez, /readyz; 0 takes a free port (default: metrics.port)",
    )  # fmt: skip


def asked(settings: Settings, port: int | None) -> Settings:
    """The settings with the flag's port where it was given. TapewatchError for what is no port."""
    if port is None:
        return settings
    if not 0 <= port <= 65_535:
        raise TapewatchError(f"--metrics: {port} is no port", "Give one from 1 to 65535, or 0 for a free one.")
    return msgspec.structs.replace(settings, metrics=msgspec.structs.replace(settings.metrics, port=port or ANY_PORT))


BUILD = gauge("tapewatch_build_info", "1; the labels say which process of which version this is.", "process", "version")
ALIVE = gauge("tapewatch_alive", "1 where the main loop came round lately (metrics.stale_s), else 0: /livez.")
READY = gauge("tapewatch_ready", "1 where the process does its work, else 0: /readyz.")
WAITS = gauge("tapewatch_waits_for", "1 for each thing that the process waits for before it is ready.", "what")
BEAT_AGE = gauge("tapewatch_beat_age_seconds", "Since the main loop last came round.")


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
