"""Prometheus' text format, and the little server that shows it on this machine."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tapewatch.errors import TapewatchError

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
LOOPBACK = "127.0.0.1"

Sample = tuple[Mapping[str, str], float]


def family(name: str, kind: str, text: str, samples: Iterable[Sample]) -> list[str]:
    """The lines of a metric: help, type (counter, gauge) and its samples; none where there is no sample."""
    lines = [sample_line(name, labels, value) for labels, value in samples]
    return [f"# HELP {name} {text}", f"# TYPE {name} {kind}", *lines] if lines else []


def sample_line(name: str, labels: Mapping[str, str], value: float) -> str:
    """One sample; label values are escaped."""
    inner = ",".join(f'{label}="{escaped(text)}"' for label, text in labels.items())
    number = str(int(value)) if float(value).is_integer() and abs(value) < 2**53 else repr(float(value))
    return f"{name}{{{inner}}} {number}" if inner else f"{name} {number}"


def escaped(text: str) -> str:
    """A label's value as the format wants it: backslash, quote and line end escaped, lone surrogates replaced."""
    plain = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return plain.encode("utf-8", "replace").decode()


class MetricsServer:
    """Shows metrics at http://127.0.0.1:PORT/metrics. text : what to show, called in a thread; port : 0 takes any"""

    def __init__(self, port: int, text: Callable[[], str]) -> None:
        self.port = port
        self._text = text
        self._runner: Any = None

    async def start(self) -> None:
        """Listen; TapewatchError where the port is taken or aiohttp is not installed."""
        try:
            from aiohttp import web
        except ImportError as error:
            raise TapewatchError(
                "showing metrics needs aiohttp", "Install the extra: pip install 'tapewatch[live]'."
            ) from error

        async def metrics(_: web.Request) -> web.Response:
            body = (await asyncio.to_thread(self._text)).encode()
            return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})

        app = web.Application()
        app.router.add_get("/metrics", metrics)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, LOOPBACK, self.port).start()
        except OSError as error:
            await self.stop()
            raise TapewatchError(
                f"cannot listen on {LOOPBACK}:{self.port}: {error.strerror}", "Choose another port for the metrics."
            ) from error
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """End listening."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
