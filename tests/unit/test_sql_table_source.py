"""A table as a source without servers: outages are said, heartbeats follow the calendar, positions go on."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, text

from producers.base.collector import Collector
from producers.base.row_mapper import RowMap
from producers.base.transaction import AbortedError
from producers.venues.sql.source import TableSource
from producers.venues.sql.table import TableMap, TableName
from tapewatch.clock import NANOS, ManualClock
from tapewatch.contract.instruments import Instrument, Tick
from tapewatch.contract.rows import Rows, RowType, StatusKind
from tapewatch.market_log.registry import FixedRegistry

NOW = 1_773_065_400
KNOWN = Instrument("A.XNAS", "Known", ticks=(Tick(0.0, 0.01),))


class FakeTransaction:
    """What one transaction held."""

    def __init__(self) -> None:
        self.parts: list[Rows] = []
        self.kept: bytes | None = None
        self.letters: list[Any] = []

    def rows(self, rows: Rows) -> None:
        self.parts.append(rows)

    def refuse(self, letter: Any) -> None:
        self.letters.append(letter)

    def position(self, position: bytes) -> None:
        self.kept = position

    def take(self, collector: Collector, topic: str) -> None:
        """Not used here."""


class Ledger:
    """Transactions in a list. aborts : how many of the next ones fail"""

    live = None

    def __init__(self) -> None:
        self.done: list[FakeTransaction] = []
        self.kept: bytes | None = None
        self.registered: list[Instrument] = []
        self.aborts = 0

    def position(self) -> bytes | None:
        return self.kept

    @contextmanager
    def transaction(self) -> Iterator[FakeTransaction]:
        if self.aborts:
            self.aborts -= 1
            raise AbortedError("aborted")
        written = FakeTransaction()
        yield written
        self.done.append(written)
        self.kept = written.kept or self.kept

    def write(self, work: Callable[[Any], None]) -> None:
        with self.transaction() as transaction:
            work(transaction)

    def register(self, instruments: Iterable[Instrument]) -> None:
        self.registered += instruments

    def of(self, row_type: RowType, column: str) -> list[Any]:
        """A column of all rows of a type."""
        return [
            value
            for each in self.done
            for part in each.parts
            if part.type is row_type
            for value in part.columns[column].tolist()
        ]


class ClosedMarket:
    """A market that never opens."""

    def is_open(self, ns: int) -> bool:
        return False


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    found = create_engine(f"sqlite:///{tmp_path / 'prices'}")
    run(found, "CREATE TABLE t (id INTEGER PRIMARY KEY, at INTEGER, p TEXT, q TEXT)")
    yield found
    found.dispose()


def run(engine: Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def source_of(engine: Engine, ledger: Ledger, time: ManualClock, **more: Any) -> TableSource:
    rows = RowMap("trade", instrument="A.XNAS", columns={"time": "at", "price": "p", "qty": "q"})
    watched = more.pop("watched", None)
    table_map = TableMap("s", "s", TableName("t", ("id",)), rows, **{"start": "first", "poll_s": 0.01, **more})
    kept: Any = ledger
    return TableSource(table_map, engine, kept, FixedRegistry([KNOWN]), watched, time)


def test_outage_of_the_database_is_a_gap_row_and_costs_no_record(engine: Engine) -> None:
    ledger, clock = Ledger(), ManualClock(NOW * NANOS)
    source = source_of(engine, ledger, clock)
    run(engine, f"INSERT INTO t VALUES (1, {NOW}, '10', '1')")
    assert source.look() == 1
    run(engine, "ALTER TABLE t RENAME TO away")
    stop = threading.Event()

    class OutageEvent(threading.Event):
        """Ends the outage after two waits, then the run."""

        waits = 0

        def wait(self, timeout: float | None = None) -> bool:
            self.waits += 1
            clock.sleep(10)
            if self.waits == 2:
                run(engine, "ALTER TABLE away RENAME TO t", f"INSERT INTO t VALUES (2, {NOW + 5}, '11', '1')")
            if self.waits == 3:
                self.set()
            return self.is_set()

    stop = OutageEvent()
    source.run(stop)
    assert ledger.of(RowType.TRADE, "price") == [10.0, 11.0]
    assert ledger.of(RowType.STATUS, "kind") == [StatusKind.GAP, StatusKind.RESYNC]
    assert "did not answer for 20 s" in ledger.of(RowType.STATUS, "detail")[0]
    assert source.summary.failures == 2


def test_reference_data_that_others_registered_stays(engine: Engine) -> None:
    ledger = Ledger()
    run(engine, f"INSERT INTO t VALUES (1, {NOW}, '10', '1')")
    source_of(engine, ledger, ManualClock(NOW * NANOS)).look()
    assert ledger.registered == [KNOWN]


def test_quiet_table_beats_only_while_the_market_is_open(engine: Engine) -> None:
    for watched, beats in ((None, 1), (ClosedMarket(), 0)):
        ledger = Ledger()
        source = source_of(engine, ledger, ManualClock(NOW * NANOS), watched=watched)
        source.look()
        before = len(ledger.done)
        source.look()
        assert len(ledger.done) - before == beats


def test_aborted_transaction_is_done_again_from_the_committed_position(engine: Engine) -> None:
    ledger, clock = Ledger(), ManualClock(NOW * NANOS)
    source = source_of(engine, ledger, clock)
    run(engine, f"INSERT INTO t VALUES (1, {NOW}, '10', '1')")
    source.look()
    run(engine, f"INSERT INTO t VALUES (2, {NOW}, '11', '1')")
    ledger.aborts = 1
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    source.run(stop)
    assert ledger.of(RowType.TRADE, "price") == [10.0, 11.0]


def test_record_from_the_future_or_long_ago_is_refused(engine: Engine) -> None:
    ledger = Ledger()
    source = source_of(engine, ledger, ManualClock(NOW * NANOS))
    run(
        engine, f"INSERT INTO t VALUES (1, {NOW - 3600}, '1', '1')", f"INSERT INTO t VALUES (2, {NOW + 3600}, '1', '1')"
    )
    source.look()
    assert dict(source.summary.refused) == {"too_old": 1, "in_the_future": 1}
    assert [letter.reason for each in ledger.done for letter in each.letters] == ["too_old", "in_the_future"]


def test_clock_of_the_rows_takes_a_table_of_years_in_the_order_of_time(engine: Engine) -> None:
    ledger = Ledger()
    source = source_of(engine, ledger, ManualClock(NOW * NANOS), clock="rows")
    times = [NOW - 10**7, NOW - 10**6, NOW - 10**6 - 60, NOW - 2 * 10**6]
    run(engine, *(f"INSERT INTO t VALUES ({number}, {at}, '1', '1')" for number, at in enumerate(times)))
    source.look()
    received = ledger.of(RowType.TRADE, "ts_recv")
    assert received == [times[0] * NANOS, times[1] * NANOS, times[1] * NANOS]
    assert dict(source.summary.refused) == {"too_old": 1}
