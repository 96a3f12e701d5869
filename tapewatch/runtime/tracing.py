"""OpenTelemetry traces of alerts: from the frame that caused one to the webhook that told of it. Off by default.

Nothing carries a trace between processes: its id and its spans' ids are hashes of the alert's id, so that each process
sends its own spans, and outputs stay the bytes that the log gives. A process that was killed sends a span once more
under the same id.
"""

import hashlib
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from tapewatch import __version__, logs
from tapewatch.errors import TapewatchError
from tapewatch.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.trace import SpanContext

FRAME, ENGINE, POSTGRES, ELASTICSEARCH, WEBHOOK = "frame", "engine", "postgres", "elasticsearch", "webhook"
PARENTS = {ENGINE: FRAME, POSTGRES: ENGINE, ELASTICSEARCH: ENGINE, WEBHOOK: ENGINE}
"""Span -> the span that caused it; a frame begins the trace."""
CLOSE_S = 5.0
"""Longest wait for a collector at the end, s."""

Kind = Literal["INTERNAL", "PRODUCER", "CONSUMER", "CLIENT"]
_log = logs.get("tracing")


def trace_id(alert: str) -> int:
    """The trace of an alert and all its revisions: the first 16 bytes of the sha256 of its id."""
    return int.from_bytes(hashlib.sha256(alert.encode()).digest()[:16], "big")


def span_id(alert: str, revision: int, name: str, more: str = "") -> int:
    """A span of one revision. more : tells spans of one name apart, such as attempts at one delivery"""
    said = f"{alert}\0{revision}\0{name}\0{more}".encode()
    return int.from_bytes(hashlib.sha256(said).digest()[:8], "big") or 1


def traceparent(alert: str, revision: int, name: str, more: str = "") -> str:
    """A span as the W3C header names it, for whoever goes on from it."""
    return f"00-{trace_id(alert):032x}-{span_id(alert, revision, name, more):016x}-01"


class Step(msgspec.Struct, frozen=True):
    """A span. start_ns, end_ns : UTC; more : see `span_id`; problem : why it failed, empty where it did not"""

    name: str
    alert: str
    revision: int
    start_ns: int
    end_ns: int
    kind: Kind = "INTERNAL"
    attributes: Mapping[str, str | int] = {}
    more: str = ""
    problem: str = ""


class AlertIdentity(msgspec.Struct, frozen=True):
    """What a span needs of an alert's JSON."""

    id: str
    revision: int
    scenario: str = ""
    instrument: str = ""

    @property
    def attributes(self) -> dict[str, str | int]:
        """As every span of it says."""
        return {
            "tapewatch.alert": self.id,
            "tapewatch.revision": self.revision,
            "tapewatch.scenario": self.scenario,
            "tapewatch.instrument": self.instrument,
        }


class Tracer:
    """Sends spans to a collector, in a thread of its own; a collector that is away costs nothing but the spans.

    service : of this process; TapewatchError where OpenTelemetry is not installed or the headers' file is not readable
    """

    def __init__(self, service: str, settings: Settings) -> None:
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError as error:
            raise TapewatchError(
                "tracing.endpoint is set, and OpenTelemetry is not installed",
                "Run `pip install 'tapewatch[otel]'`, or take the setting away.",
            ) from error
        chosen = settings.tracing
        exporter = OTLPSpanExporter(endpoint=chosen.endpoint, headers=_headers(chosen.headers_file))
        self._processor = BatchSpanProcessor(exporter)
        self._service, self._instance = service, settings.engine.instance
        self._resources: dict[str, Resource] = {}

    def send(self, step: Step, service: str = "") -> None:
        """Queue a span. service : whose it is, where not this process's"""
        from opentelemetry.sdk.trace import ReadableSpan
        from opentelemetry.trace import SpanKind, Status, StatusCode

        above = PARENTS.get(step.name)
        span = ReadableSpan(
            name=step.name,
            context=_context(step.alert, step.revision, step.name, step.more),
            parent=_context(step.alert, step.revision, above) if above else None,
            resource=self._resource(service or self._service),
            attributes=step.attributes,
            kind=SpanKind[step.kind],
            status=Status(StatusCode.ERROR, step.problem) if step.problem else Status(StatusCode.UNSET),
            start_time=step.start_ns,
            end_time=max(step.end_ns, step.start_ns),
        )
        self._processor.on_end(span)

    def close(self) -> None:
        """Send what is queued, for CLOSE_S at most."""
        ending = threading.Thread(target=self._processor.shutdown, name="traces", daemon=True)
        ending.start()
        ending.join(CLOSE_S)
        if ending.is_alive():
            _log.warning("the traces' collector does not take the last spans")

    def _resource(self, service: str) -> "Resource":
        """What is said of a process beside its spans."""
        from opentelemetry.sdk.resources import Resource

        if service not in self._resources:
            told: dict[str, Any] = {"service.namespace": "tapewatch", "service.name": f"tapewatch-{service}"}
            if self._instance and service == "engine":
                told["service.instance.id"] = self._instance
            self._resources[service] = Resource(told | {"service.version": __version__})
        return self._resources[service]


def tracer(service: str, settings: Settings) -> Tracer | None:
    """None where no collector is named: then nothing is imported, made or asked."""
    return Tracer(service.replace("_", "-"), settings) if settings.tracing.endpoint else None


def _context(alert: str, revision: int, name: str, more: str = "") -> "SpanContext":
    from opentelemetry.trace import SpanContext, TraceFlags

    return SpanContext(
        trace_id(alert), span_id(alert, revision, name, more), is_remote=False, trace_flags=TraceFlags(1)
    )


def _headers(file: str) -> dict[str, str]:
    """Lines `name: value` of a file."""
    if not file:
        return {}
    try:
        lines = Path(file).expanduser().read_text().splitlines()
    except OSError as error:
        raise TapewatchError(f"tracing.headers_file {file}: {error.strerror}", "Name a readable file.") from error
    pairs = (line.partition(":") for line in lines if line.strip())
    return {name.strip().lower(): value.strip() for name, _, value in pairs}
