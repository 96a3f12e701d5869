"""A stack of the bench's own: real servers in a temporary data folder, gone when the bench ends, however it ends."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from infra import embedded
from tapewatch.access import acls
from tapewatch.settings import KafkaSettings, PostgresSettings, Settings
from tapewatch.settings.environment import environment_of
from tapewatch.settings.kafka import of_embedded, password_file

_ENTRY = "from tapewatch.cli import main; raise SystemExit(main())"


@contextmanager
def own_stack(settings: Settings) -> Iterator[Settings]:
    """Settings of a new stack for the length of the block; nothing of the caller's servers is touched."""
    with tempfile.TemporaryDirectory(prefix="tapewatch-bench-") as folder:
        own = msgspec.structs.replace(settings, data=folder, kafka=KafkaSettings(), postgres=PostgresSettings())
        with embedded.shown() as report:
            manager = embedded.session(own, report)
            addresses = manager.__enter__()
        try:
            access = KafkaSettings(bootstrap=addresses.bootstrap)
            if addresses.kafka_accounts:
                access = of_embedded(access, Path(addresses.kafka_accounts))
            yield msgspec.structs.replace(
                own,
                kafka=access,
                postgres=PostgresSettings(url=addresses.postgres_url),
            )
        finally:
            manager.__exit__(None, None, None)


def as_account(settings: Settings, user: str) -> Settings:
    """These settings for a process that comes under its own name; the same where the broker asks nobody."""
    access = settings.kafka
    if not access.password_file:
        return settings
    file = str(password_file(Path(access.password_file).parent, user))
    return msgspec.structs.replace(settings, kafka=msgspec.structs.replace(access, user=user, password_file=file))


def as_engine(settings: Settings, group: str) -> Settings:
    """These settings for an engine under its own name, which may then work in this group and no other; the same where
    the broker asks nobody.
    """
    if not settings.kafka.password_file:
        return settings
    own = msgspec.structs.replace(settings, engine=msgspec.structs.replace(settings.engine, group=group))
    acls.carry_out(settings, acls.plan(own, {"engine": acls.principal("engine")}, prune=True))
    return as_account(settings, "engine")


def command(*words: str) -> list[str]:
    """A `tapewatch` command line of this very installation."""
    return [sys.executable, "-P", "-c", _ENTRY, *words]


def environment(settings: Settings, **more: str) -> dict[str, str]:
    """Environment of a subprocess with these settings, none of the caller's; `more` by setting (ENGINE_GROUP=...)."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TAPEWATCH_")}
    ours = {
        "DATA": settings.data,
        "KAFKA_BOOTSTRAP": settings.bootstrap(),
        "POSTGRES_URL": settings.postgres_url(),
        "EMBEDDED_KAFKA_HEAP_MB": str(settings.embedded.kafka_heap_mb),
        **more,
    }
    access = environment_of(Settings(kafka=settings.kafka))
    return {**kept, **access, **{f"TAPEWATCH_{name}": value for name, value in ours.items()}}
