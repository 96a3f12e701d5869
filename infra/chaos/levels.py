"""How far every reader of the site has come: the end of a run waits until none has anything left."""

from collections.abc import Iterable
from contextlib import closing

import psycopg2
from confluent_kafka import KafkaException

from tapewatch.contract import topics
from tapewatch.runtime import group_offsets, kafka
from tapewatch.settings import Settings

Place = tuple[str, int]

_UNSENT = "SELECT count(*) FROM deliveries WHERE state IN ('queued', 'waiting')"
_TAKEN = "SELECT topic, partition, next_offset FROM notify_offsets"
_OFFSETS = "SELECT topic, partition, next_offset FROM sink_offsets"


class Levels:
    """Looks when asked. settings : with direct addresses; topic : the market topic; running : names of processes"""

    def __init__(self, settings: Settings, topic: str, running: Iterable[str]) -> None:
        self._settings, self._topic = settings, topic
        running = set(running)
        self._groups: dict[str, tuple[str, tuple[str, ...]]] = {
            "engine": (settings.engine.group, (topic,)),
            **({"paper": (settings.paper.group, (topic,))} if "paper" in running else {}),
            **({"cases": (settings.cases.group, (topics.ALERTS,))} if "cases" in running else {}),
            **({"evidence": (settings.evidence.group, (topics.ALERTS,))} if "evidence" in running else {}),
        }
        if "sink-elasticsearch" in running:
            group = settings.elasticsearch.group
            self._groups["sink-elasticsearch"] = (f"{group}-urgent", (topics.ALERTS, topics.CASES))
            made = (topics.FEATURES, topics.SCORES, topics.BARS, topics.SIGNALS, topics.COMMITS)
            self._groups["sink-elasticsearch, data"] = (f"{group}-data", (topic, *made))
        self._notify = "notify" in running
        self._postgres = "sink-postgres" in running
        self._reader = kafka.consumer(settings, socket_timeout_ms=10_000)
        self._admin = kafka.admin(settings)
        self._readers = {
            name: kafka.consumer(settings, group, socket_timeout_ms=10_000) for name, (group, _) in self._groups.items()
        }
        self._empty: set[tuple[Place, int, int]] = set()

    def close(self) -> None:
        """Give connections back."""
        for reader in (self._reader, *self._readers.values()):
            reader.close()

    def behind(self) -> dict[str, int]:
        """By name, how much a reader has not taken yet; empty once all are level.

        A server that does not answer is a reader's name with -1.
        """
        found: dict[str, int] = {}
        for name, (_, wanted) in self._groups.items():
            try:
                ends = self._ends(wanted)
                done = group_offsets.next_offsets(self._readers[name], ends)
                found[name] = sum(self._left(place, done.get(place, 0), end) for place, end in ends.items())
            except KafkaException:
                found[name] = -1
        if self._postgres:
            found["sink-postgres"] = self._postgres_behind()
        if self._notify:
            found["notify"] = self._unsent()
        return {name: left for name, left in found.items() if left}

    @property
    def stores_begun(self) -> bool:
        """Whether every sink that stores alerts has committed something."""
        try:
            if "sink-elasticsearch" in self._groups:
                data = self._groups["sink-elasticsearch, data"][1]
                lane = self._readers["sink-elasticsearch, data"]
                if not any(group_offsets.next_offsets(lane, self._places(data)).values()):
                    return False
            return not self._postgres or bool(self._postgres_offsets())
        except (psycopg2.Error, KafkaException):
            return False

    def engine_behind(self) -> int:
        """Frames of the market topic that no engine has committed."""
        ends = self._ends((self._topic,))
        done = group_offsets.next_offsets(self._readers["engine"], ends)
        return sum(max(0, end - done.get(place, 0)) for place, end in ends.items())

    def _ends(self, wanted: Iterable[str]) -> dict[Place, int]:
        """Where each partition ends, for readers of what is committed."""
        return {place: kafka.watermarks(self._reader, *place)[1] for place in self._places(wanted)}

    def _places(self, wanted: Iterable[str]) -> list[Place]:
        """The partitions of topics."""
        found = kafka.existing_topics(self._admin)
        return [(topic, number) for topic in wanted for number in range(found.get(topic, 0))]

    def _left(self, place: Place, position: int, end: int) -> int:
        """Records between; the marks of transactions take offsets too, and are none."""
        if position >= end or (place, position, end) in self._empty:
            return 0
        low, high = kafka.watermarks(self._reader, *place)
        first = next(kafka.read_range(self._reader, *place, max(low, position), min(high, end)), None)
        if first is not None:
            return end - position
        self._empty.add((place, position, end))
        return 0

    def _postgres_behind(self) -> int:
        try:
            kept = self._postgres_offsets()
            wanted = {self._topic, topics.FEATURES, topics.SCORES, topics.BARS, topics.ALERTS, topics.COVERAGE}
            ends = self._ends(wanted | {topic for topic, _ in kept})
            return sum(self._left(place, kept.get(place, 0), end) for place, end in ends.items())
        except (psycopg2.Error, KafkaException):
            return -1

    def _postgres_offsets(self) -> dict[Place, int]:
        with closing(self._session()) as session, session.cursor() as cursor:
            cursor.execute(_OFFSETS)
            return _offsets(cursor)

    def _unsent(self) -> int:
        """Alerts that the notify sink has not read, and messages that are on their way."""
        try:
            with closing(self._session()) as session, session.cursor() as cursor:
                cursor.execute(_TAKEN)
                taken = _offsets(cursor)
                cursor.execute(_UNSENT)
                row = cursor.fetchone()
            ends = self._ends((topics.ALERTS,))
            unread = sum(self._left(place, taken.get(place, 0), end) for place, end in ends.items())
            return unread + (int(row[0]) if row else 0)
        except (psycopg2.Error, KafkaException):
            return -1

    def _session(self) -> "psycopg2.extensions.connection":
        session = psycopg2.connect(self._settings.postgres_url().replace("+psycopg2", "", 1))
        session.set_session(readonly=True, autocommit=True)
        return session


def _offsets(cursor: "psycopg2.extensions.cursor") -> dict[Place, int]:
    """Rows of topic, partition, next offset."""
    return {(str(topic), int(number)): int(offset) for topic, number, offset in cursor.fetchall()}
