"""Messages as documents: ECS names where ECS has one, the market's own under `tapewatch`."""

from typing import Any

from tapewatch.contract import messages
from tapewatch.rfc3339 import from_rfc3339
from tapewatch.settings.canaries import PREFIX, is_canary

ECS_VERSION = "8.17.0"
SEVERITY = {"low": 25, "medium": 50, "high": 75, "critical": 100}
Document = dict[str, Any]
CANARY = "canary"
"""The tag of what is said of canaries, so that queues and counts can leave it out."""


def base(kind: str, dataset: str, ts: str, instrument: str) -> Document:
    """What every document has. kind : ECS event.kind; ts : RFC 3339"""
    symbol, _, venue = instrument.rpartition(".")
    tags = {"tags": [CANARY]} if is_canary((PREFIX,), instrument) else {}
    return {
        **tags,
        "@timestamp": ts,
        "ecs": {"version": ECS_VERSION},
        "event": {"kind": kind, "module": "tapewatch", "dataset": f"tapewatch.{dataset}"},
        "tapewatch": {"instrument": instrument, "symbol": symbol, "venue": venue},
    }


def alert(message: messages.Alert) -> Document:
    """An alert at one revision."""
    said, origin = base("alert", "alerts", message.decided, message.instrument), message.provenance
    said["event"] |= {
        "id": message.id,
        "action": message.state,
        "created": message.decided,
        "start": message.onset,
        "risk_score": message.score,
        "severity": SEVERITY[message.severity],
    }
    if message.state == "closed":
        said["event"]["end"] = message.updated
    said["message"] = message.sentence
    said["rule"] = {
        "id": message.scenario,
        "name": message.scenario,
        "version": origin.configuration,
        "ruleset": message.data_tier,
    }
    said["observer"] = {
        "vendor": "tapewatch",
        "product": "tapewatch",
        "type": "market-surveillance",
        "name": f"{origin.topic}-{origin.partition}",
        "version": origin.build,
    }
    said["tapewatch"]["alert"] = {
        "version": message.version,
        "revision": message.revision,
        "state": message.state,
        "severity": message.severity,
        "probability": message.probability,
        "data_tier": message.data_tier,
        "updated": message.updated,
        "evidence": message.evidence,
        "provenance": origin,
    }
    return said


def case(message: messages.Case) -> Document:
    """A case at one revision."""
    said = base("event", "cases", message.updated, message.instrument)
    said["event"] |= {"id": message.id, "action": message.state, "created": message.opened, "start": message.opened}
    said["event"]["risk_score"] = message.risk
    if message.state == "closed":
        said["event"]["end"] = message.updated
    if message.owner:
        said["user"] = {"name": message.owner}
    alerts = [{name: value for name, value in _plain(each).items() if value != ""} for each in message.alerts]
    said["tapewatch"]["case"] = {
        "revision": message.revision,
        "state": message.state,
        "open": message.state != "closed",
        "disposition": message.disposition,
        "owner": message.owner,
        "neighbourhood": message.neighbourhood,
        "instruments": message.instruments,
        "opened": message.opened,
        "updated": message.updated,
        "priority": message.priority,
        "risk": message.risk,
        "alert_count": len(message.alerts),
        "alerts": alerts,
        "history": message.history,
        "closing": message.closing,
    }
    return said


def signal(message: messages.Signal) -> Document:
    """An action of a policy."""
    said = base("event", "signals", message.ts, message.instrument)
    said["event"] |= {"id": message.id, "action": message.action}
    names = ("policy", "model", "action", "advantage", "price", "size", "position", "q_values", "build")
    said["tapewatch"]["signal"] = _picked(message, names)
    return said


def prediction(message: messages.Prediction) -> Document:
    """A forecast."""
    said = base("event", "predictions", message.as_of, message.instrument)
    said["event"]["id"] = message.id
    names = ("horizon", "target", "name", "model", "reference", "value", "classes", "build")
    said["tapewatch"]["prediction"] = _picked(message, names)
    return said


def position(message: messages.Position) -> Document:
    """The paper account of one instrument."""
    said = base("metric", "positions", message.ts, message.instrument)
    names = ("mode", "currency", "cost", "cash", "realised", "unrealised", "fees", "taxes", "result")
    said["tapewatch"]["position"] = {**_picked(message, names), "quantity": message.position}
    return said


def commit(message: messages.Commit, at: str, appended_ns: int) -> Document:
    """What one transaction of the engine did. at : when it was written; appended_ns : the same, for the lag"""
    said = base("metric", "health", at, "")
    del said["tapewatch"]
    names = (
        "topic",
        "partition",
        "first_offset",
        "next_offset",
        "frames",
        "duplicates",
        "features",
        "scores",
        "alerts",
    )
    health = _picked(message, (*names, "signals", "instance", "build", "configuration"))
    health |= {"rows": sum(message.rows.values()), "refused": sum(message.refused.values()), "reasons": message.refused}
    if message.clock is not None:
        health["lag_ms"] = (appended_ns - from_rfc3339(message.clock)) // 1_000_000
    said["tapewatch"] = {"health": health}
    return said


def canary(message: messages.Canary) -> Document:
    """How a canary fared, at one revision. found : 1 in time, 0 not, nothing before it is judged"""
    said = base("metric", "canaries", message.start, message.instrument)
    said["event"] |= {"id": message.id, "start": message.start}
    names = ("id", "state", "feed", "scenario", "alert", "absent", "partition", "in_a_row", "strength", "decision_s")
    fared = {**_picked(message, names), "due": message.due, "stage_s": dict(message.stages.items())}
    if message.state != "injected":
        fared["found"] = 1.0 if message.state == "found" else 0.0
    said["tapewatch"]["canary"] = fared
    return said


def _picked(message: messages.Message, names: tuple[str, ...]) -> Document:
    """Some fields of a message."""
    return {name: getattr(message, name) for name in names}


def _plain(part: messages.CaseAlert) -> Document:
    """All fields of a part."""
    return {name: getattr(part, name) for name in part.__struct_fields__}
