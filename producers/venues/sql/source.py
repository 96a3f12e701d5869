"""A table as a feed: what is new becomes rows, and rows and position are committed together.

The protocol of one look, and what happens if the process dies there:
1. the keys committed late and the rows above the newest key are read: nothing is changed
2. their rows, dead letters and the new position are sent in one Kafka transaction: readers see all or nothing
3. the next look, or the next start, goes on from the position
"""

import threading
from collections import Counter
from collections.abc import Mapping
from typing import Any, Protocol

import msgspec
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from producers.base.collector import Collector
from producers.base.row_mapper import RowError, RowMapper
from producers.base.state import AbortedError, Ledger, Transaction, refused_letter
from producers.venues.live_bars import FRESH_NS
from producers.venues.sql.table import TableMap, TableReader, unreachable
from producers.venues.sql.window import Key, Window
from tapewatch.clock import NANOS, WALL, Clock
from tapewatch.contract import topics
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.rows import StatusKind
from tapewatch.logs import get

LONGEST_WAIT_S = 60.0
"""Between two attempts to reach a database that does not answer."""
log = get("sql")


class InstrumentSource(Protocol):
    """What is registered already."""

    @property
    def instruments(self) -> Mapping[str, Instrument]:
        """Reference data by id."""
        ...


class MarketCalendar(Protocol):
    """When a market is open."""

    def is_open(self, ns: int) -> bool:
        """Whether a session runs at that time, UTC nanoseconds."""
        ...


class TableSummary(msgspec.Struct):
    """What a table gave.

    read : rows; late : of these rows that were committed after a higher key was sent; rows : sent, by row type
    refused : by reason; failures : looks that the database did not answer; position : newest key
    """

    source: str
    topic: str
    read: int = 0
    late: int = 0
    rows: int = 0
    refused: Counter[str] = msgspec.field(default_factory=Counter)
    failures: int = 0
    position: str = ""


class TableSource:
    """Reads a table and writes its rows. One look is `look`; `run` looks until stopped."""

    def __init__(
        self,
        table_map: TableMap,
        engine: Engine,
        ledger: Ledger,
        known: InstrumentSource,
        watched: MarketCalendar | None = None,
        clock: Clock = WALL,
    ) -> None:
        self.map = table_map
        self._engine = engine
        self._ledger = ledger
        self._known = known
        self._watched = watched
        self._clock = clock
        self._reader = TableReader(engine, table_map.table)
        self._mapper = RowMapper(table_map.rows)
        self._mapper.require(self._reader.columns)
        self._query = self._reader.choose(self._mapper.map.names)
        self._window: Window | None = None
        self._met: set[str] = set()
        self._silent_since = 0
        self._unanswered = 0
        self.summary = TableSummary(table_map.name, topics.market(table_map.feed))

    def run(self, stop: threading.Event) -> None:
        """Look until stopped. A database that does not answer is asked again; what it holds is not lost meanwhile."""
        while not stop.is_set():
            try:
                full = self.look() >= self.map.batch
                wait_s = 0.0 if full else self.map.poll_s
            except SQLAlchemyError as error:
                wait_s = self._failed(error)
            except AbortedError as error:
                self._window = None
                log.warning("transaction aborted", source=self.map.name, error=error.message)
                wait_s = self.map.poll_s
            if wait_s:
                stop.wait(wait_s)

    def look(self) -> int:
        """Send what is new; returns how many rows were read. SQLAlchemyError where the database does not answer."""
        window = self._opened()
        with self._engine.connect() as connection:
            late: list[Key] = []
            if window.top is not None:
                late = window.missing(self._reader.keys_between(connection, window.floor, window.top))
            late = late[: self.map.batch]
            rows = self._reader.of_keys(connection, self._query, late)
            fresh = self._reader.after(connection, self._query, window.top, self.map.batch)
        rows += fresh
        received = self._clock.now()
        collector = self._collected(rows, received)
        self._answered(collector, received)
        self.summary.read += len(rows)
        self.summary.late += len(late)
        before = window.position()
        window.sent([self._reader.key_of(row) for row in rows], received // 1_000_000)
        self._commit(collector, before, window.position(), received)
        self.summary.position = str(window.top or "")
        return len(rows)

    def _opened(self) -> Window:
        """The window of the committed position, or of the first start."""
        kept = self._ledger.position()
        if self._window is None:
            lag = (self._reader.name, self.map.lag_s, self.map.lag_rows)
            if kept is not None:
                self._window = Window.from_position(kept, *lag)
            else:
                floor = None
                if self.map.start == "now":
                    with self._engine.connect() as connection:
                        floor = self._reader.newest(connection)
                self._window = Window(*lag, floor)
                first = self._window.position()
                self._ledger.write(lambda transaction: transaction.position(first))
        return self._window

    def _collected(self, rows: list[Mapping[str, Any]], received: int) -> Collector:
        """The rows and refusals of one look. The clock of a feed of its own is the newest time among its rows."""
        collector = Collector()
        live = self._ledger.live
        clock = received if self.map.clock == "receipt" else (live.newest_ns if live else 0)
        for row in rows:
            collector.messages["row"] += 1
            try:
                event = self._mapper.event_time(row)
                if self.map.clock == "rows":
                    clock = max(clock, event)
                if abs(clock - event) > FRESH_NS:
                    raise RowError("too_old" if event < clock else "in_the_future", f"{(clock - event) / NANOS:.0f} s")
                self._mapper.add(collector, row, clock)
            except RowError as error:
                text = msgspec.json.encode({name: str(value) for name, value in row.items()})
                collector.refuse(error.reason, f"{self._reader.name} {self._reader.key_of(row)}", text, received)
        return collector

    def _commit(self, collector: Collector, before: bytes, position: bytes, received: int) -> None:
        """Send what was collected with the position; where nothing is new, a heartbeat where one is due."""
        self.summary.rows += collector.waiting
        self.summary.refused.update(collector.refused)
        rows, refused = collector.take(), collector.take_refused()
        self._register(rows)
        topic = topics.market(self.map.feed)

        def work(transaction: Transaction) -> None:
            for part in rows:
                transaction.rows(part)
            for message in refused:
                transaction.refuse(refused_letter(topic, self.map.name, message))
            transaction.position(position)

        if rows or refused or position != before:
            self._ledger.write(work)
        elif self.map.clock == "receipt" and self._beats(received):
            with self._ledger.transaction():
                pass

    def _beats(self, received: int) -> bool:
        """Whether a heartbeat is due: while the market is open, and then until what rows have begun is closed."""
        live = self._ledger.live
        return self._watched is None or self._watched.is_open(received) or (live is not None and live.owes(received))

    def _register(self, parts: list[Any]) -> None:
        """Register what was not met before; reference data that others wrote stays as it is."""
        fresh = {name for rows in parts for name in rows.instruments if name != "*"} - self._met
        if fresh:
            known = self._known.instruments
            self._ledger.register(known.get(name) or Instrument(name, name.partition(".")[0]) for name in sorted(fresh))
            self._met |= fresh

    def _failed(self, error: SQLAlchemyError) -> float:
        """Say it, and how long to wait."""
        self._silent_since = self._silent_since or self._clock.elapsed()
        self.summary.failures += 1
        log.warning("database does not answer", source=self.map.name, error=unreachable(error).message)
        self._engine.dispose()
        self._unanswered += 1
        return min(LONGEST_WAIT_S, self.map.poll_s * 2.0 ** min(self._unanswered, 10))

    def _answered(self, collector: Collector, received: int) -> None:
        """After a silence of the database: that its market was not watched meanwhile."""
        if not self._silent_since:
            return
        seconds = (self._clock.elapsed() - self._silent_since) / NANOS
        self._silent_since = self._unanswered = 0
        if self.map.clock == "receipt":
            collector.status(0, StatusKind.GAP, f"the database did not answer for {seconds:.0f} s", received)
            collector.status(0, StatusKind.RESYNC, f"{seconds:.0f} s not watched", received)
