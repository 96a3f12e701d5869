"""Numbers for names: instruments, partitions of topics, score models. Given once, kept in the database."""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
from psycopg2.extensions import connection as Connection  # noqa: N812 - a class with a lower-case name

_READ = {
    "instruments": "SELECT id, name FROM instruments",
    "logs": "SELECT id, topic, partition FROM logs",
    "score_models": "SELECT id, detector, version FROM score_models",
}
_ADD_INSTRUMENTS = """
INSERT INTO instruments (name) SELECT wanted FROM unnest(%s::text[]) AS wanted
WHERE NOT EXISTS (SELECT FROM instruments WHERE name = wanted) ON CONFLICT (name) DO NOTHING
"""
_NEW_INSTRUMENTS = "SELECT id, name FROM instruments WHERE name = ANY(%s)"
_ADD_LOG = (
    "INSERT INTO logs (topic, partition) VALUES (%s, %s) "
    "ON CONFLICT (topic, partition) DO UPDATE SET topic = EXCLUDED.topic RETURNING id"
)
_ADD_MODEL = (
    "INSERT INTO score_models (detector, version) VALUES (%s, %s) "
    "ON CONFLICT (detector, version) DO UPDATE SET detector = EXCLUDED.detector RETURNING id"
)


class Keys:
    """The numbers as the database has them.

    A missing one is added at once, in a transaction of its own: it may stay unused.
    """

    def __init__(self, session: Connection) -> None:
        self._session = session
        with session, session.cursor() as cursor:
            cursor.execute(_READ["instruments"])
            self._instruments: dict[str, int] = {name: number for number, name in cursor}
            cursor.execute(_READ["logs"])
            self._logs = {(topic, partition): int(number) for number, topic, partition in cursor}
            cursor.execute(_READ["score_models"])
            self._models = {(detector, version): int(number) for number, detector, version in cursor}

    def instruments(self, names: Sequence[str]) -> npt.NDArray[np.int32]:
        """The number of each instrument, int32[names]."""
        self._add(name for name in names if name not in self._instruments)
        return np.array([self._instruments[name] for name in names], dtype=np.int32)

    def _add(self, missing: Iterable[str]) -> None:
        wanted = sorted(set(missing))
        if not wanted:
            return
        with self._session, self._session.cursor() as cursor:
            cursor.execute(_ADD_INSTRUMENTS, (wanted,))
            cursor.execute(_NEW_INSTRUMENTS, (wanted,))
            found = {name: number for number, name in cursor}
        self._instruments.update(found)

    def log(self, topic: str, partition: int) -> int:
        """The number of a partition."""
        known = self._logs.get((topic, partition))
        if known is None:
            known = self._logs[topic, partition] = self._one(_ADD_LOG, (topic, partition))
        return known

    def model(self, detector: str, version: str) -> int:
        """The number of a detector's model version."""
        known = self._models.get((detector, version))
        if known is None:
            known = self._models[detector, version] = self._one(_ADD_MODEL, (detector, version))
        return known

    def _one(self, statement: str, values: tuple[object, ...]) -> int:
        with self._session, self._session.cursor() as cursor:
            cursor.execute(statement, values)
            row = cursor.fetchone()
        if row is None:
            raise RuntimeError("the database returned no number")
        return int(row[0])
