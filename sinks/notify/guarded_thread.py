"""Connections of a library that opens its own: refused where they lead into the operator's network.

The interpreter tells an audit hook of every connection with the address in numbers, after names were resolved: so what
is judged is what is connected to. The hook acts only in threads that have asked for it.
"""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tapewatch.networks import Reach

_local = threading.local()
_installing = threading.Lock()
_installed = False


class RefusedConnectionError(ConnectionRefusedError):
    """A connection into the operator's network."""


@contextmanager
def guarded(reach: Reach) -> Iterator[None]:
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
    reach: Reach | None = getattr(_local, "reach", None)
    if reach is None:
        return
    address = arguments[1]
    if not isinstance(address, tuple):
        raise RefusedConnectionError("only connections over the network")
    if why := reach.refusal(str(address[0])):
        raise RefusedConnectionError(why)
