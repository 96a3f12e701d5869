"""A copy of the audit log in the database, so that it can be queried beside alerts. The file stays the proof."""

from pathlib import Path

import msgspec
from psycopg2.extensions import connection as Connection  # noqa: N812 - a class with a lower-case name
from psycopg2.extras import execute_values

from tapewatch import audit, logs
from tapewatch.errors import TapewatchError
from tapewatch.rfc3339 import from_rfc3339

_INSERT = """
INSERT INTO audit (hash, sequence, at_ns, who, action, subject, why, details, previous) VALUES %s
ON CONFLICT (hash) DO NOTHING
"""
_log = logs.get("sink.postgres")


class AuditCopy:
    """Copies entries that the table lacks, whenever the log has grown."""

    def __init__(self, data: Path) -> None:
        self._folder = audit.folder(data)
        self._size = -1
        self._copied = 0

    def refresh(self, session: Connection) -> None:
        """Copy what is new, in a transaction of its own. A damaged log is reported, not copied."""
        path = self._folder / audit.LOG_FILE
        size = path.stat().st_size if path.exists() else 0
        if size == self._size:
            return
        try:
            entries = audit.entries(self._folder)
            rows = [_row(entry) for entry in entries[self._copied if size > self._size else 0 :]]
            with session, session.cursor() as cursor:
                if rows:
                    execute_values(cursor, _INSERT, rows)
            self._copied = len(entries)
        except (TapewatchError, ValueError) as error:
            _log.error("the audit log cannot be copied", problem=str(error))
        self._size = size


def _row(entry: audit.AuditEntry) -> tuple[object, ...]:
    """An entry as a row; NUL, which PostgreSQL does not know, as `?`."""
    told = (text.replace("\0", "?") for text in (entry.who, entry.action, entry.subject, entry.why))
    details = msgspec.json.encode(entry.details).decode().replace("\\u0000", "?")
    return (entry.hash, entry.sequence, from_rfc3339(entry.at), *told, details, entry.previous)
