"""`tapewatch db`: bring the schema up to date, drop old day partitions, a role for each service, where it stands."""

import argparse
import json
import re
import sys
from collections import Counter
from typing import Any

import sqlalchemy as sa

from infra import migrations
from infra.migrations import roles
from infra.migrations.partitions import DAY, drop_older, partitions
from tapewatch.clock import WALL
from tapewatch.errors import TapewatchError
from tapewatch.rfc3339 import to_rfc3339
from tapewatch.settings import Settings

_PREFIX = re.compile(r"[a-z][a-z0-9_]{0,40}")


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of `db`."""
    acts = parser.add_subparsers(dest="act", metavar="migrate|retention|roles|status", required=True)
    migrate = acts.add_parser("migrate", help="create the tables, or bring them to this build's revision")
    retention = acts.add_parser("retention", help="drop the day partitions that are older than sink.retention_days")
    retention.add_argument("--dry-run", action="store_true", help="only say what would be dropped")
    roles_act = acts.add_parser("roles", help="SQL that makes a role for each service, with no more than it needs")
    roles_act.add_argument("--prefix", default="tapewatch", help="of the roles' names (default: tapewatch)")
    roles_act.add_argument("--apply", action="store_true", help="run it too, as the tables' owner or a superuser")
    status = acts.add_parser("status", help="revision, partitions, sizes and the sink's offsets")
    for act in (migrate, retention, roles_act, status):
        act.add_argument("--json", action="store_true", help="one JSON document on standard output")
    parser.epilog = "example: tapewatch db migrate && tapewatch db status"


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Migrate, drop or show."""
    act = {"migrate": _migrate, "retention": _retention, "roles": _roles, "status": _status}[args.act]
    document, lines = act(args, settings)
    print(json.dumps(document) if args.json else "\n".join(lines))
    return 0


def _migrate(_: argparse.Namespace, settings: Settings) -> tuple[dict[str, Any], list[str]]:
    """Bring the schema up to date."""
    revision = migrations.migrate(settings.postgres_url())
    return {"revision": revision}, [f"the database is at revision {revision}"]


def _retention(args: argparse.Namespace, settings: Settings) -> tuple[dict[str, Any], list[str]]:
    """Drop what is older than the retention, counted from the wall clock."""
    before = WALL.now() - settings.sink.retention_days * DAY
    with migrations.connect(settings.postgres_url()) as session:
        old = [partition for partition in partitions(session) if partition.end_ns <= before]
    if not args.dry_run:
        for number, partition in enumerate(drop_older(settings.postgres_url(), before), start=1):
            print(f"{number}/{len(old)} {partition.name}", file=sys.stderr)
    size = sum(partition.bytes for partition in old)
    document = {
        "before": to_rfc3339(before),
        "dropped": not args.dry_run,
        "partitions": [partition.name for partition in old],
        "bytes": size,
    }
    verb = "would drop" if args.dry_run else "dropped"
    return document, [f"{verb} {len(old)} partitions from before {to_rfc3339(before)[:10]}, {size / 2**20:.0f} MiB"]


def _roles(args: argparse.Namespace, settings: Settings) -> tuple[dict[str, Any], list[str]]:
    """The roles' SQL, run in one transaction where asked for."""
    if not _PREFIX.fullmatch(args.prefix):
        raise TapewatchError(f"{args.prefix!r} cannot begin a role's name", "Use small letters, digits and _.")
    with migrations.connect(settings.postgres_url()) as session:
        if migrations.current(session) != migrations.head():
            raise TapewatchError("the tables are not those of this build", "Run `tapewatch db migrate`.")
        database = session.execute(sa.text("SELECT current_database()")).scalar_one()
        found = session.execute(sa.text("SELECT viewname FROM pg_views WHERE schemaname = 'public' ORDER BY 1"))
        views = tuple(name for (name,) in found if name.startswith("v_"))
        wanted = list(roles.statements(args.prefix, database, views))
        for statement in wanted if args.apply else ():
            session.exec_driver_sql(statement)
    document = {"applied": args.apply, "roles": [f"{args.prefix}_{name}" for name in roles.ROLES], "sql": wanted}
    return document, [f"{statement};" for statement in wanted]


def _status(_: argparse.Namespace, settings: Settings) -> tuple[dict[str, Any], list[str]]:
    """Where the database stands."""
    with migrations.connect(settings.postgres_url()) as session:
        revision = migrations.current(session)
        days = partitions(session)
        offsets = []
        if revision:
            query = sa.text("SELECT topic, partition, next_offset FROM sink_offsets ORDER BY topic, partition")
            offsets = [tuple(row) for row in session.execute(query)]
    count, size = Counter(day.table for day in days), Counter[str]()
    for day in days:
        size[day.table] += day.bytes
    document = {
        "revision": revision,
        "newest": migrations.head(),
        "tables": {table: {"partitions": count[table], "bytes": size[table]} for table in sorted(count)},
        "offsets": [{"topic": topic, "partition": number, "next": offset} for topic, number, offset in offsets],
    }
    lines = [f"revision {revision or 'none'}, newest {migrations.head()}"]
    lines += [f"{table:<12}{count[table]:>5} days {size[table] / 2**20:>10.1f} MiB" for table in sorted(count)]
    lines += [f"{topic}[{number}] next offset {offset}" for topic, number, offset in offsets]
    return document, lines
