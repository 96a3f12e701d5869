"""The coverage record of a day, on a real PostgreSQL."""

import json
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from tapewatch import cli
from tapewatch.clock import NANOS
from tapewatch.desk.coverage import InstrumentCoverage, day_ns, record
from tapewatch.errors import TapewatchError
from tapewatch.settings import Settings

DAY = "2026-01-30"
START = day_ns(DAY)
AAA, BBB = 901, 902


def at(second: float) -> int:
    return START + int(second * NANOS)


@pytest.fixture
def session(ours: Settings) -> Iterator[sa.Connection]:
    """Two instruments on one log: AAA with trades, quotes and venue bars, BBB halted for a minute."""
    engine = sa.create_engine(ours.postgres.url)
    with engine.begin() as made:
        for table in ("features", "coverage", "trades", "quotes", "bars"):
            made.execute(sa.text(f"CREATE TABLE {table}_rest PARTITION OF {table} DEFAULT"))
        made.execute(sa.text("INSERT INTO logs (id, topic, partition) VALUES (7, 'market.t', 0)"))
        made.execute(sa.text("INSERT INTO instruments (id, name) VALUES (901, 'COVERED.XTST'), (902, 'HALTED.XTST')"))
        fill(made)
    with engine.connect() as reader:
        yield reader
    engine.dispose()


def fill(session: sa.Connection) -> None:
    def put(table: str, **columns: object) -> None:
        names = ", ".join(columns)
        values = ", ".join(f":{name}" for name in columns)
        session.execute(sa.text(f"INSERT INTO {table} ({names}) VALUES ({values})"), columns)

    place = {"log_id": 7, "log_offset": 0}
    nothing = {
        row[0]: 0.0
        for row in session.execute(
            sa.text(
                "SELECT attname FROM pg_attribute WHERE attrelid = 'features'::regclass AND attnum > 0 "
                "AND atttypid = 'real'::regtype AND NOT attisdropped"
            )
        )
    }
    for second in [0, *range(10, 110)]:
        # A second is closed at its end: the row at midnight belongs to the day before.
        put("features", instrument_id=AAA, ts_ns=at(second), **nothing, **place)
        if 40 <= second < 100:
            continue
        put("features", instrument_id=BBB, ts_ns=at(second), **nothing, **place)
    stretch = {"log_id": 7, "log_offset": 0}
    put("coverage", instrument_id=BBB, start_ns=at(40), end_ns=at(100), reason="halt", seconds=60, **stretch)
    put("coverage", instrument_id=0, start_ns=at(-50), end_ns=at(10), reason="silent", seconds=120, **stretch)
    put("coverage", instrument_id=0, start_ns=at(-900), end_ns=at(-800), reason="silent", seconds=200, **stretch)

    def trade(second: float, qty: float, condition: int = 0) -> None:
        times = {"ts_event_ns": at(second), "ts_recv_ns": at(second) + 5}
        put(
            "trades", instrument_id=AAA, price=100.0, qty=qty, aggressor_side=1, condition=condition, **times, **place
        )  # fmt: skip

    trade(15, 1.0)
    trade(25, 2.0)
    trade(35, 3.0, condition=1)
    trade(45, 40.0, condition=2)
    trade(55, 3.0, condition=4)
    for number, (second, volume) in enumerate([(20, 11.0), (30, 13.0), (36, 16.0), (60, 13.5), (70, float("nan"))]):
        put(
            "quotes", instrument_id=AAA, bid_price=1.0, bid_qty=1.0, ask_price=2.0, ask_qty=1.0, last_price=1.0,
            volume=volume, ts_event_ns=at(second), ts_recv_ns=at(second) + 5, log_id=7, log_offset=number,
        )  # fmt: skip

    def bar(minute: int, volume: float, trades: int, offset: int, interval: int = 60) -> None:
        prices = {"open": 1.0, "high": 1.0, "low": 1.0, "close": 1.0}
        put(
            "bars", instrument_id=AAA, ts_ns=at(60 * minute + 61), ts_open_ns=at(60 * minute), interval_s=interval,
            volume=volume, trades=trades, origin=1, log_id=7, log_offset=offset, **prices,
        )  # fmt: skip

    bar(0, 2.0, 2, 1)
    bar(0, 4.0, 2, 2)
    bar(0, 99.0, 9, 3, interval=3600)


def found(session: sa.Connection, instrument: str) -> InstrumentCoverage:
    (each,) = [each for each in record(session, DAY).instruments if each.instrument == instrument]
    return each


def test_seconds_watched_and_not_watched_are_told_by_reason(session: sa.Connection) -> None:
    calm, halted = found(session, "COVERED.XTST"), found(session, "HALTED.XTST")
    assert (calm.watched, calm.missed, calm.topic) == (100, {"silent": 10}, "market.t[0]")
    assert calm.share == pytest.approx(100 / 110)
    assert (halted.watched, halted.missed) == (40, {"halt": 60, "silent": 10})


def test_on_book_trades_are_counted_and_cancellations_taken_off(session: sa.Connection) -> None:
    calm = found(session, "COVERED.XTST")
    assert (calm.trades, calm.volume, calm.other) == (2, 3.0, 40.0)


def test_trades_are_held_against_the_venues_totals(session: sa.Connection) -> None:
    quotes, bars = found(session, "COVERED.XTST").totals
    # From the first quote on: 2 + 3, then a volume that begins anew at 13.5.
    assert (quotes.source, quotes.venue, quotes.seen, quotes.venue_trades) == ("quotes", 18.5, 2.0, None)
    assert not quotes.agrees
    # The bar as it was told last, of the shortest interval.
    assert (bars.source, bars.venue, bars.seen, bars.venue_trades, bars.seen_trades) == ("bars", 4.0, 3.0, 2, 2)
    assert bars.difference == pytest.approx(-0.25)


def test_one_instrument_is_asked_for_alone(session: sa.Connection) -> None:
    assert [each.instrument for each in record(session, DAY, "HALTED.XTST").instruments] == ["HALTED.XTST"]
    assert record(session, DAY, "NOBODY.XTST").instruments == ()
    assert record(session, "2026-01-31").instruments == ()


def test_command_prints_one_document(
    session: sa.Connection, ours: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TAPEWATCH_POSTGRES_URL", ours.postgres.url)
    assert cli.main(["coverage", "--day", DAY, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["instruments"]) == 2
    assert cli.main(["coverage", "--day", DAY]) == 0
    assert "60 s halt" in capsys.readouterr().out
    with pytest.raises(TapewatchError, match="is no day"):
        day_ns("2026-13-01")
