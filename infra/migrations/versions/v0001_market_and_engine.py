"""Market rows, what the engine makes of them, and how far the sink has come.

Times are bigint nanoseconds (PostgreSQL's own times end at microseconds); the views `v_*` show them as timestamptz,
with names. Bulk tables have no foreign keys and no unique index: the sink writes each row once because its offsets move
in the same transaction.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from infra.migrations.views_0001 import create_views

revision = "0001"
down_revision: str | None = None

BIG, INT, SMALL, REAL, FLOAT, TEXT = sa.BigInteger, sa.Integer, sa.SmallInteger, sa.REAL, sa.Double, sa.Text

FEATURES = (
    "ret_1s", "ret_5s", "ret_10s", "ret_30s", "ret_60s", "ret_300s", "ret_900s", "rv_60s", "rv_300s", "ewma_vol",
    "volume_1s", "trades_1s", "signed_volume_1s", "volume_60s", "trades_60s", "imbalance_60s", "volume_z",
    "trades_z", "imbalance_z", "rush_1s", "rush_25s", "spread_bps", "spread_ratio", "microprice_dev_bps",
    "depth_imb_1", "depth_imb_5", "depth_imb_10", "ofi_1s", "ofi_10s", "ofi_60s", "depth_added_10s",
    "depth_removed_10s", "quote_rate_1s", "quote_rate_60s", "amihud_300s", "vwap_dev_bps", "high_dist_bps",
    "low_dist_bps", "price_change_1m_pct", "volume_change_1m_pct",
)  # fmt: skip
"""The feature columns of this revision; the sink adds those that a later engine writes."""

LEVELS = [f"{side}_{what}_{level}" for side in ("bid", "ask") for what in ("price", "qty") for level in range(1, 6)]

Kind = type[sa.types.TypeEngine[Any]]


def upgrade() -> None:
    """Create everything."""
    _keys()
    _market_tables()
    _engine_tables()
    _message_tables()
    _sink_tables()
    create_views(LEVELS)


def downgrade() -> None:
    """Drop everything."""
    op.execute("DROP FUNCTION tapewatch_refresh_features_view()")
    for table in CREATED:
        op.execute(f'DROP TABLE "{table}" CASCADE')


CREATED = (
    "dead_letters", "sink_sources", "sink_offsets", "audit", "coverage", "signals", "alert_history", "alerts", "scores",
    "score_models", "features", "bars", "status", "orders", "books", "trades", "quotes", "instruments", "logs",
)  # fmt: skip


def _all(kind: Kind, names: Sequence[str]) -> list[sa.Column[Any]]:
    """Columns of one type that are always there."""
    return [sa.Column(name, kind, nullable=False) for name in names]


def _position() -> list[sa.Column[Any]]:
    """The market log's record that a row comes from."""
    return [*_all(INT, ["log_id"]), *_all(BIG, ["log_offset"])]


def _by_day(table: str, time: str, *columns: sa.Column[Any], key: Sequence[str] = ()) -> None:
    """A table partitioned by range of `time`, indexed by time and by instrument and time."""
    keys = [sa.PrimaryKeyConstraint(*key)] if key else []
    instrument = sa.Column("instrument_id", INT, nullable=False)
    op.create_table(table, instrument, *columns, *keys, postgresql_partition_by=f"RANGE ({time})")
    # Rows arrive in the order of time: a block-range index finds a stretch of it at almost no cost to the writer.
    op.create_index(f"ix_{table}_time", table, [time], postgresql_using="brin")
    op.create_index(f"ix_{table}_instrument", table, ["instrument_id", time])


def _keys() -> None:
    """Names that rows refer to by number."""
    op.create_table(
        "logs",
        sa.Column("id", INT, primary_key=True),
        *_all(TEXT, ["topic"]),
        *_all(INT, ["partition"]),
        sa.UniqueConstraint("topic", "partition"),
        comment="partitions of topics, by the number that rows carry in log_id",
    )
    op.create_table(
        "instruments",
        sa.Column("id", INT, primary_key=True),
        sa.Column("name", TEXT, nullable=False, unique=True),
        *(sa.Column(name, TEXT) for name in ("long_name", "currency", "kind")),
        *(sa.Column(name, FLOAT) for name in ("lot", "price_limit")),
        sa.Column("registered_at_ns", BIG),
        sa.Column("reference", JSONB),
        comment="instrument ids (name is SYMBOL.VENUE) with their reference data; number 0 is every instrument",
    )
    op.execute("INSERT INTO instruments (id, name) VALUES (0, '*')")
    op.create_table(
        "score_models",
        sa.Column("id", INT, primary_key=True),
        *_all(TEXT, ["detector", "version"]),
        sa.UniqueConstraint("detector", "version"),
        comment="detectors and model versions, by the number that scores carry",
    )


def _market_tables() -> None:
    """One table a row type of the market log."""
    times = ["ts_event_ns", "ts_recv_ns"]
    touch = ["bid_price", "bid_qty", "ask_price", "ask_qty", "last_price", "volume"]
    texts = ["trade_id", "buyer_account", "seller_account", "buyer_order_id", "seller_order_id"]
    _by_day("quotes", "ts_recv_ns", *_all(BIG, times), *_all(FLOAT, touch), *_position())
    _by_day(
        "trades",
        "ts_recv_ns",
        *_all(BIG, times),
        *_all(FLOAT, ["price", "qty"]),
        *_all(SMALL, ["aggressor_side", "condition"]),
        *_position(),
        *(sa.Column(name, TEXT) for name in texts),
    )
    _by_day("books", "ts_recv_ns", *_all(BIG, times), *_all(BIG, ["sequence"]), *_all(FLOAT, LEVELS), *_position())
    _by_day(
        "orders",
        "ts_recv_ns",
        *_all(BIG, times),
        *_all(SMALL, ["action", "side"]),
        *_all(FLOAT, ["price", "qty"]),
        *_position(),
        *_all(TEXT, ["order_id"]),
        sa.Column("account", TEXT),
        sa.Column("capacity", TEXT),
    )
    _by_day("status", "ts_recv_ns", *_all(BIG, times), *_all(SMALL, ["kind"]), *_position(), *_all(TEXT, ["detail"]))
    _by_day(
        "bars",
        "ts_ns",
        *_all(BIG, ["ts_ns", "ts_open_ns"]),
        *_all(INT, ["interval_s"]),
        *_all(FLOAT, ["open", "high", "low", "close", "volume"]),
        *_all(BIG, ["trades"]),
        *_all(SMALL, ["origin"]),
        *_position(),
    )


def _engine_tables() -> None:
    """What the engine computes each second."""
    _by_day("features", "ts_ns", *_all(BIG, ["ts_ns"]), *_position(), *(sa.Column(name, REAL) for name in FEATURES))
    _by_day(
        "scores",
        "ts_ns",
        *_all(BIG, ["ts_ns"]),
        *_all(INT, ["model_id"]),
        *_all(REAL, ["raw", "probability"]),
        *_position(),
    )


def _message_tables() -> None:
    """JSON messages and the audit log."""
    op.create_table(
        "alerts",
        sa.Column("id", TEXT, primary_key=True),
        *_all(TEXT, ["scenario"]),
        *_all(INT, ["instrument_id"]),
        *_all(BIG, ["onset_ns", "decided_ns", "updated_ns"]),
        *_all(TEXT, ["state"]),
        *_all(INT, ["revision"]),
        *_all(TEXT, ["severity"]),
        *_all(FLOAT, ["score"]),
        sa.Column("probability", FLOAT),
        *_all(TEXT, ["sentence", "data_tier"]),
        *_all(JSONB, ["evidence", "provenance"]),
        comment="alerts at their newest revision",
    )
    op.create_index("ix_alerts_decided", "alerts", ["decided_ns"])
    op.create_index("ix_alerts_instrument", "alerts", ["instrument_id", "onset_ns"])
    op.create_table(
        "alert_history",
        *_all(TEXT, ["id"]),
        *_all(INT, ["revision"]),
        *_all(BIG, ["updated_ns"]),
        *_all(TEXT, ["state"]),
        *_all(JSONB, ["message"]),
        sa.PrimaryKeyConstraint("id", "revision"),
        comment="every revision of every alert, as sent",
    )
    _by_day(
        "signals",
        "ts_ns",
        *_all(TEXT, ["id"]),
        *_all(BIG, ["ts_ns"]),
        *_all(TEXT, ["policy", "model", "action"]),
        sa.Column("advantage", FLOAT),
        sa.Column("price", FLOAT),
        sa.Column("size", FLOAT),
        *_all(FLOAT, ["position"]),
        *_all(JSONB, ["q_values"]),
        *_position(),
        key=("ts_ns", "id"),
    )
    _by_day(
        "coverage",
        "start_ns",
        *_all(BIG, ["start_ns", "end_ns"]),
        *_all(TEXT, ["reason"]),
        *_all(BIG, ["seconds"]),
        *_position(),
    )
    op.create_table(
        "audit",
        sa.Column("hash", TEXT, primary_key=True),
        *_all(BIG, ["sequence", "at_ns"]),
        *_all(TEXT, ["who", "action", "subject", "why"]),
        *_all(JSONB, ["details"]),
        *_all(TEXT, ["previous"]),
        comment="a copy of the audit log; the log itself is the proof",
    )


def _sink_tables() -> None:
    """How far the sink has come: written in the transaction that writes the rows."""
    log = [*_all(TEXT, ["topic"]), *_all(INT, ["partition"])]
    op.create_table(
        "sink_offsets",
        *log,
        *_all(BIG, ["next_offset", "clock_s"]),
        sa.PrimaryKeyConstraint("topic", "partition"),
        comment="the offset after the last record taken, and the partition's clock (newest second of ts_recv)",
    )
    op.create_table(
        "sink_sources",
        *_all(TEXT, ["topic"]),
        *_all(INT, ["partition"]),
        *_all(TEXT, ["source"]),
        *_all(BIG, ["epoch", "sequence"]),
        sa.PrimaryKeyConstraint("topic", "partition", "source"),
        comment="the newest frame of each source in a market partition",
    )
    op.create_table(
        "dead_letters",
        *_all(TEXT, ["topic"]),
        *_all(INT, ["partition"]),
        *_all(BIG, ["log_offset"]),
        *_all(TEXT, ["reason", "detail"]),
        sa.PrimaryKeyConstraint("topic", "partition", "log_offset"),
        comment="records that the sink could not take; their bytes lie in the topic's dead-letter topic",
    )
