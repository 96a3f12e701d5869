"""Cases, suppressions, labels and proposals, from their topics."""

revision = "0003"
down_revision: str | None = "0002"


def upgrade() -> None:
    """Create tables and views."""


def downgrade() -> None:
    """Drop them."""
