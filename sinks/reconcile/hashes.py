"""What an alert says, as a hash: of the message's fields for PostgreSQL, of the whole document for Elasticsearch."""

import hashlib
from typing import Any

import msgspec

from sinks.elasticsearch import documents
from sinks.elasticsearch.item import encode
from tapewatch.contract.messages import Alert
from tapewatch.rfc3339 import from_rfc3339, to_rfc3339


def of_message(alert: Alert) -> str:
    """Of every field that a table holds; how times are written does not count."""
    times = {name: to_rfc3339(from_rfc3339(getattr(alert, name))) for name in ("onset", "decided", "updated")}
    return _hash(msgspec.structs.replace(alert, version="", **times))


def of_document(source: Any) -> str:
    """Of an Elasticsearch document as it is kept."""
    return _hash(source)


def as_document(alert: Alert) -> str:
    """Of the document that the sink makes of this alert."""
    return of_document(msgspec.json.decode(encode(documents.alert(alert))))


def _hash(value: Any) -> str:
    """Of the value as JSON with sorted keys, 32 hex digits."""
    return hashlib.sha256(msgspec.json.encode(value, order="sorted")).hexdigest()[:32]
