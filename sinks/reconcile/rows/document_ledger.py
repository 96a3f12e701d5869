"""What topics and Elasticsearch say of each document, side by side on disk."""

import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

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
