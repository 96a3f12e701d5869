"""Records that the database had refused, on their way to it once more: each is taken while its refusal stands in
`dead_letters`, and taking it removes the refusal, in one transaction.
"""

from collections.abc import Iterable

from psycopg2.extensions import connection as Connection  # noqa: N812 - a class with a lower-case name
from psycopg2.extensions import cursor as Cursor  # noqa: N812 - a class with a lower-case name
from psycopg2.extras import execute_values

Origin = tuple[str, int, int]

_HELD = "SELECT 1 FROM dead_letters WHERE topic = %s AND partition = %s AND log_offset = %s"
_FORGET = """
DELETE FROM dead_letters d USING (VALUES %s) AS taken (topic, partition, log_offset)
WHERE d.topic = taken.topic AND d.partition = taken.partition AND d.log_offset = taken.log_offset
"""


class Refusals:
    """What this database has refused so far."""

    def __init__(self, session: Connection) -> None:
        self._session = session

    def hold(self, origin: Origin) -> bool:
        """Whether the record stands refused. One that does not was taken, or belongs to another database."""
        with self._session, self._session.cursor() as cursor:
            cursor.execute(_HELD, origin)
            return cursor.fetchone() is not None


def forget(cursor: Cursor, taken: Iterable[Origin]) -> None:
    """Remove the refusals of records that are taken in this transaction."""
    rows = sorted(taken)
    if rows:
        execute_values(cursor, _FORGET, rows, template="(%s, %s::integer, %s::bigint)")
