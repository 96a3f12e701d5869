"""The database's schema, by Alembic: `migrate` brings it to this build's revision."""

from infra.migrations.schema import connect, current, head, known, migrate

__all__ = ["connect", "current", "head", "known", "migrate"]
