"""Predictions, rankings and news, from their topics."""

revision = "0007"
down_revision: str | None = "0006"


def upgrade() -> None:
    """Create tables and views."""


def downgrade() -> None:
    """Drop them."""
