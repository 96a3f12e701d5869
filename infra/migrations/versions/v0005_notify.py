"""Subscriptions and the outbox of deliveries."""

revision = "0005"
down_revision: str | None = "0004"


def upgrade() -> None:
    """Create tables and views."""


def downgrade() -> None:
    """Drop them."""
