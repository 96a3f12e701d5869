"""Predictions, rankings, news and slow factors, from their topics.

A ranking is a row an instrument: its place with what it rests on, or the reason why it has none.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0007"
down_revision: str | None = "0006"

_TABLES = ("factors", "news", "rankings", "predictions")
_TIME = "timestamptz 'epoch' + (t.{0}_ns / 1000) * interval '1 microsecond' AS {0}"


def upgrade() -> None:
    """Create tables and views."""
    _predictions()
    _rankings()
    _news()
    _factors()
    told = ["t.id", "horizon", "target", "t.name", "model", "t.reference", "value", "classes", "build"]
    _view("predictions", [_TIME.format("as_of"), *told])
    told = ["t.id", "t.name AS ranking", "place", "reason", "probability", "regime", "regimes", "hourly_return"]
    told += ["win_rate", "buys", "sells", "volatility", "volatility_level", "high_line", "low_line", "position"]
    told += ["averages", "volumes", "horizon_s", "target_return", "stop_return", "model"]
    _view("rankings", [_TIME.format("as_of"), *told])
    _view("factors", ["t.id", "source", "series", "period", _TIME.format("published"), "value", "unit", "revision"])
    times = ", ".join(_TIME.format(name) for name in ("published", "received"))
    told = ["language", "headline", "body", "url", "instruments", "sentiment", "model", "duplicate_of"]
    op.execute(f"CREATE VIEW v_news AS SELECT id, source, {times}, {', '.join(told)} FROM news t")  # noqa: S608 - of constants alone


def downgrade() -> None:
    """Drop them."""
    for table in _TABLES:
        op.execute(f"DROP TABLE {table} CASCADE")


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, nullable=False) for name in names]


def _maybe(*names: str) -> list[sa.Column[float]]:
    """Floats that may be missing."""
    return [sa.Column(name, sa.Double) for name in names]


def _times(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger, nullable=False) for name in names]


def _objects(*names: str) -> list[sa.Column[object]]:
    return [sa.Column(name, JSONB, nullable=False) for name in names]


def _instrument() -> sa.Column[int]:
    return sa.Column("instrument_id", sa.Integer, nullable=False)


def _predictions() -> None:
    op.create_table(
        "predictions",
        sa.Column("id", sa.Text, primary_key=True),
        _instrument(),
        *_times("as_of_ns"),
        *_texts("horizon", "target", "name", "model"),
        *_maybe("reference", "value"),
        *_objects("classes"),
        *_texts("build"),
        comment="forecasts, each as it was last made",
    )
    op.create_index("ix_predictions_instrument", "predictions", ["instrument_id", "as_of_ns"])
    op.create_index("ix_predictions_time", "predictions", ["as_of_ns"], postgresql_using="brin")


def _rankings() -> None:
    measures = ("hourly_return", "win_rate", "buys", "sells", "volatility", "volatility_level")
    op.create_table(
        "rankings",
        *_texts("id"),
        _instrument(),
        *_times("as_of_ns"),
        *_texts("name"),
        sa.Column("place", sa.Integer),
        *_texts("reason"),
        *_maybe("probability"),
        *_texts("regime"),
        *_objects("regimes"),
        *_maybe(*measures, "high_line", "low_line", "position"),
        *_objects("averages", "volumes"),
        sa.Column("horizon_s", sa.Integer, nullable=False),
        sa.Column("target_return", sa.Double, nullable=False),
        sa.Column("stop_return", sa.Double, nullable=False),
        *_texts("model"),
        sa.PrimaryKeyConstraint("as_of_ns", "id", "instrument_id"),
        postgresql_partition_by="RANGE (as_of_ns)",
        comment="instruments of each ranking: place, or the reason why there is none",
    )
    op.create_index("ix_rankings_name", "rankings", ["name", "as_of_ns"])
    op.create_index("ix_rankings_instrument", "rankings", ["instrument_id", "as_of_ns"])


def _news() -> None:
    op.create_table(
        "news",
        sa.Column("id", sa.Text, primary_key=True),
        *_texts("source"),
        *_times("published_ns", "received_ns"),
        *_texts("language", "headline", "body", "url"),
        sa.Column("instruments", ARRAY(sa.Text), nullable=False),
        *_maybe("sentiment"),
        *_texts("model", "duplicate_of"),
        comment="headlines, each as it was last sent: with its sentiment once it is scored",
    )
    op.create_index("ix_news_published", "news", ["published_ns"])
    op.create_index("ix_news_instruments", "news", ["instruments"], postgresql_using="gin")


def _factors() -> None:
    op.create_table(
        "factors",
        sa.Column("id", sa.Text, primary_key=True),
        *_texts("source", "series"),
        _instrument(),
        *_texts("period"),
        *_times("published_ns", "received_ns"),
        sa.Column("value", sa.Double, nullable=False),
        *_texts("unit"),
        sa.Column("revision", sa.Integer, nullable=False),
        comment="daily and slow series, every revision; instrument 0 is the whole market",
    )
    op.create_index("ix_factors_series", "factors", ["series", "instrument_id", "published_ns"])


def _view(table: str, columns: Sequence[str]) -> None:
    """A view with the instrument's name."""
    chosen = ", ".join(["i.name AS instrument", *columns])
    op.execute(f"CREATE VIEW v_{table} AS SELECT {chosen} FROM {table} t JOIN instruments i ON i.id = t.instrument_id")  # noqa: S608 - of constants alone
