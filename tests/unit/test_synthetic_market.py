"""The synthetic market keeps the row contract, its books are sound, and the same seed gives the same market."""

from collections import defaultdict
from decimal import Decimal

import msgspec
import numpy as np
import pytest

from producers.synthetic import PlannedEvent, SyntheticConfig, SyntheticMarket
from tapewatch.clock import NANOS
from tapewatch.contract.instruments import is_instrument_id
from tapewatch.contract.rows import OPTIONAL, REQUIRED, Chunk, Condition, RowType, StatusKind, numpy_dtype

START = 1_750_000_000 * NANOS
SMALL = SyntheticConfig(
    instruments=24,
    rows_per_second=480.0,
    seconds=600,
    warmup_s=120.0,
    gap_s=5.0,
    plan=tuple(
        PlannedEvent(scenario, float(at))
        for at, scenario in enumerate(
            (
                "pump_and_dump",
                "news_jump",
                "spoofing",
                "layering",
                "quote_stuffing",
                "ramping",
                "large_order",
                "mm_refresh",
                "auction",
                "halt",
            )
        )
    ),
)
Columns = dict[str, np.ndarray]


def table(chunks: list[Chunk], row_type: RowType) -> Columns:
    """All rows of a type in one set of columns."""
    parts = defaultdict(list)
    for chunk in chunks:
        for rows in chunk.rows:
            if rows.type is row_type:
                for name, column in rows.columns.items():
                    parts[name].append(column)
    return {name: np.concatenate(columns) for name, columns in parts.items()}


@pytest.fixture(scope="module")
def market() -> SyntheticMarket:
    return SyntheticMarket(SMALL, seed=7, start_ns=START)


@pytest.fixture(scope="module")
def chunks(market: SyntheticMarket) -> list[Chunk]:
    return list(market.chunks())


def test_each_chunk_is_one_second_and_each_type_is_in_receipt_order(chunks: list[Chunk]) -> None:
    assert len(chunks) == SMALL.seconds
    for second, chunk in enumerate(chunks):
        assert chunk.end_ns == START + (second + 1) * NANOS
        assert [rows.type for rows in chunk.rows] == sorted(rows.type for rows in chunk.rows)
        for rows in chunk.rows:
            assert len(rows) > 0
            assert (np.diff(rows.ts_recv) >= 0).all()
            assert rows.ts_recv[0] >= START + second * NANOS
            assert rows.ts_recv[-1] < chunk.end_ns


def test_columns_are_those_of_the_contract(market: SyntheticMarket, chunks: list[Chunk]) -> None:
    for rows in (rows for chunk in chunks for rows in chunk.rows):
        assert rows.instruments is chunks[0].rows[0].instruments
        kinds = dict(REQUIRED[rows.type])
        extra = set(rows.columns) - set(kinds)
        assert not set(kinds) - set(rows.columns)
        assert extra <= {name for name, _ in OPTIONAL[rows.type]}
        for name, kind in kinds.items():
            assert rows.columns[name].dtype == numpy_dtype(kind), name
            assert len(rows.columns[name]) == len(rows)
        assert (rows.columns["ts_event"] < rows.ts_recv).all()
        assert (rows.ts_recv - rows.columns["ts_event"] < NANOS).all()
    assert tuple(chunks[0].rows[0].instruments) == tuple(one.id for one in market.instruments)


def test_reference_data_is_complete(market: SyntheticMarket) -> None:
    assert len(market.instruments) == SMALL.instruments
    for instrument in market.instruments:
        assert is_instrument_id(instrument.id)
        assert instrument.id.endswith(".SIMX")
        assert instrument.name
        assert instrument.ticks
        assert instrument.lot >= 1.0


def test_books_are_sorted_never_crossed_and_hold_positive_sizes(chunks: list[Chunk]) -> None:
    books = table(chunks, RowType.BOOK)
    assert books["bid_price"].shape[1] == 10
    assert (books["bid_price"][:, 0] < books["ask_price"][:, 0]).all()
    assert (np.diff(books["bid_price"], axis=1) < 0).all()
    assert (np.diff(books["ask_price"], axis=1) > 0).all()
    assert (books["bid_qty"] > 0).all()
    assert (books["ask_qty"] > 0).all()
    for instrument in range(SMALL.instruments):
        assert (np.diff(books["sequence"][books["instrument"] == instrument]) == 1).all()


def test_quotes_are_never_crossed_and_show_the_last_trade_and_all_volume(chunks: list[Chunk]) -> None:
    quotes, trades = table(chunks, RowType.QUOTE), table(chunks, RowType.TRADE)
    assert (quotes["bid_price"] < quotes["ask_price"]).all()
    assert (quotes["bid_qty"] > 0).all()
    assert (quotes["ask_qty"] > 0).all()
    for instrument in range(SMALL.instruments):
        mine = trades["instrument"] == instrument
        total = np.concatenate(([0.0], np.cumsum(trades["qty"][mine])))
        theirs = quotes["instrument"] == instrument
        seen = np.searchsorted(trades["ts_recv"][mine], quotes["ts_recv"][theirs], side="right")
        np.testing.assert_array_equal(quotes["volume"][theirs], total[seen])
        np.testing.assert_array_equal(quotes["last_price"][theirs], trades["price"][mine][seen - 1])


def test_prices_lie_on_the_tick_and_survive_the_round_trip(market: SyntheticMarket, chunks: list[Chunk]) -> None:
    trades, books = table(chunks, RowType.TRADE), table(chunks, RowType.BOOK)
    for number, instrument in enumerate(market.instruments):
        prices = np.unique(
            np.concatenate(
                (
                    trades["price"][trades["instrument"] == number],
                    books["bid_price"][books["instrument"] == number].ravel(),
                    books["ask_price"][books["instrument"] == number].ravel(),
                )
            )
        )
        for price in prices:
            size = max((tick for tick in instrument.ticks if tick.price <= price), key=lambda tick: tick.price).size
            assert Decimal(repr(float(price))) % Decimal(repr(size)) == 0, (instrument.id, price)
        qty = trades["qty"][trades["instrument"] == number]
        assert (qty > 0).all()
        assert (qty % instrument.lot == 0).all()


def test_trades_of_an_instrument_have_times_of_their_own_and_hit_a_side(chunks: list[Chunk]) -> None:
    trades = table(chunks, RowType.TRADE)
    for instrument in range(SMALL.instruments):
        assert (np.diff(trades["ts_recv"][trades["instrument"] == instrument]) > 0).all()
    regular = trades["condition"] == Condition.REGULAR
    assert set(trades["aggressor_side"][regular]) == {-1, 1}
    assert len(set(trades["trade_id"])) == len(trades["trade_id"])


def test_regular_trades_happen_at_the_touch_that_was_quoted(chunks: list[Chunk]) -> None:
    quotes, trades = table(chunks, RowType.QUOTE), table(chunks, RowType.TRADE)
    calm = (trades["ts_recv"] < START + 120 * NANOS) & (trades["condition"] == Condition.REGULAR)
    for instrument in range(SMALL.instruments):
        mine = calm & (trades["instrument"] == instrument)
        theirs = quotes["instrument"] == instrument
        at = np.searchsorted(quotes["ts_recv"][theirs], trades["ts_recv"][mine]) - 1
        known = at >= 0
        bid, ask = quotes["bid_price"][theirs][at], quotes["ask_price"][theirs][at]
        price, side = trades["price"][mine], trades["aggressor_side"][mine]
        assert (np.where(side > 0, price >= ask, price <= bid) | ~known).all()


def test_opening_auction_comes_before_continuous_trading(chunks: list[Chunk]) -> None:
    status, trades, quotes = (table(chunks, kind) for kind in (RowType.STATUS, RowType.TRADE, RowType.QUOTE))
    for instrument in range(SMALL.instruments):
        kinds = status["kind"][status["instrument"] == instrument]
        assert list(kinds[:2]) == [StatusKind.AUCTION, StatusKind.OPEN]
        mine = np.flatnonzero(trades["instrument"] == instrument)
        assert trades["condition"][mine[0]] == Condition.AUCTION
        opened = status["ts_recv"][status["instrument"] == instrument][1]
        assert trades["ts_recv"][mine[0]] >= opened
        assert quotes["ts_recv"][quotes["instrument"] == instrument][0] >= opened


def test_halted_instrument_is_silent_until_it_resumes(market: SyntheticMarket, chunks: list[Chunk]) -> None:
    status = table(chunks, RowType.STATUS)
    halted = np.flatnonzero(status["kind"] == StatusKind.HALT)
    resumed = np.flatnonzero(status["kind"] == StatusKind.RESUME)
    assert len(halted) == len(resumed) == 1
    instrument = status["instrument"][halted[0]]
    assert status["instrument"][resumed[0]] == instrument
    since, until = status["ts_recv"][halted[0]], status["ts_recv"][resumed[0]]
    assert until - since >= 60 * NANOS
    for kind in (RowType.TRADE, RowType.QUOTE, RowType.BOOK):
        rows = table(chunks, kind)
        mine = rows["ts_recv"][rows["instrument"] == instrument]
        assert not ((mine >= since) & (mine < until)).any()
        assert (mine >= until).any()


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_each_time(market: SyntheticMarket, chunks: list[Chunk]) -> None:
    again = SyntheticMarket(SMALL, seed=7, start_ns=START)
    assert again.fingerprint == market.fingerprint
    assert again.instruments == market.instruments
    for first, second in zip(chunks, again.chunks(), strict=True):
        for one, other in zip(first.rows, second.rows, strict=True):
            assert one.type is other.type
            for name, column in one.columns.items():
                assert column.dtype == other.columns[name].dtype
                assert column.tolist() == other.columns[name].tolist()
    assert again.labels() == market.labels()


def test_seeds_and_starts_differ(market: SyntheticMarket, chunks: list[Chunk]) -> None:
    other = SyntheticMarket(msgspec.structs.replace(SMALL, seconds=30), seed=8, start_ns=START)
    theirs, ours = table(list(other.chunks()), RowType.TRADE), table(chunks[:30], RowType.TRADE)
    assert len(theirs["price"]) != len(ours["price"]) or (theirs["price"] != ours["price"]).any()
    later = SyntheticMarket(SMALL, seed=7, start_ns=START + NANOS)
    assert len({market.fingerprint, other.fingerprint, later.fingerprint}) == 3


def test_rows_come_at_about_the_rate_asked_for() -> None:
    config = SyntheticConfig(instruments=200, rows_per_second=4000.0, seconds=60, seasonality=0.0)
    counts = [sum(len(rows) for rows in chunk.rows) for chunk in SyntheticMarket(config, 3, START).chunks()]
    assert 3600 <= np.mean(counts[20:]) <= 4400


def test_start_is_cut_to_the_whole_second() -> None:
    market = SyntheticMarket(msgspec.structs.replace(SMALL, seconds=1), seed=1, start_ns=START + 123)
    assert next(market.chunks()).end_ns == START + NANOS


def test_settings_that_make_no_sense_are_refused() -> None:
    for bad in ({"correlation": 0.9}, {"strength_low": 0.9, "strength_high": 0.1}, {"instruments": 0}, {"rubbish": 1}):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(bad, SyntheticConfig)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"plan": [{"scenario": "sunshine", "at_s": 1.0}]}, SyntheticConfig)
