"""A collector of spans on loopback: takes OpenTelemetry's protocol over HTTP as a real one does, and keeps them."""

import gzip
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec


class CollectedSpan(msgspec.Struct, frozen=True):
    """A span as it came. trace, span, parent : hexadecimal; parent is empty for the first of a trace"""

    service: str
    name: str
    trace: str
    span: str
    parent: str
    start_ns: int
    end_ns: int
    kind: int
    failed: bool
    attributes: dict[str, str]


class Collector:
    """Answers at `url`; `spans` in the order in which they came, `headers` of each request."""

    def __init__(self) -> None:
        self.spans: list[CollectedSpan] = []
        self.headers: list[dict[str, str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                outer.headers.append({name.lower(): value for name, value in self.headers.items()})
                outer.take(body)
                self.send_response(200)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1/traces"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def take(self, body: bytes) -> None:
        """Decode a request."""
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        for group in ExportTraceServiceRequest.FromString(body).resource_spans:
            resource = {each.key: each.value.string_value for each in group.resource.attributes}
            for scope in group.scope_spans:
                for span in scope.spans:
                    told = {each.key: each.value.string_value or str(each.value.int_value) for each in span.attributes}
                    self.spans.append(
                        CollectedSpan(
                            resource["service.name"], span.name, span.trace_id.hex(), span.span_id.hex(),
                            span.parent_span_id.hex(), span.start_time_unix_nano, span.end_time_unix_nano, span.kind,
                            span.status.code == 2, told,
                        )
                    )  # fmt: skip

    def of(self, trace: int) -> list[CollectedSpan]:
        """The spans of one trace."""
        return [span for span in self.spans if span.trace == f"{trace:032x}"]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
