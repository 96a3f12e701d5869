"""PostgreSQL: reached, new enough, at this build's revision; its clock, its rights, and whose offsets it keeps."""

from collections.abc import Iterator

import sqlalchemy as sa
from confluent_kafka import KafkaException

from infra import embedded, migrations
from tapewatch.clock import NANOS, WALL
from tapewatch.doctor import Check, CheckContext, failing, good, warning
from tapewatch.runtime import kafka, topic_ids
from tapewatch.settings import Settings

OLDEST = 140_000
CLOCK_S = 1.0
_IDS = {
    "sink_offsets": sa.text("SELECT DISTINCT topic, topic_id FROM sink_offsets WHERE topic_id <> ''"),
    "notify_offsets": sa.text("SELECT DISTINCT topic, topic_id FROM notify_offsets WHERE topic_id <> ''"),
}
CONNECTIONS = 30
"""What all our processes together open, with some to spare."""


def checks(asked: CheckContext) -> Iterator[Check]:
    """Nothing where neither the settings name a server nor the embedded one runs."""
    settings = asked.settings
    if not settings.postgres.url and embedded.running(settings.data_path) is None:
        yield good("postgres", "none is named and none runs here; `tapewatch up` starts one")
        return
    with migrations.connect(settings.postgres_url()) as session:
        version = int(session.execute(sa.text("SHOW server_version_num")).scalar_one())
        yield _version(version)
        revision = migrations.current(session)
        yield _revision(revision)
        yield _rights(session)
        yield _connections(int(session.execute(sa.text("SHOW max_connections")).scalar_one()))
        yield _clock(session)
        if revision == migrations.head():
            yield from _topics(settings, session)


def _version(number: int) -> Check:
    found = f"PostgreSQL {number // 10_000}.{number % 10_000}"
    if number < OLDEST:
        return failing("postgres", f"{found} is too old", "Use PostgreSQL 14 or later.")
    return good("postgres", found)


def _revision(current: str) -> Check:
    """Against this build's; one that this build does not know is a later build's."""
    newest = migrations.head()
    if current == newest:
        return good("postgres revision", current)
    if not current:
        return failing("postgres revision", f"no tables yet; this build's is {newest}", "Run `tapewatch db migrate`.")
    if not migrations.known(current):
        return warning(
            "postgres revision",
            f"{current} is of a later build; this one knows {newest}",
            "Right while a later build is rolled out or back; else start that build.",
        )
    return failing("postgres revision", f"{current}, this build needs {newest}", "Run `tapewatch db migrate`.")


def _rights(session: sa.Connection) -> Check:
    """Whether this role may write what the sink writes; a role that only reads is right for some processes."""
    if session.execute(sa.text("SELECT to_regclass('sink_offsets')")).scalar_one() is None:
        return good("postgres rights", "nothing to write to yet")
    may = session.execute(sa.text("SELECT has_table_privilege('sink_offsets', 'INSERT, UPDATE')")).scalar_one()
    role = session.execute(sa.text("SELECT current_user")).scalar_one()
    if may:
        return good("postgres rights", f"{role} may write")
    return warning("postgres rights", f"{role} may not write", "Give the sinks' role INSERT and UPDATE.")


def _topics(settings: Settings, session: sa.Connection) -> Iterator[Check]:
    """Whether the sinks would go on with the topics that there are; a broker that is away is another part's finding."""
    client = kafka.admin(settings)
    for table, query in _IDS.items():
        kept = {row.topic: row.topic_id for row in session.execute(query)}
        try:
            topic_ids.check(kept, topic_ids.present(client, kept), table, topic_ids.SEE)
        except topic_ids.TopicRecreatedError as error:
            yield failing(f"postgres {table}", error.message, error.hint)
        except KafkaException as error:
            yield warning(
                f"postgres {table}",
                f"its topics cannot be looked at: {error.args[0].str()}",
                "See `doctor --part kafka`.",
            )


def _connections(most: int) -> Check:
    if most >= CONNECTIONS:
        return good("postgres connections", f"{most} at most")
    return warning("postgres connections", f"{most} at most", f"Set max_connections to {CONNECTIONS} or more.")


def _clock(session: sa.Connection) -> Check:
    """The server's clock against ours, to half a round trip."""
    before = WALL.now()
    theirs = int(session.execute(sa.text("SELECT extract(epoch FROM clock_timestamp()) * 1000000000")).scalar_one())
    after = WALL.now()
    offset, slack = (theirs - (before + after) // 2) / NANOS, (after - before) / 2 / NANOS
    found = f"{offset:+.3f} s beside ours, to {slack:.3f} s"
    if abs(offset) - slack > CLOCK_S:
        return warning("postgres clock", found, "Set both clocks by NTP: times in alerts are the engine's.")
    return good("postgres clock", found)
