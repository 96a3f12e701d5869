"""Which of a source's last frames the sink has not seen: one that was overtaken on its way is no repeat."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision: str | None = "0008"


def upgrade() -> None:
    """Nothing is awaited of what was read before."""
    op.add_column("sink_sources", sa.Column("missing", sa.BigInteger, nullable=False, server_default="0"))


def downgrade() -> None:
    """Forget it."""
    op.drop_column("sink_sources", "missing")
