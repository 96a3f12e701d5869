"""Subscriptions, the outbox of deliveries with its dead letters, and how far the notify sink has read."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision: str | None = "0004"

_TABLES = (
    "notify_offsets",
    "notify_verdicts",
    "notify_inbox",
    "deliveries",
    "subscription_secrets",
    "subscriptions",
)


def upgrade() -> None:
    """Create tables and views."""
    _subscriptions()
    _deliveries()
    _intake()


def downgrade() -> None:
    """Drop them."""
    for table in _TABLES:
        op.execute(f"DROP TABLE {table} CASCADE")


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, nullable=False, server_default="") for name in names]


def _longs(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger, nullable=False, server_default="0") for name in names]


def _ints(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.Integer, nullable=False, server_default="0") for name in names]


def _of_subscription() -> sa.Column[str]:
    return sa.Column("subscription_id", sa.Text, sa.ForeignKey("subscriptions.id", ondelete="CASCADE"), nullable=False)


def _subscriptions() -> None:
    op.create_table(
        "subscriptions",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        *_texts("kind", "target", "filter", "pace", "entitled", "state", "reason", "created_by"),
        sa.Column("sealed_target", sa.LargeBinary, nullable=False, comment="whole address, encrypted"),
        *_longs("created_ns", "updated_ns", "failing_since_ns", "hold_until_ns"),
        *_ints("revision"),
        comment="who is told of which alerts; filter and pace are JSON",
    )
    op.create_table(
        "subscription_secrets",
        _of_subscription(),
        sa.Column("sealed", sa.LargeBinary, nullable=False, comment="webhook secret, encrypted"),
        *_longs("created_ns"),
        sa.Column("expires_ns", sa.BigInteger, comment="signs until then; NULL for the one in force"),
        comment="webhook secrets: the one in force and those that rotation lets run out",
    )
    op.create_index("ix_subscription_secrets", "subscription_secrets", ["subscription_id", "created_ns"])


def _deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("message_id", sa.Text, primary_key=True),
        sa.Column("seq", sa.BigInteger, sa.Identity(always=True), nullable=False),
        _of_subscription(),
        *_texts("instrument", "alert_id"),
        *_ints("revision"),
        *_texts("type", "body"),
        sa.Column("state", sa.Text, nullable=False, comment="gathering, folded, queued, waiting, delivered or dead"),
        *_texts("gathered", "folded_into"),
        *_longs("due_ns", "lease_ns", "created_ns", "done_ns"),
        *_ints("attempts", "replays", "status"),
        *_texts("last_error"),
        comment="outbox: one row a message to a subscription; dead ones are its dead letters",
    )
    waiting = sa.text("state = 'waiting'")
    lane = ["subscription_id", "instrument", "seq"]
    undone = sa.text("state IN ('queued', 'waiting')")
    op.create_index("ix_deliveries_lane", "deliveries", lane, postgresql_where=undone)
    op.create_index("ix_deliveries_due", "deliveries", ["subscription_id", "due_ns"], postgresql_where=waiting)
    op.create_index("ix_deliveries_made", "deliveries", ["subscription_id", "created_ns"])
    gathering = sa.text("state = 'gathering'")
    op.create_index("ix_deliveries_gathering", "deliveries", ["due_ns"], postgresql_where=gathering)


def _intake() -> None:
    op.create_table(
        "notify_inbox",
        sa.Column("seq", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        *_texts("alert_id", "instrument", "body"),
        *_ints("revision"),
        *_longs("recorded_ns", "deadline_ns"),
        comment="alerts that wait for the case stage's word",
    )
    op.create_table(
        "notify_verdicts",
        sa.Column("alert_id", sa.Text, primary_key=True),
        *_ints("revision"),
        *_texts("inhibited"),
        *_longs("updated_ns"),
        comment="what the case stage said of an alert",
    )
    op.create_table(
        "notify_offsets",
        sa.Column("topic", sa.Text, primary_key=True),
        sa.Column("partition", sa.Integer, primary_key=True),
        *_longs("next_offset"),
        comment="how far the notify sink has read",
    )
