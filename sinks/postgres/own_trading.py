"""Our own orders, fills and positions into their tables: orders by id and newest revision, fills by id."""

from collections.abc import Sequence
from typing import Any

from psycopg2.extensions import cursor as Cursor  # noqa: N812 - a class with a lower-case name
from psycopg2.extras import execute_values

from sinks.postgres.batch import JsonRecord
from sinks.postgres.keys import Keys
from tapewatch.contract import messages, topics
from tapewatch.contract.messages import Cause, Fill, Order, Position
from tapewatch.rfc3339 import from_rfc3339

TABLES = {topics.ORDERS: "own_orders", topics.FILLS: "own_fills", topics.POSITIONS: "own_positions"}
"""The table of each topic: `orders` is the market's own."""

Row = tuple[Any, ...]

_ORDERS = """
INSERT INTO own_orders AS kept (id, revision, instrument_id, mode, side, kind, price, qty, filled, state, reason,
    venue_order_id, signal, created_ns, updated_ns, log_id, log_offset) VALUES %s
ON CONFLICT (id) DO UPDATE SET
    revision = EXCLUDED.revision, instrument_id = EXCLUDED.instrument_id, mode = EXCLUDED.mode, side = EXCLUDED.side,
    kind = EXCLUDED.kind, price = EXCLUDED.price, qty = EXCLUDED.qty, filled = EXCLUDED.filled,
    state = EXCLUDED.state, reason = EXCLUDED.reason, venue_order_id = EXCLUDED.venue_order_id,
    signal = EXCLUDED.signal, created_ns = EXCLUDED.created_ns, updated_ns = EXCLUDED.updated_ns,
    log_id = EXCLUDED.log_id, log_offset = EXCLUDED.log_offset
WHERE EXCLUDED.revision > kept.revision
"""
_FILLS = """
INSERT INTO own_fills (id, order_id, instrument_id, mode, side, price, qty, liquidity, fee, tax, currency, at_ns,
    log_id, log_offset) VALUES %s ON CONFLICT DO NOTHING
"""
_POSITIONS = """
INSERT INTO own_positions (instrument_id, ts_ns, mode, currency, position, cost, cash, realised, unrealised, fees,
    taxes, result, log_id, log_offset) VALUES %s
"""


def times(message: Order | Fill | Position) -> list[str]:
    """The times of a message."""
    if isinstance(message, Order):
        return [message.created, message.updated]
    return [message.at if isinstance(message, Fill) else message.ts]


def merge_orders(cursor: Cursor, keys: Keys, records: Sequence[JsonRecord]) -> None:
    """Orders: the highest revision wins, however they arrive."""
    newest: dict[str, Order] = {}
    for record in records:
        order = messages.decode(Order, record.value)
        if order.id not in newest or order.revision > newest[order.id].revision:
            newest[order.id] = order
    numbers = keys.instruments([each.instrument for each in newest.values()]).tolist()
    rows: list[Row] = [
        (o.id, o.revision, number, o.mode, o.side, o.kind, o.price, o.qty, o.filled, o.state, o.reason,
         o.venue_order_id, o.signal, from_rfc3339(o.created), from_rfc3339(o.updated), *_cause(o.cause, keys))
        for o, number in zip(newest.values(), numbers, strict=True)
    ]  # fmt: skip
    execute_values(cursor, _ORDERS, rows)


def merge_fills(cursor: Cursor, keys: Keys, records: Sequence[JsonRecord]) -> None:
    """Fills: each id once."""
    fills = [messages.decode(Fill, record.value) for record in records]
    numbers = keys.instruments([each.instrument for each in fills]).tolist()
    rows: list[Row] = [
        (f.id, f.order, number, f.mode, f.side, f.price, f.qty, f.liquidity, f.fee, f.tax, f.currency,
         from_rfc3339(f.at), *_cause(f.cause, keys))
        for f, number in zip(fills, numbers, strict=True)
    ]  # fmt: skip
    execute_values(cursor, _FILLS, rows)


def insert_positions(cursor: Cursor, keys: Keys, records: Sequence[JsonRecord]) -> None:
    """Positions: each record once, since offsets move in the same transaction."""
    accounts = [messages.decode(Position, record.value) for record in records]
    numbers = keys.instruments([each.instrument for each in accounts]).tolist()
    rows: list[Row] = [
        (number, from_rfc3339(a.ts), a.mode, a.currency, a.position, a.cost, a.cash, a.realised, a.unrealised, a.fees,
         a.taxes, a.result, *_cause(a.cause, keys))
        for a, number in zip(accounts, numbers, strict=True)
    ]  # fmt: skip
    execute_values(cursor, _POSITIONS, rows)


def _cause(cause: Cause | None, keys: Keys) -> Row:
    return (None, None) if cause is None else (keys.log(cause.topic, cause.partition), cause.offset)
