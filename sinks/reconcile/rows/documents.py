"""Topics and Elasticsearch side by side: every document but alerts, which `reconcile` compares by itself.

1. How far each lane of the sink has come is asked first, then the documents are read in one view a kind, then the
   topics up to their ends. What lies in the topics before the first answer must be there; what lies behind it may be.
2. What must lie there is made by the sink's own code.

What topics and Elasticsearch say of each document, side by side on disk.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from sinks.elasticsearch import mappings
from sinks.elasticsearch.bulk_items import DATA, Intake
from sinks.elasticsearch.client import connect
from sinks.elasticsearch.item import Item
from sinks.elasticsearch.positions import next_offsets
from sinks.log_reader import Log
from sinks.reconcile import hashes
from sinks.reconcile.ledger import ELASTICSEARCH, refused_records
from sinks.reconcile.rows.report import NOWHERE, PLACES, RowPlace, RowTable
from sinks.reconcile.rows.topics_side import log_consumer
from tapewatch.contract import topics
from tapewatch.errors import TapewatchError
from tapewatch.market_log import dead_letters
from tapewatch.market_log.registry import Registry
from tapewatch.runtime import kafka
from tapewatch.settings import Settings

_MAKE = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE said (key TEXT PRIMARY KEY, kind TEXT, hash TEXT, version INTEGER, origin TEXT) WITHOUT ROWID;
CREATE TABLE later (key TEXT, kind TEXT, hash TEXT, PRIMARY KEY (key, hash)) WITHOUT ROWID;
CREATE TABLE kept (key TEXT, kind TEXT, hash TEXT);
CREATE TABLE buried (origin TEXT PRIMARY KEY) WITHOUT ROWID;
"""
_SAID = """
INSERT INTO said VALUES (?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET hash = excluded.hash,
    version = excluded.version, origin = excluded.origin WHERE excluded.version >= said.version
"""
_FIRST = "INSERT OR IGNORE INTO said VALUES (?, ?, ?, ?, ?)"
_LATER = "INSERT OR IGNORE INTO later VALUES (?, ?, ?)"
_LOST = """
SELECT s.key, 1, 0 FROM said s WHERE s.kind = ? AND NOT EXISTS (SELECT 1 FROM kept k WHERE k.key = s.key)
    AND NOT EXISTS (SELECT 1 FROM buried b WHERE b.origin = s.origin) ORDER BY s.key
"""
_DOUBLED = """
SELECT k.key, s.key IS NOT NULL OR l.key IS NOT NULL AS known, count(*) FROM kept k LEFT JOIN said s ON s.key = k.key
LEFT JOIN (SELECT DISTINCT key FROM later WHERE kind = ?) l ON l.key = k.key
WHERE k.kind = ? GROUP BY k.key HAVING count(*) > 1 OR NOT known ORDER BY k.key
"""
_DIFFERENT = """
SELECT s.key, 1, 1 FROM said s JOIN kept k ON k.key = s.key WHERE s.kind = ? AND k.hash <> s.hash
    AND NOT EXISTS (SELECT 1 FROM later l WHERE l.key = k.key AND l.hash = k.hash)
    AND NOT EXISTS (SELECT 1 FROM buried b WHERE b.origin = s.origin) ORDER BY s.key
"""
_LATER_DIFFERENT = """
SELECT k.key, 1, 1 FROM kept k WHERE k.kind = ? AND NOT EXISTS (SELECT 1 FROM said s WHERE s.key = k.key)
    AND EXISTS (SELECT 1 FROM later l WHERE l.key = k.key)
    AND NOT EXISTS (SELECT 1 FROM later l WHERE l.key = k.key AND l.hash = k.hash) ORDER BY k.key
"""
_ON_THE_WAY = """
SELECT count(DISTINCT key) FROM later
WHERE key NOT IN (SELECT l.key FROM later l JOIN kept k ON k.key = l.key AND k.hash = l.hash)
"""


@dataclass(frozen=True, slots=True)
class DocumentVersion:
    """A document. key : index/id; hash : of what it says"""

    key: str
    hash: str


@dataclass(frozen=True, slots=True)
class ExpectedDocument:
    """A document as a record makes it.

    version : of two the higher one counts, of equals the later one; first : only where there is none yet
    due : whether the sink has come that far; origin : topic, partition, offset of the record
    """

    kind: str
    key: str
    hash: str
    version: int
    first: bool
    due: bool
    origin: tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class DocumentDifference:
    """Where both sides part. kind : lost, doubled or different; said, kept : how many documents of that key"""

    kind: str
    key: str
    said: int
    kept: int


class DocumentLedger:
    """A scratch database of one comparison; it goes with `close`."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="tapewatch-reconcile-")
        self._session = sqlite3.connect(Path(self._folder.name) / "documents.sqlite", isolation_level=None)
        self._session.executescript(_MAKE)

    def keep(self, kind: str, documents: Iterable[DocumentVersion]) -> None:
        """Take up documents of a kind as they are kept."""
        self._write("INSERT INTO kept VALUES (?, ?, ?)", ((each.key, kind, each.hash) for each in documents))

    def note(self, documents: Iterable[ExpectedDocument]) -> None:
        """Take up what the topics say, in their order; what the sink has not come to yet may be there or not."""
        self._session.execute("CREATE INDEX kept_key ON kept (key)")
        self._session.execute("BEGIN")
        for each in documents:
            if each.due:
                origin = _origin(each.origin)
                row = (each.key, each.kind, each.hash, each.version, origin)
                self._session.execute(_FIRST if each.first else _SAID, row)
            else:
                self._session.execute(_LATER, (each.key, each.kind, each.hash))
        self._session.execute("COMMIT")

    def bury(self, origins: Iterable[tuple[str, int, int]]) -> None:
        """Take up the records that the server has refused documents of: those need not be there."""
        self._write("INSERT OR IGNORE INTO buried VALUES (?)", ((_origin(each),) for each in origins))

    def counts(self, kind: str) -> tuple[int, int]:
        """Documents of a kind that must be there, and that are there."""
        asked = ("SELECT count(*) FROM said WHERE kind = ?", "SELECT count(*) FROM kept WHERE kind = ?")
        said, kept = (int(self._session.execute(each, (kind,)).fetchone()[0]) for each in asked)
        return said, kept

    def differences(self, kind: str) -> Iterator[DocumentDifference]:
        """Where the sides part, over documents of a kind."""
        queries = (
            ("lost", _LOST, (kind,)),
            ("doubled", _DOUBLED, (kind, kind)),
            ("different", _DIFFERENT, (kind,)),
            ("different", _LATER_DIFFERENT, (kind,)),
        )
        for what, query, values in queries:
            for key, said, kept in self._session.execute(query, values):
                yield DocumentDifference(what, key, int(said), int(kept))

    def on_the_way(self) -> int:
        """Documents that the sink has yet to bring."""
        return int(self._session.execute(_ON_THE_WAY).fetchone()[0])

    def close(self) -> None:
        """Remove it."""
        self._session.close()
        self._folder.cleanup()

    def _write(self, statement: str, rows: Iterable[tuple[object, ...]]) -> None:
        self._session.execute("BEGIN")
        self._session.executemany(statement, rows)
        self._session.execute("COMMIT")


def _origin(place: tuple[str, int, int]) -> str:
    return "{}-{}-{}".format(*place)


if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

KINDS = tuple(kind for kind in mappings.OWN if kind != mappings.ALERTS)
_AT_ONCE = 2000
_OF_KIND = {
    mappings.CASES: (topics.CASES,),
    mappings.BARS: (topics.BARS,),
    mappings.FEATURES: (topics.FEATURES,),
    mappings.SCORES: (topics.SCORES,),
    mappings.SIGNALS: (topics.SIGNALS,),
    mappings.PREDICTIONS: (topics.PREDICTIONS,),
    mappings.POSITIONS: (topics.POSITIONS,),
    mappings.HEALTH: (topics.COMMITS, topics.CANARIES),
}
"""Kind -> its topics; books come from market topics."""


def compare_documents(settings: Settings) -> tuple[list[RowTable], int]:
    """Compare what the topics hold with Elasticsearch, as far as the sink has come.

    Returns the kinds of documents, and how many documents are still to come from the sink. Ids and hashes lie side by
    side on disk: memory stays small. TapewatchError where the sink has read nothing yet.
    """
    with closing(_Comparison(settings)) as comparison:
        return comparison.run()


class _Comparison:
    """One comparison. settings : their prefix and group name the documents"""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._prefix = settings, settings.elasticsearch.prefix
        self._client: Elasticsearch = connect(settings)
        self._ledger = DocumentLedger()
        self._registry = Registry(settings)
        chosen = settings.elasticsearch
        self._intake = Intake(chosen, self._registry if chosen.book_seconds else None)
        self._cut: set[str] = set()

    def run(self) -> tuple[list[RowTable], int]:
        """Read both sides and compare them."""
        self._client.info()  # a server that is away is told before all is read
        done = self._done()
        for kind in KINDS:
            self._ledger.keep(kind, self._kept(kind))
        self._ledger.note(self._said(done))
        self._ledger.bury(self._buried())
        tables = [self._table(kind) for kind in KINDS]
        return tables, self._ledger.on_the_way()

    def close(self) -> None:
        """Give connections and scratch space back."""
        self._ledger.close()
        self._registry.close()
        self._client.close()

    def _done(self) -> dict[Log, int]:
        """Next offset of each partition that a lane of the sink reads; 0 where it has not begun."""
        found = next_offsets(self._settings, "urgent", topics.CASES.__eq__)
        found |= next_offsets(self._settings, "data", self._intake.is_wanted)
        if not any(found.values()):
            raise TapewatchError(
                f"the sink of group {self._settings.elasticsearch.group} has read nothing yet",
                "Run `tapewatch sink elasticsearch` first, or compare one store alone: `--only postgres`.",
            )
        return found

    def _kept(self, kind: str) -> Iterator[DocumentVersion]:
        """Documents of a kind, in one view and in no order."""
        index = mappings.pattern(self._prefix, kind)
        if not self._client.indices.exists(index=index, allow_no_indices=False):
            return
        self._client.indices.refresh(index=index)
        view = self._client.open_point_in_time(index=index, keep_alive="2m")["id"]
        after: list[Any] | None = None
        try:
            while found := self._client.search(
                pit={"id": view, "keep_alive": "2m"},
                size=_AT_ONCE,
                sort=["_shard_doc"],
                search_after=after,
                track_total_hits=False,
                # A shard that does not answer has not lost its documents.
                allow_partial_search_results=False,
            )["hits"]["hits"]:
                after = found[-1]["sort"]
                for hit in found:
                    lasting = kind in mappings.LASTING
                    own = f"{self._prefix}-{kind}" if lasting else hit["_index"]
                    yield DocumentVersion(f"{own}/{hit['_id']}", hashes.of_document(hit["_source"]))
        finally:
            self._client.options(ignore_status=404).close_point_in_time(id=view)

    def _said(self, done: Mapping[Log, int]) -> Iterator[ExpectedDocument]:
        """What the topics say must lie there, and what may lie there already."""
        reader = log_consumer(self._settings)
        try:
            extents = {log: kafka.watermarks(reader, *log) for log in sorted(done)}
            self._registry.read_whole()
            for log, (low, high) in extents.items():
                if low:
                    self._cut.add(log[0])
                for message in kafka.read_range(reader, *log, low, high):
                    items, _ = self._intake.take(message)
                    due = int(message.offset() or 0) < done[log]
                    yield from (_said(item, due) for item in items)
        finally:
            reader.close()

    def _buried(self) -> Iterator[tuple[str, int, int]]:
        """Origins of records of which the server has refused a document."""
        reader = kafka.consumer(self._settings, "tapewatch-reconcile")
        there = kafka.existing_topics(kafka.admin(self._settings))
        try:
            for topic in sorted((topics.CASES, *DATA)):
                for by, origin in refused_records(reader, there, topic):
                    if by == dead_letters.ELASTICSEARCH:
                        yield origin
        finally:
            reader.close()

    def _table(self, kind: str) -> RowTable:
        """What is wrong with a kind."""
        # Topics that have lost their beginning cannot say of a document that it never was.
        whole = not any(topic in self._cut for topic in _OF_KIND.get(kind, ())) and (
            kind != mappings.BOOKS or not any(topic.startswith("market.") for topic in self._cut)
        )
        counts, places = dict.fromkeys(("lost", "doubled", "different"), 0), list[RowPlace]()
        for found in self._ledger.differences(kind):
            if found.kind == "doubled" and not whole:
                continue
            counts[found.kind] += 1
            if counts[found.kind] <= PLACES:
                places.append(RowPlace(found.kind, NOWHERE, found.said, found.kept, found.key))
        said, kept = self._ledger.counts(kind)
        return RowTable(
            ELASTICSEARCH, kind, NOWHERE, said, kept, counts["lost"], counts["doubled"], counts["different"], "", places
        )


def _said(item: Item, due: bool) -> ExpectedDocument:
    """An item by where it goes, its version and what it says."""
    ((verb, meta),) = msgspec.json.decode(item.action).items()
    key = f"{meta['_index']}/{meta['_id']}"
    content = hashes.of_document(msgspec.json.decode(item.source))
    return ExpectedDocument(item.kind, key, content, int(meta.get("version", 0)), verb == "create", due, item.origin)
