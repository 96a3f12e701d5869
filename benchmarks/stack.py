"""A stack of the bench's own: real servers in a temporary data folder, gone when the bench ends, however it ends."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from infra import embedded
from tapewatch.settings import KafkaSettings, PostgresSettings, Settings

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
            yield msgspec.structs.replace(
                own,
                kafka=KafkaSettings(bootstrap=addresses.bootstrap),
                postgres=PostgresSettings(url=addresses.postgres_url),
            )
        finally:
            manager.__exit__(None, None, None)


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
    return {**kept, **{f"TAPEWATCH_{name}": value for name, value in ours.items()}}
