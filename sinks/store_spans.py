"""Spans of stores: one for each alert's revision that was written, from when its record was read to the commit."""

from collections.abc import Iterable

import msgspec

from tapewatch.clock import WALL
from tapewatch.runtime.tracing import AlertIdentity, Step, Tracer


def stored(tracer: Tracer, name: str, alerts: Iterable[bytes], took_ns: int) -> None:
    """Name : of the store's span, which ends now; alerts : JSON; what is none was refused, and is no span"""
    done = WALL.now()
    for value in alerts:
        try:
            alert = msgspec.json.decode(value, type=AlertIdentity)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        tracer.send(Step(name, alert.id, alert.revision, done - took_ns, done, "CONSUMER", alert.attributes))
