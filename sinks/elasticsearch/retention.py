"""Daily indices that are older than the retention, for servers without lifecycle management."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sinks.elasticsearch import mappings
from tapewatch.clock import NANOS

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

DAY = 86_400 * NANOS


@dataclass(frozen=True, slots=True)
class OldIndex:
    """An index past its time. created_ns : UTC nanoseconds"""

    name: str
    created_ns: int


def old_indices(client: Elasticsearch, prefix: str, before_ns: int) -> list[OldIndex]:
    """Daily indices that were made before a time, oldest first; as lifecycle management counts, from their making."""
    found = []
    for kind in mappings.DAILY:
        answer = client.indices.get_settings(
            index=mappings.pattern(prefix, kind), name="index.creation_date", flat_settings=True
        )
        for name, each in answer.items():
            created_ns = int(each["settings"]["index.creation_date"]) * 1_000_000
            if created_ns < before_ns:
                found.append(OldIndex(name, created_ns))
    return sorted(found, key=lambda index: (index.created_ns, index.name))


def delete(client: Elasticsearch, indices: list[OldIndex]) -> Iterator[OldIndex]:
    """Delete them one by one; each is given when it is gone."""
    for index in indices:
        client.options(ignore_status=404).indices.delete(index=index.name)
        yield index
