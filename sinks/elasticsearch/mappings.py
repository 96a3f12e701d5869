"""What the indices look like: their names, and their mappings as versioned component and index templates.

A change of mappings is additive and raises VERSION; the sink then brings existing indices along.
"""

from typing import Any

VERSION = 2

ALERTS, CASES = "alerts", "cases"
BARS, FEATURES, SCORES, BOOKS = "bars", "features", "scores", "books"
SIGNALS, PREDICTIONS, POSITIONS, HEALTH = "signals", "predictions", "positions", "health"
LASTING = (ALERTS, CASES)
"""One index each behind an alias, kept for ever."""

DAILY = (BARS, FEATURES, SCORES, BOOKS, SIGNALS, PREDICTIONS, POSITIONS, HEALTH)
"""One index a day each."""

# A longer text is kept in the document and not indexed, so that it cannot make the server refuse the whole.
KEYWORD: dict[str, Any] = {"type": "keyword", "ignore_above": 1024}
DATE: dict[str, Any] = {"type": "date"}
FLOAT: dict[str, Any] = {"type": "float"}
DOUBLE: dict[str, Any] = {"type": "double"}
LONG: dict[str, Any] = {"type": "long"}
TEXT: dict[str, Any] = {"type": "text", "fields": {"keyword": KEYWORD}}
FLATTENED: dict[str, Any] = {"type": "flattened", "ignore_above": 1024}
KEPT: dict[str, Any] = {"type": "object", "enabled": False}
"""In the document, not searchable."""


def fields(**named: Any) -> dict[str, Any]:
    """An object of these fields."""
    return {"properties": named}


def _all(kind: dict[str, Any], *names: str) -> dict[str, Any]:
    """Several fields of one type."""
    return dict.fromkeys(names, kind)


COMMON: dict[str, Any] = {
    "@timestamp": DATE,
    "message": TEXT,
    "tags": KEYWORD,
    "ecs": fields(version=KEYWORD),
    "event": fields(
        **_all(KEYWORD, "kind", "id", "dataset", "module", "action", "outcome"),
        **_all(DATE, "created", "start", "end"),
        risk_score=FLOAT,
        severity=LONG,
    ),
    "rule": fields(**_all(KEYWORD, "id", "name", "version", "ruleset")),
    "observer": fields(**_all(KEYWORD, "vendor", "product", "type", "name", "version")),
    "user": fields(name=KEYWORD),
}
"""Fields by the Elastic Common Schema."""

_PROVENANCE = fields(
    **_all(KEYWORD, "topic", "configuration", "build"),
    **_all(LONG, "partition", "onset_offset", "decided_offset", "updated_offset"),
    models=FLATTENED,
)
_EVIDENCE = {"type": "nested", **fields(**_all(KEYWORD, "feature", "relation", "unit"), value=DOUBLE, threshold=DOUBLE)}
_CASE_ALERT = fields(
    **_all(KEYWORD, "id", "scenario", "instrument", "severity", "state", "inhibited"),
    revision=LONG,
    score=FLOAT,
    onset=DATE,
)

OWN: dict[str, dict[str, Any]] = {
    ALERTS: {
        "alert": fields(
            **_all(KEYWORD, "state", "severity", "data_tier", "version"),
            revision=LONG,
            probability=FLOAT,
            updated=DATE,
            evidence=_EVIDENCE,
            provenance=_PROVENANCE,
        )
    },
    CASES: {
        "case": fields(
            **_all(KEYWORD, "state", "disposition", "owner", "neighbourhood", "instruments"),
            **_all(DATE, "opened", "updated"),
            **_all(LONG, "revision", "priority", "alert_count"),
            open={"type": "boolean"},
            risk=FLOAT,
            alerts=_CASE_ALERT,
            history=KEPT,
            closing=KEPT,
        )
    },
    BARS: {"bar": fields(**_all(DOUBLE, "open", "high", "low", "close", "volume", "trades", "buys", "sells"))},
    FEATURES: {"feature": {"dynamic": "true", "properties": {}}},
    SCORES: {"score": fields(detector=KEYWORD, version=KEYWORD, raw=FLOAT, probability=FLOAT)},
    BOOKS: {
        "book": fields(
            **_all(DOUBLE, "bid_price", "bid_qty", "ask_price", "ask_qty", "best_bid", "best_ask", "mid", "spread"),
            imbalance=FLOAT,
        )
    },
    SIGNALS: {
        "signal": fields(
            **_all(KEYWORD, "policy", "model", "action", "build"),
            **_all(DOUBLE, "advantage", "price", "size", "position"),
            q_values=KEPT,
        )
    },
    PREDICTIONS: {
        "prediction": fields(
            **_all(KEYWORD, "horizon", "target", "name", "model", "build"),
            reference=DOUBLE,
            value=DOUBLE,
            classes=FLATTENED,
        )
    },
    POSITIONS: {
        "position": fields(
            **_all(KEYWORD, "mode", "currency"),
            **_all(DOUBLE, "quantity", "cost", "cash", "realised", "unrealised", "fees", "taxes", "result"),
        )
    },
    HEALTH: {
        "health": fields(
            **_all(KEYWORD, "topic", "instance", "build", "configuration"),
            **_all(LONG, "partition", "first_offset", "next_offset", "frames", "rows", "refused", "duplicates"),
            **_all(LONG, "features", "scores", "alerts", "signals", "lag_ms"),
            reasons=FLATTENED,
        ),
        "canary": fields(
            **_all(KEYWORD, "id", "state", "feed", "scenario", "alert", "absent"),
            **_all(LONG, "partition", "in_a_row"),
            **_all(DOUBLE, "strength", "decision_s", "found"),
            stage_s=fields(**_all(DOUBLE, "topic", "postgres", "elasticsearch")),
            due=DATE,
        ),
    },
}
"""Under `tapewatch.`, beside the instrument, by kind of index."""

REFRESH = {ALERTS: "500ms", CASES: "500ms"}
"""How long a document may stay out of searches; `DAILY_REFRESH` elsewhere."""

DAILY_REFRESH = "5s"


def pattern(prefix: str, kind: str) -> str:
    """The indices of a kind, a wildcard."""
    return f"{prefix}-{kind}-*"


def component(prefix: str) -> tuple[str, dict[str, Any]]:
    """Name and body of the component template that all indices share."""
    mappings = {
        # A name that nobody mapped is kept in the document and does not grow the mapping.
        "dynamic": "false",
        "dynamic_templates": [{"features": {"path_match": "tapewatch.feature.*", "mapping": FLOAT}}],
        "properties": {**COMMON, "tapewatch": {"properties": _all(KEYWORD, "instrument", "symbol", "venue")}},
    }
    settings = {"index": {"number_of_shards": 1, "auto_expand_replicas": "0-1"}}
    return f"{prefix}-common", {"template": {"settings": settings, "mappings": mappings}, "version": VERSION}


def template(prefix: str, kind: str, policy: str) -> tuple[str, dict[str, Any]]:
    """Name and body of a kind's index template. policy : of index lifecycle management; empty for none"""
    index: dict[str, Any] = {"refresh_interval": REFRESH.get(kind, DAILY_REFRESH)}
    if policy and kind in DAILY:
        index["lifecycle"] = {"name": policy}
    body = {
        "index_patterns": [pattern(prefix, kind)],
        "composed_of": [component(prefix)[0]],
        "priority": 300,
        "version": VERSION,
        "_meta": {"managed_by": "tapewatch"},
        "template": {"settings": {"index": index}, "mappings": properties(kind)},
    }
    return f"{prefix}-{kind}", body


def properties(kind: str) -> dict[str, Any]:
    """What a kind adds to the common mappings."""
    return {"properties": {"tapewatch": {"properties": OWN[kind]}}}


def lasting_index(prefix: str, kind: str) -> str:
    """The first index behind an alias."""
    return f"{prefix}-{kind}-000001"
