"""A role of PostgreSQL for each service, with no more than it needs: one table, and the SQL that is made of it.

Day partitions and feature columns are made by the sink when the first row needs them, and only a table's owner may do
that: the sink's role owns the tables of the market and of the engine, and nothing else.
"""

from collections.abc import Iterator

import msgspec

OWNED = (
    *("quotes", "trades", "books", "orders", "status", "bars", "features", "scores", "signals", "coverage"),
    *("own_positions", "rankings"),
)
"""Partitioned by day: the sink's own."""

KEPT = (
    *("logs", "instruments", "score_models", "sink_offsets", "sink_sources", "dead_letters", "audit"),
    *("alerts", "alert_history", "own_orders", "own_fills", "predictions", "news"),
    *("factors", "cases", "case_history", "case_alerts", "case_answers", "suppressions", "suppression_history"),
    *("labels", "proposals", "proposal_history"),
)
"""What the sink writes besides."""

PEOPLE = ("accounts", "sessions", "seats", "login_attempts", "oidc_logins", "api_tokens")
REPORTS = ("stor_drafts", "evidence_proofs")
SUBSCRIBERS = ("subscriptions", "subscription_secrets", "deliveries")
DELIVERING = ("notify_inbox", "notify_offsets", "notify_verdicts")
REVISION = ("alembic_version",)
WRITE = "SELECT, INSERT, UPDATE, DELETE"
READ = "SELECT"


class Role(msgspec.Struct, frozen=True):
    """A role. does : whose it is; writes, reads : tables; views : whether it reads the views too"""

    does: str
    writes: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    views: bool = False


MARKET = (*OWNED, *KEPT)
ROLES: dict[str, Role] = {
    "sink_postgres": Role("sink postgres", writes=KEPT, reads=REVISION),
    "sink_notify": Role(
        "sink notify", writes=("subscriptions", "deliveries", *DELIVERING), reads=("subscription_secrets", *REVISION)
    ),
    "sink_canary": Role("sink canary", reads=("alerts", *REVISION)),
    "console": Role(
        "console, accounts",
        writes=(*PEOPLE, *REPORTS, *SUBSCRIBERS),
        reads=(*MARKET, *DELIVERING, *REVISION),
        views=True,
    ),
    "operator": Role(
        "subscriptions, coverage, verify, train, evaluate, reports of others",
        writes=SUBSCRIBERS,
        reads=(*MARKET, *DELIVERING, *REVISION),
        views=True,
    ),
    "reconcile": Role("reconcile", writes=(*OWNED, *KEPT), reads=REVISION),
}
SINK = "sink_postgres"


def tables() -> set[str]:
    """Every table that a role may do something with."""
    return {*MARKET, *PEOPLE, *REPORTS, *SUBSCRIBERS, *DELIVERING, *REVISION}


def statements(prefix: str, database: str, views: tuple[str, ...]) -> Iterator[str]:
    """SQL that makes the roles, or brings them to what the table says; to be run by the tables' owner or a superuser.

    Running it again changes nothing. A role has no password yet, and what it has beyond the table is taken away.
    prefix : of the roles' names; database : its name; views : those there are
    """
    yield f"REVOKE ALL ON DATABASE {_quoted(database)} FROM PUBLIC"
    yield "REVOKE CREATE ON SCHEMA public FROM PUBLIC"
    for name, role in ROLES.items():
        own = f"{prefix}_{name}"
        yield (
            f"DO $make$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{own}') THEN "
            f"CREATE ROLE {own} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE; END IF; END $make$"
        )
        yield f"GRANT CONNECT, TEMPORARY ON DATABASE {_quoted(database)} TO {own}"
        yield f"GRANT USAGE ON SCHEMA public TO {own}"
        # Its own tables and their partitions are the sink's in any case.
        others = ", ".join(map(_quoted, sorted(tables() - set(OWNED))))
        yield f"REVOKE ALL ON {others if name == SINK else 'ALL TABLES IN SCHEMA public'} FROM {own}"
        yield f"REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM {own}"
        for rights, chosen in ((WRITE, role.writes), (READ, (*role.reads, *(views if role.views else ())))):
            if chosen:
                yield f"GRANT {rights} ON {', '.join(map(_quoted, chosen))} TO {own}"
        if role.writes:
            yield f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {own}"
    sink = f"{prefix}_{SINK}"
    yield f"GRANT CREATE ON SCHEMA public TO {sink}"
    # Whoever migrates goes on changing what the sink owns.
    yield f"GRANT {sink} TO CURRENT_USER"
    for table in (*OWNED, "v_features"):
        yield f"ALTER TABLE {_quoted(table)} OWNER TO {sink}"
    yield f"ALTER FUNCTION tapewatch_refresh_features_view() OWNER TO {sink}"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
