"""Day partitions: which there are, and dropping those older than the retention."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import sqlalchemy as sa

from infra.migrations.schema import connect
from tapewatch.clock import NANOS

DAY = 86_400 * NANOS
_UPPER = re.compile(r"TO \('?(-?\d+)'?\)")
_LISTED = """
SELECT parent.relname, child.relname, pg_get_expr(child.relpartbound, child.oid), pg_total_relation_size(child.oid)
FROM pg_inherits
JOIN pg_class parent ON parent.oid = inhparent
JOIN pg_class child ON child.oid = inhrelid
WHERE parent.relkind = 'p' AND child.relkind = 'r' AND parent.relnamespace = current_schema()::regnamespace
ORDER BY 1, 2
"""


@dataclass(frozen=True, slots=True)
class Partition:
    """One day of one table. end_ns : the end of its day, UTC nanoseconds; bytes : what it takes with its indexes."""

    table: str
    name: str
    end_ns: int
    bytes: int


def partitions(session: sa.Connection) -> list[Partition]:
    """All partitions, by table and day."""
    found = []
    for table, name, bound, size in session.execute(sa.text(_LISTED)):
        upper = _UPPER.search(bound)
        if upper:
            found.append(Partition(table, name, int(upper[1]), int(size)))
    return found


def drop_older(url: str, before_ns: int) -> Iterator[Partition]:
    """Drop every partition that ends at or before `before_ns`, each in a transaction; yields what was dropped.

    A partition in use is waited for 10 s at most, then TapewatchError.
    """
    with connect(url) as session:
        old = [partition for partition in partitions(session) if partition.end_ns <= before_ns]
        quote = session.dialect.identifier_preparer.quote
        names = {partition.name: quote(partition.name) for partition in old}
    for partition in old:
        with connect(url) as session:
            session.execute(sa.text("SET LOCAL lock_timeout = '10s'"))
            session.execute(sa.text(f"DROP TABLE IF EXISTS {names[partition.name]}"))
        yield partition
