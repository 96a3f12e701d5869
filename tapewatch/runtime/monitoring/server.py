"""The endpoint: /metrics, /livez and /readyz over HTTP from a daemon thread, on the standard library alone."""

import argparse
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar, Protocol

import msgspec

from tapewatch import logs
from tapewatch.errors import TapewatchError
from tapewatch.runtime.exposition import CONTENT_TYPE
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
