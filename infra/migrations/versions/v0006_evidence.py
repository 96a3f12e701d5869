"""Results of verifications, and drafts of suspicious transaction and order reports with every revision."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0006"
down_revision: str | None = "0005"


def upgrade() -> None:
    """Create tables."""
    op.create_table(
        "evidence_proofs",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("alert_id", sa.Text, nullable=False),
        sa.Column("at_ns", sa.BigInteger, nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("identical", sa.Boolean, nullable=False),
        sa.Column("proof", JSONB, nullable=False),
        comment="results of verifying alerts that somebody asked the console for",
    )
    op.create_index("ix_evidence_proofs_alert", "evidence_proofs", ["alert_id", "id"])
    op.create_table(
        "stor_drafts",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("alert_id", sa.Text, nullable=False),
        sa.Column("instrument", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("at_ns", sa.BigInteger, nullable=False),
        sa.Column("content", JSONB, nullable=False),
        sa.PrimaryKeyConstraint("id", "revision"),
        comment="suspicious transaction and order reports: every revision, who made it and when; state draft or final",
    )
    op.create_index("ix_stor_drafts_alert", "stor_drafts", ["alert_id"])


def downgrade() -> None:
    """Drop them."""
    for table in ("stor_drafts", "evidence_proofs"):
        op.drop_table(table)
