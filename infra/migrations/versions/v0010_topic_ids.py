"""Which topic an offset is of: one that was made anew has the old one's name, and offsets of its own."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision: str | None = "0009"


def upgrade() -> None:
    """Of what was read before, the sinks take up the id that they find."""
    for table in ("sink_offsets", "notify_offsets"):
        op.add_column(table, sa.Column("topic_id", sa.Text, nullable=False, server_default=""))


def downgrade() -> None:
    """Forget it."""
    for table in ("sink_offsets", "notify_offsets"):
        op.drop_column(table, "topic_id")
