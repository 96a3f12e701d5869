"""Mail and chat through apprise: what a message says in words, and its sending in a guarded thread.

Connections of a library that opens its own: refused where they lead into the operator's network.

The interpreter tells an audit hook of every connection with the address in numbers, after names were resolved: so what
is judged is what is connected to. The hook acts only in threads that have asked for it.
"""

import asyncio
import logging
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import msgspec

from sinks.notify.outcome import Outcome
from tapewatch.errors import TapewatchError
from tapewatch.security.networks import AllowedAddresses

_local = threading.local()
_installing = threading.Lock()
_installed = False


class RefusedConnectionError(ConnectionRefusedError):
    """A connection into the operator's network."""


@contextmanager
def guarded(reach: AllowedAddresses) -> Iterator[None]:
    """Within the block, this thread connects only to what `reach` allows; RefusedConnectionError else."""
    _install()
    _local.reach = reach
    try:
        yield
    finally:
        _local.reach = None


def _install() -> None:
    """Install the hook, once for the process: hooks cannot be taken away."""
    global _installed
    with _installing:
        if not _installed:
            sys.addaudithook(_hook)
            _installed = True


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    """Judge a connection."""
    if event != "socket.connect":
        return
    reach: AllowedAddresses | None = getattr(_local, "reach", None)
    if reach is None:
        return
    address = arguments[1]
    if not isinstance(address, tuple):
        raise RefusedConnectionError("only connections over the network")
    if why := reach.refusal(str(address[0])):
        raise RefusedConnectionError(why)


THREADS = 64
LINES = 40
"""Alerts that a digest names in words."""


class Chat:
    """Sends to mail and chat services, one thread a message under way."""

    def __init__(self, reach: AllowedAddresses) -> None:
        self._reach = reach
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="chat")

    def close(self) -> None:
        """Take no more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def deliver(self, address: str, body: bytes) -> Outcome:
        """One attempt; never an exception. address : apprise URL; body : the message as webhooks get it"""
        title, text = words(body)
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._send, address, title, text)

    def _send(self, address: str, title: str, text: str) -> Outcome:
        try:
            plugin = instantiated(address)
        except TapewatchError as error:
            return Outcome(0, error.message)
        with _told() as said, guarded(self._reach):
            try:
                taken = bool(plugin.notify(title=title, body=text))
            except Exception as error:
                return Outcome(0, f"{type(error).__name__} while sending")
        return Outcome() if taken else Outcome(0, f"the service did not take it: {'; '.join(said)}"[:300])


def instantiated(address: str) -> Any:
    """The apprise plug-in of an address; TapewatchError where apprise is missing or knows no such address."""
    try:
        import apprise
    except ImportError as error:
        raise TapewatchError("mail and chat need apprise", "Install the extra: pip install 'tapewatch[notify]'.") from (
            error
        )
    plugin = apprise.Apprise.instantiate(address, suppress_exceptions=True)
    if plugin is None:
        raise TapewatchError("apprise cannot read the address", "See https://appriseit.com/services/ for its form.")
    return plugin


@contextmanager
def _told() -> Iterator[list[str]]:
    """What apprise warns of in this thread. Its messages name no credentials, and its own log stays silent."""
    import threading

    said: list[str] = []
    mine = threading.get_ident()

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.thread == mine and record.levelno >= logging.WARNING:
                said.append(record.getMessage()[:150])

    logger, listener = logging.getLogger("apprise"), Listener()
    logger.addHandler(listener)
    logger.propagate = False
    try:
        yield said
    finally:
        logger.removeHandler(listener)


def words(body: bytes) -> tuple[str, str]:
    """Title and text of a message for people. body : {type, timestamp, data}"""
    message = msgspec.json.decode(body)
    kind, data = str(message["type"]), message["data"]
    if kind.startswith("alerts."):
        named = [_line(alert) for alert in data["alerts"][:LINES]]
        more = data["count"] - len(named)
        severities = ", ".join(f"{count} {severity}" for severity, count in sorted(data["by_severity"].items()))
        title = f"tapewatch: {data['count']} alerts ({severities})"
        return title, "\n".join(named + ([f"and {more} more"] if more > 0 else []))
    if kind.startswith("alert."):
        title = f"{data['severity']}: {data['scenario']} on {data['instrument']} ({kind.partition('.')[2]})"
        return title, f"{data['sentence']}\nOnset {data['onset']}, score {data['score']:g}. Alert {data['id']}."
    if kind.startswith("canary."):
        return f"tapewatch: canary {kind.partition('.')[2]}", _canary_line(kind, data)
    return "tapewatch", str(data.get("message", kind))


def _canary_line(kind: str, canary: dict[str, Any]) -> str:
    """What the operator has to know of a canary."""
    what = f"{canary['scenario']} injected into {canary['feed']}[{canary['partition']}] at {canary['start']}"
    if kind == "canary.missed":
        return f"{what} was not found until {canary['due']}: {canary['in_a_row']} in a row. Is the engine at work?"
    if kind == "canary.unstored":
        return f"{what} was found, but its alert did not reach {', '.join(canary['absent'])}. Is that sink at work?"
    if kind == "canary.late":
        return f"{what} was found after it was due."
    return f"{what} was found, after {canary['in_a_row']} missed in a row."


def _line(alert: dict[str, Any]) -> str:
    told = alert.get("sentence") or alert["state"]
    return f"{alert['severity']}: {alert['scenario']} on {alert['instrument']}: {told}"
