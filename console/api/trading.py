"""Paper trading: accounts, equity, round trips, orders and fills, and what may be told to the broker.

Round trips of our own trading: from flat to flat again, each with its result. The win rate is made of them.
"""

import asyncio
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import Meta

from console.filters import Glob, seen_by
from console.recent import NS_PER_MS, NS_PER_S, Ms, Stretch
from console.refusal import RefusedError
from console.routing import Call, Route
from tapewatch.contract.instruments import is_instrument_id
from tapewatch.contract.messages import PaperCommit
from tapewatch.desk import paper_commands

FLAT = 1e-9
"""A quantity below this share of the largest one held is nothing: what float sums leave."""


class Execution(NamedTuple):
    """A fill. side : buy or sell; cost : fee and tax together; at_ns : UTC nanoseconds"""

    instrument: str
    side: str
    price: float
    qty: float
    cost: float
    currency: str
    at_ns: int


class RoundTrip(NamedTuple):
    """A position from its first fill to the one that closed it.

    result : what was received less what was paid, fees and taxes taken off, in the currency
    """

    instrument: str
    currency: str
    opened_ns: int
    closed_ns: int
    result: float


@dataclass(slots=True)
class _OpenPosition:
    opened_ns: int = 0
    held: float = 0.0
    largest: float = 0.0
    cash: float = 0.0


def round_trips(fills: Iterable[Execution]) -> Iterator[RoundTrip]:
    """Every closed round trip, in the order in which they closed. fills : in the order of time

    A fill that turns a position around closes one and opens the next; its costs are shared by quantity.
    """
    books: dict[str, _OpenPosition] = {}
    for fill in fills:
        book = books.setdefault(fill.instrument, _OpenPosition(fill.at_ns))
        signed = fill.qty if fill.side == "buy" else -fill.qty
        closing = min(abs(signed), abs(book.held)) if book.held * signed < 0 else abs(signed)
        share = closing / fill.qty
        _add(book, signed * share, fill, share)
        if abs(book.held) <= FLAT * book.largest:
            yield RoundTrip(fill.instrument, fill.currency, book.opened_ns, fill.at_ns, book.cash)
            books[fill.instrument] = book = _OpenPosition(fill.at_ns)
            if share < 1.0:
                _add(book, signed * (1.0 - share), fill, 1.0 - share)


def _add(book: _OpenPosition, signed: float, fill: Execution, share: float) -> None:
    if book.largest == 0.0:
        book.opened_ns = fill.at_ns
    book.held += signed
    book.largest = max(book.largest, abs(book.held))
    book.cash -= signed * fill.price + fill.cost * share


MAX_FILLS = 200_000
"""Fills that round trips are made of: the newest."""


class LimitQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many at most, newest first."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


class Account(msgspec.Struct, frozen=True):
    """An instrument's account at the end of its newest second, in its currency."""

    instrument: str
    at: Ms
    mode: str
    currency: str
    position: float
    cost: float
    realised: float
    unrealised: float
    fees: float
    taxes: float
    result: float


class Equity(msgspec.Struct, frozen=True):
    """Result over time by currency. at : ends of the steps; result : sum of each instrument's newest account"""

    at: list[Ms]
    result: dict[str, list[float]]


class Trips(msgspec.Struct, frozen=True):
    """Closed round trips of one currency. win_rate : share with a result above zero, null for none"""

    currency: str
    closed: int
    won: int
    win_rate: float | None
    result: float
    average_win: float | None
    average_loss: float | None


class Order(msgspec.Struct, frozen=True):
    """An order of ours at its newest revision."""

    id: str
    instrument: str
    mode: str
    side: str
    kind: str
    price: float | None
    qty: float
    filled: float
    state: str
    reason: str
    created: Ms
    updated: Ms


class Fill(msgspec.Struct, frozen=True):
    """An execution of ours."""

    id: str
    order: str
    instrument: str
    side: str
    price: float
    qty: float
    liquidity: str
    fee: float
    tax: float
    currency: str
    at: Ms


class PaperPartition(msgspec.Struct, frozen=True):
    """A partition of the paper broker as its last transaction left it."""

    topic: str
    partition: int
    running: str
    standing: int
    orders: int
    fills: int
    clock: str | None


class Paper(msgspec.Struct, frozen=True):
    """Where paper trading stands. running : start, stop or kill; mixed where partitions differ; empty where none works

    auto : whether an instrument trades unless it is switched off; skipped : signals that led to no order, by reason
    """

    running: str
    auto: bool
    switched: dict[str, bool]
    skipped: dict[str, int]
    partitions: list[PaperPartition]


class PaperCommandRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is told to the broker. instrument : for on and off, else empty; why : the reason, kept in the audit log"""

    action: Literal["start", "stop", "kill", "on", "off"]
    why: Annotated[str, Meta(min_length=3, max_length=500, pattern="^[^\\x00]*$")]
    instrument: Glob = ""


class PaperCommandResponse(msgspec.Struct, frozen=True):
    """A command that was written; the broker takes it between two of its transactions."""

    id: str
    action: str
    instrument: str
    at: str


_ACCOUNTS = """
SELECT i.id, i.name, p.ts_ns, p.mode, p.currency, p.position, p.cost, p.realised, p.unrealised, p.fees, p.taxes,
    p.result
FROM instruments i CROSS JOIN LATERAL (
    SELECT * FROM own_positions WHERE instrument_id = i.id AND mode = 'paper' AND ts_ns <= :until
    ORDER BY ts_ns DESC LIMIT 1
) p WHERE i.id > 0 AND i.name LIKE ANY(:seen) ORDER BY abs(p.result) DESC, i.name
"""
_STEPS = """
SELECT DISTINCT ON (p.instrument_id, step) p.instrument_id, (p.ts_ns - :begin) / :width AS step, p.currency, p.result
FROM own_positions p JOIN instruments i ON i.id = p.instrument_id
WHERE p.ts_ns > :begin AND p.ts_ns <= :end AND p.mode = 'paper' AND i.name LIKE ANY(:seen)
ORDER BY p.instrument_id, step, p.ts_ns DESC
"""
_ORDERS = """
SELECT o.id, i.name, o.mode, o.side, o.kind, o.price, o.qty, o.filled, o.state, o.reason, o.created_ns / 1000000,
    o.updated_ns / 1000000
FROM own_orders o JOIN instruments i ON i.id = o.instrument_id WHERE i.name LIKE ANY(:seen)
ORDER BY o.updated_ns DESC LIMIT :limit
"""
_FILLS = """
SELECT f.id, f.order_id, i.name, f.side, f.price, f.qty, f.liquidity, f.fee, f.tax, f.currency, f.at_ns / 1000000
FROM own_fills f JOIN instruments i ON i.id = f.instrument_id
WHERE i.name LIKE ANY(:seen) AND (NOT :paper OR f.mode = 'paper') ORDER BY f.at_ns DESC, f.id LIMIT :limit
"""
_EVER = 2**63 - 1


async def positions(call: Call) -> list[Account]:
    """The newest account of each instrument that we trade, the largest result first."""
    rows = await call.services.database.rows(_ACCOUNTS, {"seen": seen_by(call.account), "until": _EVER})
    return [Account(row[1], int(row[2]) // NS_PER_MS, *row[3:]) for row in rows]


async def equity(call: Call) -> Equity:
    """The sum of all accounts over time, each instrument's newest one at the end of each step."""
    wanted: Stretch = call.query
    database, may = call.services.database, {"seen": seen_by(call.account)}
    newest = await database.rows(_ACCOUNTS, {**may, "until": _EVER})
    if not newest:
        return Equity([], {})
    end = max(int(row.ts_ns) for row in newest)
    width = max(int(wanted.hours * 3600 * NS_PER_S) // wanted.points, NS_PER_S)
    begin = end - width * wanted.points
    before = await database.rows(_ACCOUNTS, {**may, "until": begin})
    steps = await database.rows(_STEPS, {**may, "begin": begin, "end": end, "width": width})
    return summed(steps, {row.id: (row.currency, row.result) for row in before}, begin, width, wanted.points)


def summed(steps: Sequence[Any], before: dict[int, tuple[str, float]], begin: int, width: int, points: int) -> Equity:
    """Results carried forward and added up by currency; steps before the first account are left out.

    steps : rows of instrument, step, currency, result; before : accounts at `begin`; begin, width : nanoseconds
    """
    changes: dict[int, list[tuple[int, str, float]]] = {}
    for number, step, currency, result in steps:
        changes.setdefault(min(int(step), points - 1), []).append((number, currency, result))
    accounts = dict(before)
    at: list[Ms] = []
    sums: dict[str, list[float]] = {}
    for step in range(points):
        for number, currency, result in changes.get(step, ()):
            accounts[number] = (currency, result)
        if not accounts:
            continue
        totals: dict[str, float] = {}
        for currency, result in accounts.values():
            totals[currency] = totals.get(currency, 0.0) + result
        for currency in totals.keys() - sums.keys():
            sums[currency] = [0.0] * len(at)
        at.append((begin + (step + 1) * width) // NS_PER_MS)
        for currency, values in sums.items():
            values.append(totals.get(currency, 0.0))
    return Equity(at, sums)


async def trips(call: Call) -> list[Trips]:
    """Win rate and result of closed round trips by currency."""
    rows = await call.services.database.rows(_FILLS, {"seen": seen_by(call.account), "paper": True, "limit": MAX_FILLS})
    executions = (
        Execution(row[2], row[3], row[4], row[5], row[7] + row[8], row[9], row[10] * NS_PER_MS)
        for row in reversed(rows)
    )
    by_currency: dict[str, list[RoundTrip]] = {}
    for trip in round_trips(executions):
        by_currency.setdefault(trip.currency, []).append(trip)
    return [_trips(currency, closed) for currency, closed in sorted(by_currency.items())]


def _trips(currency: str, closed: list[RoundTrip]) -> Trips:
    results = sorted(trip.result for trip in closed)
    place = bisect_right(results, 0.0)
    lost, won = results[:place], results[place:]
    return Trips(currency, len(results), len(won), len(won) / len(results), sum(results), _average(won), _average(lost))


def _average(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


async def orders(call: Call) -> list[Order]:
    """Our orders, the one that changed last first."""
    rows = await call.services.database.rows(_ORDERS, {"seen": seen_by(call.account), "limit": call.query.limit})
    return [Order(*row) for row in rows]


async def fills(call: Call) -> list[Fill]:
    """Our executions, newest first."""
    rows = await call.services.database.rows(
        _FILLS, {"seen": seen_by(call.account), "paper": False, "limit": call.query.limit}
    )
    return [Fill(*row) for row in rows]


async def paper(call: Call) -> Paper:
    """The broker's state, from its newest commit record of each partition."""
    commits: list[PaperCommit] = call.services.parts["commits"].paper()
    running = {commit.running for commit in commits}
    skipped: dict[str, int] = {}
    for commit in commits:
        for reason, count in commit.skipped.items():
            skipped[reason] = skipped.get(reason, 0) + count
    switched = {name: on for commit in commits for name, on in commit.switched.items() if call.account.sees(name)}
    return Paper(
        "mixed" if len(running) > 1 else next(iter(running), ""), call.services.settings.paper.auto, switched, skipped,
        [PaperPartition(c.topic, c.partition, c.running, c.standing, c.orders, c.fills, c.clock) for c in commits],
    )  # fmt: skip


async def tell(call: Call) -> PaperCommandResponse:
    """Give the broker a command; the audit log has it first."""
    told: PaperCommandRequest = call.body
    if told.action in ("on", "off"):
        if not is_instrument_id(told.instrument):
            raise RefusedError(422, "on and off need the id of an instrument", "Ids are SYMBOL.VENUE in capitals.")
        call.see(told.instrument)
    elif told.instrument:
        raise RefusedError(422, f"{told.action} is for all instruments", "Leave the instrument out.")
    give = partial(
        paper_commands.give, call.services.settings, told.action, told.instrument, told.why, call.account.name
    )
    command, _ = await asyncio.to_thread(give)
    return PaperCommandResponse(command.id, command.action, command.instrument, command.at)


ROUTES = [
    Route("GET", "/api/v1/positions", positions, "Paper accounts by instrument", page="signals", answer=list[Account]),
    Route("GET", "/api/v1/equity", equity, "Paper result over time", page="signals", query=Stretch, answer=Equity),
    Route("GET", "/api/v1/round-trips", trips, "Win rate of closed round trips", page="signals", answer=list[Trips]),
    Route("GET", "/api/v1/orders", orders, "Own orders", page="signals", query=LimitQuery, answer=list[Order]),
    Route("GET", "/api/v1/fills", fills, "Own executions", page="signals", query=LimitQuery, answer=list[Fill]),
    Route("GET", "/api/v1/paper", paper, "The paper broker's state", page="signals", answer=Paper),
    Route("POST", "/api/v1/paper/commands", tell, "Start, stop, kill; switch an instrument on or off", "analyst",
          "signals", body=PaperCommandRequest, answer=PaperCommandResponse),
]  # fmt: skip
