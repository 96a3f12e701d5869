"""A child process that is kept alive: killed or frozen on purpose, started again by the site's watch.

PostgreSQL of the kit: its data folder on a small tmpfs of its own, so that it can be filled to the brim.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import msgspec

from infra.embedded import launch, postgres
from infra.embedded.layout import SOCKET_NAME, Layout
from tapewatch.clock import NANOS, WALL
from tapewatch.errors import TapewatchError

PAUSE_S = 0.5
"""How long a dead process stays dead: a supervisor needs a moment to notice."""

FAST_ENDS = 5
SLOW_PAUSE_S = 5.0
"""A process that ends by itself more often than that within a minute is started less often."""

QUOTED = 300


class SupervisedProcess:
    """One process of the site.

    name, kind : of the process; several may be of one kind
    command : words to start it with, asked for anew at each start, so that it may prepare something first
    folder : working folder; log : file for what it says
    death_signal : what the kernel sends it when the kit dies; uid : whom it runs as
    """

    def __init__(
        self,
        name: str,
        kind: str,
        command: Callable[[], Sequence[str]],
        folder: Path,
        log: Path,
        environment: Mapping[str, str] | None = None,
        death_signal: signal.Signals = signal.SIGKILL,
        uid: int | None = None,
    ) -> None:
        self.name, self.kind, self.folder, self.log = name, kind, folder, log
        self._command, self._environment = command, environment
        self._death_signal, self._uid = death_signal, uid
        self._lock = threading.RLock()
        self._process: subprocess.Popen[bytes] | None = None
        self._held = self._frozen = self._ours = False
        self._more: tuple[str, ...] = ()
        self._due_ns = 0
        self._own_ends_ns: list[int] = []
        self.starts = 0
        self.failures: list[str] = []

    @property
    def pid(self) -> int:
        """Its process id, 0 while it does not run."""
        with self._lock:
            return self._process.pid if self._process is not None and self._process.poll() is None else 0

    @property
    def restarts(self) -> int:
        """How often it was started again."""
        return max(0, self.starts - 1)

    @property
    def held(self) -> bool:
        """Whether it stays down until it is released."""
        return self._held

    @property
    def frozen(self) -> bool:
        """Whether it stands still by our doing."""
        return self._frozen

    def kill(self) -> None:
        """SIGKILL. The watch starts it again unless it is held."""
        self._send(signal.SIGKILL)

    def ask(self) -> None:
        """SIGTERM: it ends in order, and is started again unless it is held."""
        self._send(signal.SIGTERM)

    def freeze(self) -> None:
        """SIGSTOP: it keeps its sockets and says nothing."""
        with self._lock:
            self._signal(signal.SIGSTOP)
            self._frozen = True

    def thaw(self) -> None:
        """SIGCONT."""
        with self._lock:
            self._signal(signal.SIGCONT)
            self._frozen = False

    def hold(self) -> None:
        """Do not start it again until `release`."""
        self._held = True

    def release(self, *more: str) -> None:
        """Let the watch start it again, with `more` behind its words until the next release."""
        self._more = more
        self._held = False

    def tend(self) -> None:
        """Notice a death; start it where it is due. Only the site's watch thread calls it: its end counts as ours."""
        with self._lock:
            process = self._process
            if process is not None and process.poll() is not None:
                self._bury(process.returncode)
            if self._process is None and not self._held and WALL.elapsed() >= self._due_ns:
                self._start()

    def end(self, deadline_ns: int) -> None:
        """Ask it to end for good, once, and force it at the deadline. A process that stands still is thawed first.

        deadline_ns : by the clock's `elapsed`
        """
        self.hold()
        self.thaw()
        with self._lock:
            if not self._ours:
                self.ask()
            process = self._process
        if process is None:
            return
        try:
            process.wait(max(0.05, (deadline_ns - WALL.elapsed()) / NANOS))
        except subprocess.TimeoutExpired:
            process.send_signal(self._death_signal)
            with suppress(subprocess.TimeoutExpired):
                process.wait(5)
            process.kill()
            process.wait()

    def said(self, lines: int = 3) -> str:
        """The end of its log."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return " | ".join(line[:QUOTED] for line in text.strip().splitlines()[-lines:])

    def _send(self, number: signal.Signals) -> None:
        with self._lock:
            self._ours = True
            self._frozen = self._frozen and number != signal.SIGKILL
            self._signal(number)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def _bury(self, status: int | None) -> None:
        """Write a death down, and say when the next start is due."""
        now = WALL.elapsed()
        pause = PAUSE_S
        if not self._ours:
            self.failures.append(f"{self.name} ended by itself with status {status}: {self.said()}")
            self._own_ends_ns = [at for at in self._own_ends_ns if now - at < 60 * NANOS] + [now]
            pause = PAUSE_S if len(self._own_ends_ns) <= FAST_ENDS else SLOW_PAUSE_S
        self._process, self._ours, self._frozen = None, False, False
        self._due_ns = now + int(pause * NANOS)

    def _start(self) -> None:
        words = [*self._command(), *self._more]
        uid = os.geteuid() if self._uid is None else self._uid
        become = [sys.executable, "-IS", launch.__file__, str(os.getpid()), str(int(self._death_signal)), str(uid)]
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 - our own words
                [*become, *words],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=None if self._environment is None else dict(self._environment),
                start_new_session=True,
            )
        self.starts += 1


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


def resident_bytes(pid: int, memory: str = "VmRSS") -> int:
    """Resident memory of a process, bytes; 0 where it has ended. memory : now, or the most that ever was (VmHWM)"""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{memory}:")), 0)
