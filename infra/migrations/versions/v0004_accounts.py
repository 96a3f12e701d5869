"""The console's accounts, sessions, login attempts and API tokens."""

revision = "0004"
down_revision: str | None = "0003"


def upgrade() -> None:
    """Create tables and views."""


def downgrade() -> None:
    """Drop them."""
