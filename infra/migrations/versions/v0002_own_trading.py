"""Our own trading, on paper or through a gateway: orders at their newest revision, fills, positions second by second.

`orders` is the market's table of order-level feeds; ours are `own_orders`. What a live order tells has no market
record: its `log_id` and `log_offset` are NULL.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision: str | None = "0001"

_TABLES = ("own_positions", "own_fills", "own_orders")
_TIME = "timestamptz 'epoch' + (t.{0}_ns / 1000) * interval '1 microsecond' AS {0}"


def upgrade() -> None:
    """Create tables and views."""
    _orders()
    _fills()
    _positions()
    told = ["t.kind", "t.price", "qty", "filled", "state", "reason", "venue_order_id", "signal"]
    _view("own_orders", ["t.id", "revision", "mode", "side", *told, _TIME.format("created"), _TIME.format("updated")])
    told = ["t.price", "qty", "liquidity", "fee", "tax", "t.currency"]
    _view("own_fills", ["t.id", "order_id", "mode", "side", *told, _TIME.format("at")])
    money = ["t.currency", "position", "cost", "cash", "realised", "unrealised", "fees", "taxes", "result"]
    _view("own_positions", ["mode", _TIME.format("ts"), *money])


def downgrade() -> None:
    """Drop them."""
    for table in _TABLES:
        op.execute(f"DROP TABLE {table} CASCADE")


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, nullable=False) for name in names]


def _floats(*names: str) -> list[sa.Column[float]]:
    return [sa.Column(name, sa.Double, nullable=False) for name in names]


def _times(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger, nullable=False) for name in names]


def _instrument() -> sa.Column[int]:
    return sa.Column("instrument_id", sa.Integer, nullable=False)


def _cause() -> list[sa.Column[int]]:
    """The market record that a row comes from, where there is one."""
    return [sa.Column("log_id", sa.Integer), sa.Column("log_offset", sa.BigInteger)]


def _orders() -> None:
    op.create_table(
        "own_orders",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("revision", sa.Integer, nullable=False),
        _instrument(),
        *_texts("mode", "side", "kind"),
        sa.Column("price", sa.Double),
        *_floats("qty", "filled"),
        *_texts("state", "reason", "venue_order_id", "signal"),
        *_times("created_ns", "updated_ns"),
        *_cause(),
        comment="orders of ours, paper or live, at their newest revision",
    )
    op.create_index("ix_own_orders_instrument", "own_orders", ["instrument_id", "created_ns"])


def _fills() -> None:
    op.create_table(
        "own_fills",
        sa.Column("id", sa.Text, primary_key=True),
        *_texts("order_id"),
        _instrument(),
        *_texts("mode", "side"),
        *_floats("price", "qty"),
        *_texts("liquidity"),
        *_floats("fee", "tax"),
        *_texts("currency"),
        *_times("at_ns"),
        *_cause(),
        comment="executions of our orders",
    )
    op.create_index("ix_own_fills_instrument", "own_fills", ["instrument_id", "at_ns"])
    op.create_index("ix_own_fills_order", "own_fills", ["order_id"])


def _positions() -> None:
    money = ("position", "cost", "cash", "realised", "unrealised", "fees", "taxes", "result")
    op.create_table(
        "own_positions",
        _instrument(),
        *_times("ts_ns"),
        *_texts("mode", "currency"),
        *_floats(*money),
        *_cause(),
        postgresql_partition_by="RANGE (ts_ns)",
        comment="accounts of the instruments that we trade, at the end of each second",
    )
    op.create_index("ix_own_positions_time", "own_positions", ["ts_ns"], postgresql_using="brin")
    op.create_index("ix_own_positions_instrument", "own_positions", ["instrument_id", "ts_ns"])


def _view(table: str, columns: Sequence[str]) -> None:
    """A view with the instrument's name and the market record's place."""
    chosen = ", ".join(["i.name AS instrument", *columns, "l.topic", "l.partition", "t.log_offset"])
    joins = "JOIN instruments i ON i.id = t.instrument_id LEFT JOIN logs l ON l.id = t.log_id"
    op.execute(f"CREATE VIEW v_{table} AS SELECT {chosen} FROM {table} t {joins}")  # noqa: S608 - of constants alone
