"""Where everything of an embedded stack lies below its data folder."""

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from tapewatch.errors import TapewatchError
from tapewatch.settings.stack import STACK_FILE

SOCKET_NAME = ".s.PGSQL.5432"
SOCKET_PATH_LIMIT = 100
"""Bytes of a socket's path; the kernel's own limit is 107."""


class Layout(msgspec.Struct, frozen=True):
    """Paths below one data folder. data : absolute path."""

    data: Path

    @property
    def stack_file(self) -> Path:
        """Addresses of the running stack."""
        return self.data / STACK_FILE

    @property
    def start_lock(self) -> Path:
        """Held by whoever starts or stops the stack, while it does so."""
        return self.data / "start.lock"

    @property
    def stack_lock(self) -> Path:
        """Held by the supervisor as long as it lives."""
        return self.data / "stack.lock"

    @property
    def ports_file(self) -> Path:
        """The broker's ports of the last start, taken again where they are free."""
        return self.data / "ports.json"

    @property
    def logs(self) -> Path:
        """Log files of all parts."""
        return self.data / "logs"

    @property
    def kafka(self) -> Path:
        """The broker's working folder: `data/` and its properties."""
        return self.data / "kafka"

    @property
    def postgres(self) -> Path:
        """PostgreSQL's folder: `cluster/` and, where the path is short enough, `socket/`."""
        return self.data / "postgres"

    @property
    def elasticsearch(self) -> Path:
        """Elasticsearch's folder: `data/`, `config/`, `tmp/`; there only where it has been started."""
        return self.data / "elasticsearch"

    @property
    def cluster(self) -> Path:
        """PGDATA."""
        return self.postgres / "cluster"

    @property
    def socket(self) -> Path:
        """Folder of PostgreSQL's Unix socket: below the data folder, or a short temporary path named by its hash."""
        below = self.postgres / "socket"
        if len(os.fsencode(below / SOCKET_NAME)) <= SOCKET_PATH_LIMIT:
            return below
        digest = hashlib.sha256(os.fsencode(self.data)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"tapewatch-{os.geteuid()}-{digest}"

    def create(self) -> None:
        """Make the folders. TapewatchError where the data folder cannot be written."""
        try:
            self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
            for folder in (self.logs, self.kafka, self.postgres):
                folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise TapewatchError(
                f"the data folder {self.data} cannot be written: {error.strerror}",
                "Name another one with --data, or mend its permissions.",
            ) from error


@contextmanager
def locked(path: Path, wait: bool = True) -> Iterator[None]:
    """Hold an exclusive lock on a file; the kernel releases it when the process ends, however it ends.

    BlockingIOError where another process holds it and `wait` is false.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield


def is_locked(path: Path) -> bool:
    """Whether another process holds the lock."""
    try:
        with locked(path, wait=False):
            return False
    except BlockingIOError:
        return True


def write_private(path: Path, content: bytes) -> None:
    """Write a file that its owner alone may read; readers see the old content or the new, never a part."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.unlink(missing_ok=True)
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    scratch.replace(path)
