"""The minutes around an alert: seconds of prices and features, trades and books, from PostgreSQL, in columns."""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from console.database import Database
from tapewatch.clock import NANOS

MILLI = 1_000_000
LONGEST_S = 1800
TRADES = 5000
BOOKS = 1500
USUAL = ("volume_z", "imbalance_60s", "spread_bps", "quote_rate_1s")
"""Features that are shown beside those of the evidence: activity, who presses, cost of trading, quoting."""

_LEVELS = range(1, 6)
_SIDES = [f"{side}_{what}" for side in ("bid", "ask") for what in ("price", "qty")]


class Span(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much. before : the onset, s; after : the decision, s; books : whether the replay is wanted"""

    before: Annotated[int, Meta(ge=10, le=900)] = 180
    after: Annotated[int, Meta(ge=0, le=900)] = 120
    books: bool = True


class Seconds(msgspec.Struct, frozen=True):
    """Prices second by second, of those seconds that traded; of quotes where there are no trades.

    t : begin of the second, ms since 1970; buys : volume of buyers who aggressed, as far as the feed tells
    """

    t: list[int]
    open: list[float | None]
    high: list[float | None]
    low: list[float | None]
    close: list[float | None]
    volume: list[float | None]
    buys: list[float | None]


class Features(msgspec.Struct, frozen=True):
    """The evidence's features second by second; null where a feature was not warm. t : close of the second, ms"""

    t: list[int]
    values: dict[str, list[float | None]]


class Points(msgspec.Struct, frozen=True):
    """One series. t : ms"""

    t: list[int]
    value: list[float | None]


class Trades(msgspec.Struct, frozen=True):
    """Single trades. t : ms; side : 1 buyer aggressed, -1 seller, 0 unknown"""

    t: list[float]
    price: list[float]
    qty: list[float]
    side: list[int]


class Books(msgspec.Struct, frozen=True):
    """The best levels moment by moment, best first; null where a level is empty. t : ms; step_ms : what is left out"""

    t: list[float]
    bid_price: list[list[float | None]]
    bid_qty: list[list[float | None]]
    ask_price: list[list[float | None]]
    ask_qty: list[list[float | None]]
    step_ms: float


class Context(msgspec.Struct, frozen=True):
    """What is drawn around an alert. Times in ms since 1970.

    scores : calibrated probability second by second, by detector; cut : whether trades beyond the limit are left out
    """

    instrument: str
    start: int
    end: int
    onset: float
    decided: float
    seconds: Seconds
    features: Features
    scores: dict[str, Points]
    trades: Trades
    books: Books
    cut: bool


_PRICES = """
SELECT ts_recv_ns / 1000000000 AS second, (array_agg(price ORDER BY ts_recv_ns, log_offset))[1], max(price), min(price),
(array_agg(price ORDER BY ts_recv_ns DESC, log_offset DESC))[1], sum(qty),
sum(CASE WHEN aggressor_side = 1 THEN qty ELSE 0 END)
FROM trades WHERE instrument_id = :number AND ts_recv_ns >= :start AND ts_recv_ns < :end AND condition < 4
GROUP BY second ORDER BY second
"""
_QUOTED = """
SELECT second, (array_agg(price ORDER BY at))[1], max(price), min(price), (array_agg(price ORDER BY at DESC))[1],
greatest(max(volume) - min(volume), 0), NULL FROM (
  SELECT ts_recv_ns AS at, ts_recv_ns / 1000000000 AS second, nullif(volume, 'NaN') AS volume,
  coalesce(nullif(last_price, 'NaN'), (nullif(bid_price, 'NaN') + nullif(ask_price, 'NaN')) / 2) AS price
  FROM quotes WHERE instrument_id = :number AND ts_recv_ns >= :start AND ts_recv_ns < :end
) q GROUP BY second ORDER BY second
"""
_TRADES = """
SELECT ts_recv_ns, price, qty, aggressor_side FROM trades
WHERE instrument_id = :number AND ts_recv_ns >= :start AND ts_recv_ns < :end AND condition < 4
ORDER BY ts_recv_ns, log_offset LIMIT :limit
"""
_BOOK_COLUMNS = ", ".join(f"{column}_{level}" for column in _SIDES for level in _LEVELS)
_TOUCH = ", ".join(
    f"{column} AS {column}_1, " + ", ".join(f"cast('NaN' AS float) AS {column}_{level}" for level in list(_LEVELS)[1:])
    for column in _SIDES
)
_BOOKS = """
SELECT DISTINCT ON ((ts_recv_ns - :start) / :step) ts_recv_ns, {columns}
FROM {table} WHERE instrument_id = :number AND ts_recv_ns >= :start AND ts_recv_ns < :end
ORDER BY (ts_recv_ns - :start) / :step, ts_recv_ns DESC, log_offset DESC
"""
_SCORES = """
SELECT m.detector, s.ts_ns, s.probability FROM scores s JOIN score_models m ON m.id = s.model_id
WHERE s.instrument_id = :number AND s.ts_ns >= :start AND s.ts_ns <= :end ORDER BY m.detector, s.ts_ns LIMIT 20000
"""
_KNOWN = """
SELECT attname FROM pg_attribute WHERE attrelid = cast('features' AS regclass) AND attnum > 0 AND NOT attisdropped
AND atttypid = cast('real' AS regtype) AND attname = ANY(:wanted)
"""


async def around(
    database: Database, number: int, name: str, onset: int, decided: int, features: Sequence[str], span: Span
) -> Context:
    """The minutes around an alert of one instrument.

    number, name : the instrument; onset, decided : UTC nanoseconds
    features : names in the evidence; those that are computed each second come as series
    """
    end = decided // NANOS * NANOS + (span.after + 1) * NANOS
    start = max(onset // NANOS * NANOS - span.before * NANOS, end - LONGEST_S * NANOS)
    bound = {"number": number, "start": start, "end": end}
    prices = await database.rows(_PRICES, bound) or await database.rows(_QUOTED, bound)
    trades = await database.rows(_TRADES, bound | {"limit": TRADES + 1})
    return Context(
        instrument=name,
        start=start // MILLI,
        end=end // MILLI,
        onset=onset / MILLI,
        decided=decided / MILLI,
        seconds=_seconds(prices),
        features=await _features(database, bound, [*features, *USUAL]),
        scores=await _scores(database, bound),
        trades=_trades(trades[:TRADES]),
        books=await _books(database, bound) if span.books else _book_columns([], 0.0),
        cut=len(trades) > TRADES,
    )


def _seconds(rows: Sequence[Any]) -> Seconds:
    columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(7)]
    return Seconds([int(second) * 1000 for second in columns[0]], *columns[1:])


def _trades(rows: Sequence[Any]) -> Trades:
    return Trades([row[0] / MILLI for row in rows], *([row[index] for row in rows] for index in (1, 2, 3)))


async def _features(database: Database, bound: dict[str, int], wanted: Sequence[str]) -> Features:
    """Those of the wanted features that the engine writes each second."""
    known = {row[0] for row in await database.rows(_KNOWN, {"wanted": list(wanted)})}
    names = [name for name in dict.fromkeys(wanted) if name in known]
    if not names:
        return Features([], {})
    columns = ", ".join('"' + name.replace('"', '""') + '"' for name in names)
    rows = await database.rows(
        f"SELECT ts_ns, {columns} FROM features WHERE instrument_id = :number "  # noqa: S608 - names of real columns
        "AND ts_ns >= :start AND ts_ns <= :end ORDER BY ts_ns",
        bound,
    )
    return Features(
        [row[0] // MILLI for row in rows],
        {name: [row[place] for row in rows] for place, name in enumerate(names, 1)},
    )


async def _scores(database: Database, bound: dict[str, int]) -> dict[str, Points]:
    """The detectors' probabilities of manipulation."""
    rows = await database.rows(_SCORES, bound)
    found: dict[str, Points] = {}
    for detector, second, probability in rows:
        series = found.setdefault(detector, Points([], []))
        series.t.append(second // MILLI)
        series.value.append(probability)
    return found


async def _books(database: Database, bound: dict[str, int]) -> Books:
    """The last book of each step; the best bid and ask of quotes where there are no books."""
    step = max((bound["end"] - bound["start"]) // BOOKS, 100 * MILLI)
    for table, columns in (("books", _BOOK_COLUMNS), ("quotes", _TOUCH)):
        rows = await database.rows(_BOOKS.format(table=table, columns=columns), bound | {"step": step})
        if rows:
            return _book_columns(rows, step / MILLI)
    return _book_columns([], step / MILLI)


def _book_columns(rows: Sequence[Any], step_ms: float) -> Books:
    depth = len(_LEVELS)
    sides = [[list(row[1 + depth * side : 1 + depth * (side + 1)]) for row in rows] for side in range(len(_SIDES))]
    bid_price, bid_qty, ask_price, ask_qty = sides
    return Books([row[0] / MILLI for row in rows], bid_price, bid_qty, ask_price, ask_qty, step_ms)
