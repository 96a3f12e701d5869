"""Indexes for the track record: predictions by time and by model, and daily bars apart from the minutes among them."""

from alembic import op

revision = "0008"
down_revision: str | None = "0007"

_INDEXES = ("ix_predictions_newest", "ix_predictions_model", "ix_predictions_by_instrument", "ix_bars_daily")


def upgrade() -> None:
    """Create them."""
    op.create_index("ix_predictions_newest", "predictions", ["as_of_ns", "id"])
    op.create_index("ix_predictions_model", "predictions", ["name", "as_of_ns", "id"])
    op.create_index("ix_predictions_by_instrument", "predictions", ["instrument_id", "name", "as_of_ns"])
    op.execute("CREATE INDEX ix_bars_daily ON bars (instrument_id, ts_ns) WHERE interval_s = 86400")


def downgrade() -> None:
    """Drop them."""
    for name in _INDEXES:
        op.execute(f"DROP INDEX {name}")
