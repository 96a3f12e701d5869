"""Cases, suppressions, labels and proposals, from their topics: each at its newest revision, and every revision."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision: str | None = "0002"

_TABLES = (
    *("proposal_history", "proposals", "labels", "suppression_history", "suppressions"),
    *("case_answers", "case_alerts", "case_history", "cases"),
)
_TIME = "timestamptz 'epoch' + (t.{0}_ns / 1000) * interval '1 microsecond' AS {0}"


def upgrade() -> None:
    """Create tables and views."""
    _cases()
    _case_alerts()
    _answers()
    _suppressions()
    _labels()
    _proposals()


def downgrade() -> None:
    """Drop them."""
    for table in _TABLES:
        op.execute(f"DROP TABLE {table} CASCADE")


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, nullable=False) for name in names]


def _integers(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.Integer, nullable=False) for name in names]


def _times(*names: str, nullable: bool = False) -> list[sa.Column[int]]:
    """UTC nanoseconds."""
    return [sa.Column(f"{name}_ns", sa.BigInteger, nullable=nullable) for name in names]


def _key() -> sa.Column[str]:
    return sa.Column("id", sa.Text, primary_key=True)


def _history(table: str) -> None:
    """Every revision as it was sent."""
    op.create_table(
        f"{table}_history",
        *_texts("id"),
        *_integers("revision"),
        *_texts("state"),
        sa.Column("message", JSONB, nullable=False),
        sa.PrimaryKeyConstraint("id", "revision"),
        comment=f"every revision of every {table}, as sent",
    )


def _cases() -> None:
    op.create_table(
        "cases",
        _key(),
        *_integers("revision", "instrument_id"),
        *_texts("neighbourhood", "state", "disposition", "owner"),
        sa.Column("risk", sa.Double, nullable=False),
        sa.Column("priority", sa.SmallInteger, nullable=False),
        *_integers("alerts", "raising"),
        *_times("opened", "updated"),
        *_times("closed", nullable=True),
        sa.Column("closing", JSONB),
        sa.Column("history", JSONB, nullable=False),
        comment="cases at their newest revision",
    )
    # The queue: what is open, most risk first; one account's; one neighbourhood's past.
    op.create_index("ix_cases_queue", "cases", ["state", sa.text("risk DESC"), "updated_ns"])
    open_alone = sa.text("state <> 'closed'")
    op.create_index("ix_cases_open", "cases", [sa.text("risk DESC"), "updated_ns"], postgresql_where=open_alone)
    op.create_index("ix_cases_owner", "cases", ["owner", "state"])
    op.create_index("ix_cases_neighbourhood", "cases", ["neighbourhood", "updated_ns"])
    told = ["neighbourhood", "state", "disposition", "owner", "risk", "priority", "alerts", "raising", "closing"]
    times = [_TIME.format(each) for each in ("opened", "updated", "closed")]
    _view("cases", ["t.id", "revision", "i.name AS instrument", *told, *times, "history"], _INSTRUMENT)
    _history("case")


def _case_alerts() -> None:
    op.create_table(
        "case_alerts",
        sa.Column("alert_id", sa.Text, primary_key=True),
        *_texts("case_id"),
        *_integers("case_revision", "revision", "instrument_id"),
        *_texts("scenario", "severity", "state", "inhibited", "inhibition"),
        sa.Column("score", sa.Double, nullable=False),
        sa.Column("probability", sa.Double),
        *_times("onset", "decided", "updated", nullable=True),
        comment="alerts of cases, each in one, as the case has seen it",
    )
    op.create_index("ix_case_alerts_case", "case_alerts", ["case_id"])
    op.create_index("ix_case_alerts_instrument", "case_alerts", ["instrument_id", "decided_ns"])
    told = ["scenario", "severity", "t.state", "score", "probability", "inhibited", "inhibition"]
    times = [_TIME.format(each) for each in ("onset", "decided", "updated")]
    named = ["alert_id", "case_id", "case_revision", "revision", "i.name AS instrument"]
    _view("case_alerts", [*named, *told, *times], _INSTRUMENT)


def _answers() -> None:
    op.create_table(
        "case_answers",
        sa.Column("command", sa.Text, primary_key=True),
        *_texts("case_id"),
        sa.Column("accepted", sa.Boolean, nullable=False),
        *_texts("reason"),
        *_integers("revision"),
        *_times("at"),
        comment="what became of each command",
    )
    op.create_index("ix_case_answers_case", "case_answers", ["case_id", "at_ns"])


def _suppressions() -> None:
    named = ("state", "scenario", "instrument", "venue", "below", "owner", "reason", "approved_by", "ended_by")
    op.create_table(
        "suppressions",
        _key(),
        *_integers("revision"),
        *_texts(*named),
        *_times("created", "starts", "expires"),
        comment="suppression rules at their newest revision",
    )
    op.create_index("ix_suppressions_state", "suppressions", ["state", "expires_ns"])
    times = [_TIME.format(each) for each in ("created", "starts", "expires")]
    _view("suppressions", ["id", "revision", *named, *times])
    _history("suppression")


def _labels() -> None:
    named = ("kind", "subject", "label", "instrument", "who", "why")
    op.create_table("labels", _key(), *_texts(*named), *_times("at"), comment="every label that was given")
    op.create_index("ix_labels_subject", "labels", ["kind", "subject", sa.text("at_ns DESC")])
    newest = "SELECT DISTINCT ON (kind, subject) * FROM labels ORDER BY kind, subject, at_ns DESC, id"
    _view("labels", ["id", *named, _TIME.format("at")], source=f"({newest})")


def _proposals() -> None:
    named = ("kind", "state", "subject", "content", "who", "why", "decided_by", "answer")
    op.create_table(
        "proposals",
        _key(),
        *_integers("revision"),
        *_texts(*named),
        *_times("created"),
        *_times("decided", nullable=True),
        comment="proposals at their newest revision",
    )
    op.create_index("ix_proposals_state", "proposals", ["state", "created_ns"])
    _view("proposals", ["id", "revision", *named, _TIME.format("created"), _TIME.format("decided")])
    _history("proposal")


_INSTRUMENT = "JOIN instruments i ON i.id = t.instrument_id"


def _view(name: str, columns: Sequence[Any], joins: str = "", source: str = "") -> None:
    """A view with times as timestamps."""
    chosen = ", ".join(columns)
    op.execute(f"CREATE VIEW v_{name} AS SELECT {chosen} FROM {source or name} t {joins}")  # noqa: S608 - constants
