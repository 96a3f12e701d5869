"""Alerts in Elasticsearch: read in a stream, repaired by the sink's own bulk requests."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from sinks.elasticsearch import mappings
from sinks.elasticsearch.bulk import Bulk
from sinks.elasticsearch.bulk_items import alert_item
from sinks.elasticsearch.client import connect
from sinks.elasticsearch.item import Item, encode
from sinks.elasticsearch.positions import next_offsets
from sinks.reconcile import hashes
from sinks.reconcile.ledger import ELASTICSEARCH, AlertVersion
from tapewatch.contract import messages, topics
from tapewatch.contract.messages import Alert
from tapewatch.rfc3339 import to_rfc3339
from tapewatch.settings import Settings

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

_AT_ONCE = 1000


class ElasticsearchAlerts:
    """One store of alerts."""

    name = ELASTICSEARCH

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: Elasticsearch = connect(settings)
        self._prefix, self._most = settings.elasticsearch.prefix, settings.elasticsearch.bulk_bytes
        self._alias = f"{self._prefix}-{mappings.ALERTS}"

    def reached(self) -> dict[int, int] | None:
        """How far the sink has come: next offset by partition of the topic; None where it never ran."""
        alerts = next_offsets(self._settings, "urgent", topics.ALERTS.__eq__)
        if not any(alerts.values()) and not any(next_offsets(self._settings, "data", topics.COMMITS.__eq__).values()):
            return None
        return {partition: offset for (_, partition), offset in alerts.items()}

    def read(self, since_ns: int, until_ns: int) -> Iterator[AlertVersion]:
        """Alerts decided in a stretch of time, and documents without a sound time, in no order."""
        self._client.indices.refresh(index=self._alias)
        view = self._client.open_point_in_time(index=self._alias, keep_alive="2m")["id"]
        inside = {"range": {"@timestamp": {"gte": to_rfc3339(since_ns), "lt": to_rfc3339(until_ns)}}}
        untimed = {"bool": {"must_not": {"exists": {"field": "@timestamp"}}}}
        query = {"bool": {"should": [inside, untimed], "minimum_should_match": 1}}
        after: list[Any] | None = None
        try:
            while True:
                found = self._client.search(
                    pit={"id": view, "keep_alive": "2m"},
                    query=query,
                    size=_AT_ONCE,
                    sort=["_shard_doc"],
                    search_after=after,
                    track_total_hits=False,
                    # A shard that does not answer has not lost its documents.
                    allow_partial_search_results=False,
                )["hits"]["hits"]
                if not found:
                    return
                after = found[-1]["sort"]
                yield from (
                    AlertVersion(hit["_id"], _revision(hit["_source"]), hashes.of_document(hit["_source"]))
                    for hit in found
                )
        finally:
            self._client.options(ignore_status=404).close_point_in_time(id=view)

    def write(self, records: Sequence[tuple[tuple[str, int, int], bytes]]) -> None:
        """Bring alerts to what these records say; one that the sink changes meanwhile is left to it."""
        items = [alert_item(self._prefix, messages.decode(Alert, value), origin, value) for origin, value in records]
        ids = [messages.decode(Alert, value).id for _, value in records]
        there = self._client.mget(index=self._alias, ids=ids, source=False)["docs"]
        self._send([_replacing(item, self._alias, found) for item, found in zip(items, there, strict=True)])
        # A document deleted by hand leaves its version behind for a minute, above the one that we ask for.
        left = self._client.mget(index=self._alias, ids=ids, source=False)["docs"]
        self._send(
            [_creating(item, self._alias, found) for item, found in zip(items, left, strict=True) if not found["found"]]
        )

    def _send(self, items: list[Item]) -> None:
        """Settle items."""
        if items:
            Bulk(self._client, self._most, lambda _: None).send(items, threading.Event())

    def delete(self, ids: Sequence[str]) -> None:
        """Take away documents that the topic does not know."""
        for id_ in ids:
            self._client.options(ignore_status=404).delete(index=self._alias, id=id_)
        self._client.indices.refresh(index=self._alias)

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()


def _revision(source: Any) -> int:
    """The revision that a document says; -1 for none."""
    try:
        return int(source["tapewatch"]["alert"]["revision"])
    except (KeyError, TypeError, ValueError):
        return -1


def _replacing(item: Item, alias: str, found: Any) -> Item:
    """An item that replaces the document as it was seen; as the sink sends it where there is none."""
    if not found.get("found"):
        return item
    seen = {"if_seq_no": found["_seq_no"], "if_primary_term": found["_primary_term"]}
    line = encode({"index": {"_index": alias, "_id": found["_id"], **seen}})
    return Item(item.kind, line, item.source, item.origin, item.letter)


def _creating(item: Item, alias: str, found: Any) -> Item:
    """An item that makes a document where there is none, whatever version was there."""
    line = encode({"create": {"_index": alias, "_id": found["_id"]}})
    return Item(item.kind, line, item.source, item.origin, item.letter)
