"""Evidence bundles and report drafts."""

revision = "0006"
down_revision: str | None = "0005"


def upgrade() -> None:
    """Create tables and views."""


def downgrade() -> None:
    """Drop them."""
