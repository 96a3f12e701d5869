"""The console's accounts, seats, sessions, login attempts and API tokens. Secrets lie hashed."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0004"
down_revision: str | None = "0003"

ROLES = "role IN ('viewer', 'analyst', 'approver', 'admin')"
_TABLES = ("api_tokens", "sessions", "login_attempts", "oidc_logins", "accounts", "seats")
_SEATS = {
    "viewer": ["tape", "instrument", "alerts", "signals", "coverage", "models", "health"],
    "analyst": ["cases", "labels", "subscriptions", "proposals"],
    "approver": ["audit"],
}


def upgrade() -> None:
    """Create tables; each role's seat begins with the pages of the roles below it."""
    _seats()
    _accounts()
    _sessions()
    _tokens()
    op.create_table(
        "login_attempts",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("failures", sa.Integer, nullable=False),
        *_times("last_ns", "locked_ns"),
        comment="failed logins of an account's name or an address, by hash",
    )
    op.create_table(
        "oidc_logins",
        sa.Column("state", sa.Text, primary_key=True),
        sa.Column("nonce", sa.Text, nullable=False),
        sa.Column("verifier", sa.Text, nullable=False),
        *_times("created_ns"),
        comment="logins on their way through the identity provider; state hashed",
    )


def downgrade() -> None:
    """Drop them."""
    for table in _TABLES:
        op.drop_table(table)


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, nullable=False) for name in names]


def _times(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger, nullable=False) for name in names]


def _owner() -> sa.Column[str]:
    """The account; what is its goes with it."""
    return sa.Column("account", sa.Text, sa.ForeignKey("accounts.name", ondelete="CASCADE"), nullable=False, index=True)


def _seats() -> None:
    table = op.create_table(
        "seats",
        sa.Column("role", sa.Text, sa.CheckConstraint(ROLES), primary_key=True),
        sa.Column("pages", ARRAY(sa.Text), nullable=False),
        sa.Column("instruments", ARRAY(sa.Text), nullable=False),
        comment="what a role sees, where the account has no entitlements of its own",
    )
    pages: list[str] = []
    rows = []
    for role, more in _SEATS.items():
        pages = pages + more
        rows.append({"role": role, "pages": pages, "instruments": ["*"]})
    op.bulk_insert(table, [*rows, {"role": "admin", "pages": ["*"], "instruments": ["*"]}])


def _accounts() -> None:
    op.create_table(
        "accounts",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("role", sa.Text, sa.CheckConstraint(ROLES), nullable=False),
        sa.Column("password", sa.Text),
        sa.Column("disabled", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("language", sa.Text, nullable=False, server_default=""),
        sa.Column("pages", ARRAY(sa.Text)),
        sa.Column("instruments", ARRAY(sa.Text)),
        sa.Column("issuer", sa.Text),
        sa.Column("subject", sa.Text),
        *_times("created_ns", "changed_ns"),
        sa.UniqueConstraint("issuer", "subject", name="uq_accounts_identity"),
        comment="people and services; password as argon2id hash, NULL where it logs in elsewhere; "
        "pages and instruments NULL: as its role's seat",
    )


def _sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("id", sa.Text, primary_key=True),
        _owner(),
        *_times("created_ns", "seen_ns", "expires_ns"),
        *_texts("address", "agent"),
        comment="people's sessions; id is the SHA-256 of the cookie",
    )


def _tokens() -> None:
    op.create_table(
        "api_tokens",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("hash", sa.Text, nullable=False, unique=True),
        _owner(),
        *_texts("name"),
        sa.Column("scopes", ARRAY(sa.Text), nullable=False),
        *_times("created_ns", "expires_ns"),
        sa.Column("used_ns", sa.BigInteger),
        comment="API tokens, as SHA-256 of their 256 random bits",
    )
