"""PostgreSQL of the kit: its data folder on a small tmpfs of its own, so that it can be filled to the brim."""

import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import msgspec

from infra.chaos.server import SupervisedProcess
from infra.embedded import launch, postgres
from infra.embedded.layout import SOCKET_NAME, Layout
from tapewatch.errors import TapewatchError

OPTIONS = {
    # What lies on the tmpfs is memory: little log beside the tables, and checkpoints often enough to keep it so.
    "max_wal_size": "128MB",
    "min_wal_size": "64MB",
    "shared_buffers": "96MB",
    "max_connections": "60",
    "checkpoint_timeout": "5min",
    "restart_after_crash": "on",
}

_CLONE_NEWNS = 0x00020000
_MS_REC, _MS_PRIVATE, _MS_NOSUID, _MS_NODEV = 16384, 1 << 18, 2, 4


class Database(msgspec.Struct, frozen=True):
    """Where PostgreSQL lies. layout : its folders; socket : folder of its own socket; proxied : folder of the proxy's

    reason : why its folder is no tmpfs of its own, empty where it is
    """

    layout: Layout
    socket: Path
    proxied: Path
    reason: str

    @property
    def url(self) -> str:
        """SQLAlchemy URL of the server itself."""
        return _url(self.socket)

    @property
    def proxied_url(self) -> str:
        """SQLAlchemy URL that our processes are given."""
        return _url(self.proxied)

    @property
    def folder(self) -> Path:
        """What is mounted."""
        return self.layout.postgres


def own_mounts() -> str:
    """Give this process mounts of its own, which end with it and its children; else why not.

    Only before the first thread is started: a thread that is there already keeps the mounts there were.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS) != 0:
        return f"this process may not have mounts of its own: {os.strerror(ctypes.get_errno())}"
    if libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None) != 0:
        return f"mounts cannot be made private: {os.strerror(ctypes.get_errno())}"
    return ""


def prepare(folder: Path, size_mb: int, no_mounts: str) -> Database:
    """Folders of a new server, with the data folder on a tmpfs of `size_mb` MiB unless `no_mounts` says why not."""
    layout = Layout(folder)
    layout.create()
    reason = no_mounts or _mount(layout.postgres, size_mb)
    database = Database(layout, folder / "db", folder / "dbp", reason)
    uid = postgres.user(layout)
    for each in (database.socket, database.proxied):
        if len(os.fsencode(each / SOCKET_NAME)) > 100:
            raise TapewatchError(f"{each} is too long for a socket's path", "Set TMPDIR to a shorter folder.")
        each.mkdir(mode=0o700)
    postgres.prepare_folders(layout, uid)
    if os.geteuid() == 0:
        os.chown(database.socket, uid, -1)
    words = postgres.init_command(layout) or []
    become = [sys.executable, "-IS", launch.__file__, str(os.getpid()), str(int(signal.SIGKILL)), str(uid)]
    done = subprocess.run([*become, *words], cwd=layout.postgres, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise TapewatchError(f"initdb failed: {done.stderr.strip()[-300:]}", "See `tapewatch doctor`.")
    postgres.finish_init(layout)
    return database


def kept(database: Database, environment: dict[str, str]) -> SupervisedProcess:
    """The server as a process that is started again when it dies."""
    layout = database.layout
    options = OPTIONS | {"unix_socket_directories": str(database.socket)}
    words = [*postgres.command(layout), *(word for key, value in options.items() for word in ("-c", f"{key}={value}"))]

    def command() -> list[str]:
        # A process id of the dead server may by now be somebody else's, at which PostgreSQL would refuse to start.
        if postgres.running_postmaster(layout) is None:
            (layout.cluster / "postmaster.pid").unlink(missing_ok=True)
        return words

    log = layout.logs / "postgres.log"
    uid = postgres.user(layout)
    return SupervisedProcess("postgres", "postgres", command, layout.postgres, log, environment, signal.SIGQUIT, uid)


def create(database: Database) -> bool:
    """Create our database where it is missing; False while the server does not take connections yet."""
    import psycopg2

    try:
        session = psycopg2.connect(host=str(database.socket), user=postgres.ROLE, dbname="postgres")
    except psycopg2.OperationalError:
        return False
    try:
        session.autocommit = True
        with session.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (postgres.DATABASE,))
            if cursor.fetchone() is None:
                cursor.execute(f"CREATE DATABASE {postgres.DATABASE}")
    finally:
        session.close()
    return True


def unmount(database: Database) -> None:
    """Give the tmpfs back."""
    if not database.reason:
        ctypes.CDLL(None).umount2(os.fsencode(database.folder), 2)


def _mount(folder: Path, size_mb: int) -> str:
    """Mount a tmpfs there; else why not."""
    libc = ctypes.CDLL(None, use_errno=True)
    options = f"size={size_mb}m,mode=0700".encode()
    if libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", _MS_NOSUID | _MS_NODEV, options) != 0:
        return f"a tmpfs cannot be mounted: {os.strerror(ctypes.get_errno())}"
    return ""


def _url(folder: Path) -> str:
    return f"postgresql+psycopg2://{postgres.ROLE}@/{postgres.DATABASE}?host={quote(str(folder), safe='/')}"
