"""How far each stage has come: ends of the topics, the engine's committed offsets, the sink's offsets in PostgreSQL.

What is traded on paper in one feed, as it becomes readable: actions, orders, fills and the result so far.
"""

import threading
from collections import deque
from collections.abc import Iterable
from contextlib import closing, suppress

import psycopg2
from confluent_kafka import KafkaException, Message

from tapewatch.contract import messages, topics
from tapewatch.contract.messages import Fill, Order, Position, Signal
from tapewatch.errors import ContractError
from tapewatch.runtime import group_offsets, kafka
from tapewatch.settings import Settings

FOLLOWED = (topics.SIGNALS, topics.ORDERS, topics.FILLS, topics.POSITIONS)
STANDING = ("pending", "open", "unknown")
NEWEST = 12


class TradingState:
    """What is known after the records that were taken. topic : the market topic whose trading it is

    orders : ids; standing : those that may still trade; fills : how many; actions : the newest signals that ask for
    something; executions : the newest fills
    """

    def __init__(self, topic: str) -> None:
        self.orders: set[str] = set()
        self.standing: set[str] = set()
        self.fills = 0
        self.actions: deque[Signal] = deque(maxlen=NEWEST)
        self.executions: deque[Fill] = deque(maxlen=NEWEST)
        self._topic = topic
        self._accounts: dict[str, Position] = {}

    @property
    def result(self) -> dict[str, float]:
        """Realised and unrealised less fees and taxes, by currency."""
        found: dict[str, float] = {}
        for account in list(self._accounts.values()):
            found[account.currency] = found.get(account.currency, 0.0) + account.result
        return {currency: round(result, 2) for currency, result in sorted(found.items())}

    @property
    def open_positions(self) -> int:
        """Instruments that something is held of, or owed."""
        return sum(account.position != 0.0 for account in list(self._accounts.values()))

    def take(self, message: Message) -> None:
        """Take note of a record; what is no message, or another feed's, is passed over."""
        try:
            said = messages.decode(messages.BY_TOPIC[message.topic() or ""], message.value() or b"")
        except ContractError:
            return
        if not isinstance(said, Signal | Order | Fill | Position):
            return
        if said.cause is None or said.cause.topic != self._topic:
            return
        if isinstance(said, Signal):
            if said.action != "hold":
                self.actions.append(said)
        elif isinstance(said, Order):
            self.orders.add(said.id)
            (self.standing.add if said.state in STANDING else self.standing.discard)(said.id)
        elif isinstance(said, Fill):
            self.fills += 1
            self.executions.append(said)
        else:
            self._accounts[said.instrument] = said


Place = tuple[str, int]
EVERY_S = 0.5
KEPT = (
    topics.INSTRUMENTS,
    topics.FEATURES,
    topics.BARS,
    topics.SCORES,
    topics.ALERTS,
    topics.SIGNALS,
    topics.COVERAGE,
    topics.ORDERS,
    topics.FILLS,
    topics.POSITIONS,
)
"""What the sink keeps beside market topics."""

_INSERTED = """
SELECT coalesce(parent.relname, leaf.relname), sum(leaf.n_tup_ins)
FROM pg_stat_user_tables leaf
LEFT JOIN pg_inherits link ON link.inhrelid = leaf.relid
LEFT JOIN pg_class parent ON parent.oid = link.inhparent
GROUP BY 1
"""
TABLES = (
    *("quotes", "trades", "books", "orders", "status", "bars", "features", "scores", "alerts", "coverage"),
    *("signals", "own_orders", "own_fills", "own_positions"),
)
"""Tables whose rows are counted."""


class Gauges:
    """Looks twice a second, in a thread of its own.

    produced : market frames in the log; engine_lag, paper_lag, sink_lag : market frames that the engine and the paper
    broker have not used yet, and that are not yet in PostgreSQL
    inserted : rows that came into PostgreSQL since the start, by table, as its own statistics tell a little late
    """

    def __init__(self, settings: Settings, topic: str) -> None:
        self.produced = self.engine_lag = self.paper_lag = self.sink_lag = 0
        self.inserted: dict[str, int] = {}
        self.error: BaseException | None = None
        self._settings, self._topic = settings, topic
        self._admin = kafka.admin(settings)
        self._group = kafka.consumer(settings, settings.engine.group)
        self._paper = kafka.consumer(settings, settings.paper.group)
        self._reader = kafka.consumer(settings)
        self._before: dict[str, int] | None = None
        self._empty: set[tuple[Place, int, int]] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gauges", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop looking."""
        self._stop.set()
        self._thread.join(5)
        self._group.close()
        self._paper.close()
        self._reader.close()

    def is_drained(self) -> bool:
        """Whether engine, paper broker and sink have taken everything that can be read. Call it once the producer has
        ended.
        """
        ends = self._ends([self._topic])
        for group in (self._group, self._paper):
            done = group_offsets.next_offsets(group, ends)
            if any(self._is_left(place, done.get(place, 0), end) for place, end in ends.items()):
                return False
        every = self._ends([self._topic, *KEPT])
        with closing(connect(self._settings)) as session:
            kept = sink_offsets(session)
        return not any(self._is_left(place, kept.get(place, 0), end) for place, end in every.items())

    def _is_left(self, place: Place, position: int, end: int) -> bool:
        """Whether a record lies between; the marks of transactions take offsets too, and are none."""
        if position >= end or (place, position, end) in self._empty:
            return False
        low, high = kafka.watermarks(self._reader, *place)
        if next(kafka.read_range(self._reader, *place, max(low, position), min(high, end)), None) is not None:
            return True
        self._empty.add((place, position, end))
        return False

    def _run(self) -> None:
        try:
            while not self._stop.wait(EVERY_S):
                # A server that is slow to answer shows as figures that stand still.
                with suppress(KafkaException, psycopg2.Error):
                    self._look()
        except BaseException as error:
            self.error = error

    def _look(self) -> None:
        ends = self._ends([self._topic])
        self.produced = sum(ends.values())
        self.engine_lag, self.paper_lag = (
            sum(max(end - done.get(place, 0), 0) for place, end in ends.items())
            for done in (group_offsets.next_offsets(group, ends) for group in (self._group, self._paper))
        )
        with closing(connect(self._settings)) as session, session.cursor() as cursor:
            cursor.execute("SELECT to_regclass('sink_offsets') IS NOT NULL")
            if cursor.fetchone() != (True,):
                return
            kept = sink_offsets(session)
            cursor.execute(_INSERTED)
            now = {str(table): int(rows) for table, rows in cursor.fetchall() if table in TABLES}
        self.sink_lag = sum(max(end - kept.get(place, 0), 0) for place, end in ends.items())
        before = self._before = now if self._before is None else self._before
        self.inserted = {table: rows - before.get(table, 0) for table, rows in now.items()}

    def _ends(self, wanted: Iterable[str]) -> dict[Place, int]:
        """Where each partition of these topics ends, for readers of what is committed."""
        found = kafka.existing_topics(self._admin)
        places = [(topic, number) for topic in wanted for number in range(found.get(topic, 0))]
        return {place: kafka.watermarks(self._reader, *place)[1] for place in places}


def connect(settings: Settings) -> "psycopg2.extensions.connection":
    """A session that reads only; its user closes it."""
    session = psycopg2.connect(settings.postgres_url().replace("+psycopg2", "", 1))
    session.set_session(readonly=True, autocommit=True)
    return session


def sink_offsets(session: "psycopg2.extensions.connection") -> dict[Place, int]:
    """How far the sink has come."""
    with session.cursor() as cursor:
        cursor.execute("SELECT topic, partition, next_offset FROM sink_offsets")
        return {(str(topic), int(partition)): int(offset) for topic, partition, offset in cursor.fetchall()}
