"""What topic and stores say of each alert, side by side on disk: memory stays small however many there are.

Records that a sink has refused: what no store can hold is missing from none.
"""

import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import Consumer

from sinks.log_reader import headers_of
from tapewatch.contract import topics
from tapewatch.runtime import kafka

Origin = tuple[str, int, int]
"""Topic, partition and offset."""


def refused_records(
    reader: Consumer, there: Mapping[str, int], topic: str, start: Mapping[int, int] | None = None
) -> Iterator[tuple[str, Origin]]:
    """Who refused a record of a topic, and which. there : topics by name; start : dead letters read before"""
    buried, begun = topics.dead_letters(topic), start or {}
    for partition in range(there.get(buried, 0)):
        low, high = kafka.watermarks(reader, buried, partition)
        for letter in kafka.read_range(reader, buried, partition, max(low, begun.get(partition, low)), high):
            told = {name: value.decode() for name, value in headers_of(letter)}
            if "refused_by" in told:
                origin = (told["origin_topic"], int(told["origin_partition"]), int(told["origin_offset"]))
                yield told["refused_by"], origin


POSTGRES, ELASTICSEARCH = "postgres", "elasticsearch"
STORES = (POSTGRES, ELASTICSEARCH)
KINDS = ("missing", "behind", "differs", "ahead", "extra")
"""Not kept; kept at an older revision; of other content; of a later revision than the topic's; not in the topic."""

_MAKE = """
CREATE TABLE topic (id TEXT PRIMARY KEY, revision INTEGER, decided INTEGER, partition INTEGER, offset INTEGER,
    postgres TEXT, elasticsearch TEXT) WITHOUT ROWID;
CREATE TABLE kept (store TEXT, id TEXT, revision INTEGER, hash TEXT, PRIMARY KEY (store, id)) WITHOUT ROWID;
CREATE TABLE refused (store TEXT, partition INTEGER, offset INTEGER, PRIMARY KEY (store, partition, offset))
    WITHOUT ROWID;
"""
_NOTE = """
INSERT INTO topic VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET revision = excluded.revision,
    decided = excluded.decided, partition = excluded.partition, offset = excluded.offset,
    postgres = excluded.postgres, elasticsearch = excluded.elasticsearch
WHERE excluded.revision > topic.revision
"""
_OF_TOPIC = """
SELECT t.id, t.revision, k.revision, t.partition, t.offset, k.hash = (CASE ? WHEN 'postgres' THEN t.postgres
    ELSE t.elasticsearch END)
FROM topic t LEFT JOIN kept k ON k.id = t.id AND k.store = ?
WHERE t.decided >= ? AND t.decided < ? AND NOT EXISTS (
    SELECT 1 FROM refused r WHERE r.store = ? AND r.partition = t.partition AND r.offset = t.offset
) ORDER BY t.id
"""
_EXTRA = """
SELECT k.id, k.revision FROM kept k LEFT JOIN topic t ON t.id = k.id WHERE k.store = ? AND t.id IS NULL ORDER BY k.id
"""


@dataclass(frozen=True, slots=True)
class ExpectedAlert:
    """An alert at its newest revision in the topic. decided_ns : UTC nanoseconds; as_row, as_document : its hashes"""

    id: str
    revision: int
    decided_ns: int
    partition: int
    offset: int
    as_row: str
    as_document: str


@dataclass(frozen=True, slots=True)
class AlertVersion:
    """An alert in a store."""

    id: str
    revision: int
    hash: str


@dataclass(frozen=True, slots=True)
class Difference:
    """Where a store says something else than the topic. kind : one of KINDS

    place : partition and offset of the topic's record; None for an extra one
    """

    store: str
    kind: str
    id: str
    place: tuple[int, int] | None


class Ledger:
    """A scratch database of one process; it goes with `close`."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="tapewatch-reconcile-")
        self._session = sqlite3.connect(Path(self._folder.name) / "ledger.sqlite", isolation_level=None)
        self._session.executescript(f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; {_MAKE}")

    def note(self, alerts: Iterable[ExpectedAlert]) -> None:
        """Take up what the topic says; of an alert the highest revision stays."""
        rows = ((a.id, a.revision, a.decided_ns, a.partition, a.offset, a.as_row, a.as_document) for a in alerts)
        with self._session:
            self._session.execute("BEGIN")
            self._session.executemany(_NOTE, rows)

    def refuse(self, records: Iterable[tuple[str, int, int]]) -> None:
        """Take up records that a store cannot hold: store, partition, offset."""
        with self._session:
            self._session.execute("BEGIN")
            self._session.executemany("INSERT OR REPLACE INTO refused VALUES (?, ?, ?)", records)

    def keep(self, store: str, alerts: Iterable[AlertVersion]) -> int:
        """Take up what a store says now, in place of what it said before; how many alerts."""
        with self._session:
            self._session.execute("BEGIN")
            self._session.execute("DELETE FROM kept WHERE store = ?", (store,))
            rows = ((store, each.id, each.revision, each.hash) for each in alerts)
            self._session.executemany("INSERT OR REPLACE INTO kept VALUES (?, ?, ?, ?)", rows)
        return int(self._session.execute("SELECT count(*) FROM kept WHERE store = ?", (store,)).fetchone()[0])

    def count(self, since_ns: int, until_ns: int) -> int:
        """Alerts of the topic decided in a stretch of time."""
        found = self._session.execute(
            "SELECT count(*) FROM topic WHERE decided >= ? AND decided < ?", (since_ns, until_ns)
        )
        return int(found.fetchone()[0])

    def differences(self, store: str, since_ns: int, until_ns: int) -> Iterator[Difference]:
        """Where a store differs from the topic, over alerts decided in a stretch of time; what it refused aside."""
        found = self._session.execute(_OF_TOPIC, (store, store, since_ns, until_ns, store))
        for id_, revision, kept, partition, offset, alike in found:
            kind = _kind(revision, kept, bool(alike))
            if kind:
                yield Difference(store, kind, id_, (partition, offset))
        for id_, _ in self._session.execute(_EXTRA, (store,)):
            yield Difference(store, "extra", id_, None)

    def close(self) -> None:
        """Remove it."""
        self._session.close()
        self._folder.cleanup()


def _kind(revision: int, kept: int | None, alike: bool) -> str:
    """How a store's alert stands to the topic's; empty where they agree."""
    if kept is None:
        return "missing"
    if kept != revision:
        return "behind" if kept < revision else "ahead"
    return "" if alike else "differs"
