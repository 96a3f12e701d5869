"""Spans of deliveries: one for each alert of a message and each attempt; the receiver is told which, and may go on."""

import msgspec

from sinks.notify.outcome import Outcome
from tapewatch import tracing
from tapewatch.clock import WALL
from tapewatch.tracing import AlertIdentity, Step, Tracer


class _Data(msgspec.Struct, frozen=True):
    """The data of a message: an alert, or several in a digest."""

    id: str = ""
    revision: int = 0
    scenario: str = ""
    instrument: str = ""
    alerts: list[AlertIdentity] = []


class _Body(msgspec.Struct, frozen=True):
    """A message's body."""

    type: str
    data: _Data


def alerts_of(body: bytes) -> list[AlertIdentity]:
    """The alerts that a message tells of; none where it is about something else, such as a canary."""
    try:
        found = msgspec.json.decode(body, type=_Body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return []
    if not found.type.startswith("alert"):
        return []
    data = found.data
    return data.alerts or ([AlertIdentity(data.id, data.revision, data.scenario, data.instrument)] if data.id else [])


def header(body: bytes, message_id: str, begun_ns: int) -> dict[str, str]:
    """The W3C header of an attempt, of the first alert's trace; empty where the message is of none."""
    alerts = alerts_of(body)
    if not alerts:
        return {}
    first = alerts[0]
    attempt = _attempt(message_id, begun_ns)
    return {"traceparent": tracing.traceparent(first.id, first.revision, tracing.WEBHOOK, attempt)}


def attempted(tracer: Tracer, body: bytes, message_id: str, begun_ns: int, outcome: Outcome) -> None:
    """Send the spans of an attempt that is over."""
    done = WALL.now()
    for alert in alerts_of(body):
        told: dict[str, str | int] = {"tapewatch.message": message_id, "http.response.status_code": outcome.status}
        tracer.send(
            Step(
                tracing.WEBHOOK,
                alert.id,
                alert.revision,
                begun_ns,
                done,
                "CLIENT",
                alert.attributes | told,
                _attempt(message_id, begun_ns),
                outcome.error,
            )
        )


def _attempt(message_id: str, begun_ns: int) -> str:
    """What tells attempts apart."""
    return f"{message_id} {begun_ns}"
