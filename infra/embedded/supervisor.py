"""The process that owns Kafka, PostgreSQL and, where asked for, Elasticsearch: starts them, says where they are, ends
them with itself or its owner.

`python -m infra.embedded.supervisor STATUS_FD` with a Plan on stdin. Whatever kills it, the kernel kills its children
(PR_SET_PDEATHSIG); whatever kills its owner, it notices within a quarter of a second and stops cleanly.
"""

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import msgspec

from infra.embedded import elasticsearch, kafka, postgres, security
from infra.embedded.layout import Layout, locked, write_private
from tapewatch.clock import NANOS, WALL
from tapewatch.errors import TapewatchError
from tapewatch.settings import EmbeddedSettings, TopicSettings
from tapewatch.settings.kafka import KafkaSettings
from tapewatch.settings.stack import Addresses, started_at

TICK = 0.1
START_SECONDS = 90
STOP_SECONDS = 20
ARCHIVE_SECONDS = 60
"""How long the first broker of a Java runtime may take to end: it writes the archive of its classes."""

REMAINS_SECONDS = 10
SEARCH_STARTS = 5
_INITDB_LOG, _FORMAT_LOG = "initdb.log", "kafka-format.log"
_UNPREPARED = "preparing the data folder failed"
LARGE_LOG = 10 * 1024 * 1024


class Plan(msgspec.Struct, frozen=True):
    """What to start. data : data folder; java : executable; jars : folder of the class path; settings : of the stack

    topics : how a secure broker's topics are made
    search_java, search_home : executable and home of Elasticsearch; empty where it is not wanted
    owner, owner_started : process that must outlive the stack, with its start time; 0 where there is none
    """

    data: str
    java: str
    jars: str
    settings: EmbeddedSettings
    topics: TopicSettings
    search_java: str = ""
    search_home: str = ""
    owner: int = 0
    owner_started: int = 0


class Status(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line to whoever starts the stack: a stage that begins, or how it ended: addresses, or error and hint."""

    stage: str = ""
    error: str = ""
    hint: str = ""
    addresses: Addresses | None = None


class Part(msgspec.Struct):
    """A child. process : its handle; gentle, firm : signals that ask it and that force it to end."""

    process: "subprocess.Popen[bytes]"
    gentle: signal.Signals
    firm: signal.Signals


def main(words: list[str]) -> int:
    """Start the stack, stay with it until told to end, stop it. words : descriptor that takes Status lines."""
    plan = msgspec.json.decode(sys.stdin.buffer.read(), type=Plan)
    status = int(words[0])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if plan.owner:
        threading.Thread(target=_follow_owner, args=(plan.owner, plan.owner_started), daemon=True).start()
    try:
        with locked(Layout(Path(plan.data)).stack_lock, wait=False):
            _supervise(plan, status)
    except BlockingIOError:
        _tell(status, Status(error=f"another stack works in {plan.data}", hint="Run `tapewatch down`."))
    except TapewatchError as error:
        _log(f"{error.message}. {error.hint}")
        _tell(status, Status(error=error.message, hint=error.hint))
    return 1


def _supervise(plan: Plan, status: int) -> None:
    """Start, announce, watch; stop whatever was started, however this ends. Returns never but by an exception."""
    layout = Layout(Path(plan.data))
    _clear_remains(layout)
    parts: dict[str, Part] = {}
    broker = (Path(plan.jars), plan.java)
    try:
        ports = kafka.choose_ports(plan.settings, layout)
        search = elasticsearch.choose_port(plan.settings, layout) if plan.search_home else 0
        if search:
            _start_search(plan, layout, search, parts)
        _start(plan, layout, ports, parts, status)
        _await_health(layout, ports, parts, search)
        if ports.certificates:
            security.open_accounts(layout, ports.by_certificate, plan.topics)
        addresses = _announce(layout, ports, parts, search)
        _tell(status, Status(addresses=addresses))
        os.close(status)
        starts = [WALL.elapsed()]
        while True:
            if search and _search_ended(layout, parts, starts):
                _start_search(plan, layout, search, parts)
                _announce(layout, ports, parts, search)
            _fail_if_ended(layout, parts)
            WALL.sleep(TICK)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _stop(parts, STOP_SECONDS if kafka.archive_file(*broker).exists() else ARCHIVE_SECONDS)
        kafka.adopt(*broker)
        layout.stack_file.unlink(missing_ok=True)
        if not layout.socket.is_relative_to(layout.data):
            with suppress(OSError):
                layout.socket.rmdir()
        _log("stopped")


def _start(plan: Plan, layout: Layout, ports: kafka.Ports, parts: dict[str, Part], status: int) -> None:
    """Start both servers, each as soon as its folder is prepared."""
    uid = postgres.user(layout)
    postgres.prepare_folders(layout, uid)
    make_cluster = postgres.init_command(layout)
    if make_cluster or not kafka.is_formatted(layout):
        _tell(status, Status(stage="preparing Kafka's storage and PostgreSQL's cluster"))
    preparing = None
    if make_cluster:
        preparing = _launch(make_cluster, layout.postgres, layout.logs / _INITDB_LOG, signal.SIGKILL, uid)
    _start_broker(plan, layout, ports, parts)
    _tell(status, Status(stage="starting Kafka and PostgreSQL"))
    if preparing:
        if preparing.wait() != 0:
            raise _failure(layout, _INITDB_LOG, _UNPREPARED)
        postgres.finish_init(layout)
    # PostgreSQL's death signal is SIGQUIT, at which it takes its backends along.
    database = postgres.command(layout)
    process = _launch(database, layout.postgres, layout.logs / "postgres.log", signal.SIGQUIT, uid)
    parts["postgres"] = Part(process, signal.SIGINT, signal.SIGQUIT)


def _start_broker(plan: Plan, layout: Layout, ports: kafka.Ports, parts: dict[str, Part]) -> None:
    """Start the broker, over storage that is formatted where there is none yet."""
    jars, more = Path(plan.jars), dict[str, object](plan.settings.kafka_properties)
    if ports.certificates:
        security.certify(layout)
        more = {**security.PROPERTIES, **more}
    if not kafka.is_formatted(layout) and not kafka.lay_out(layout, jars):
        tool = kafka.format_command(layout, ports, plan.java, jars, more)
        if _launch(tool, layout.kafka, layout.logs / _FORMAT_LOG, signal.SIGKILL).wait() != 0:
            raise _failure(layout, _FORMAT_LOG, _UNPREPARED)
        kafka.put_in_place(layout)
        kafka.remember(layout, jars)
    broker = kafka.command(layout, ports, plan.java, jars, plan.settings.kafka_heap_mb, more)
    process = _launch(broker, layout.kafka, layout.logs / "kafka-console.log", signal.SIGKILL)
    parts["kafka"] = Part(process, signal.SIGTERM, signal.SIGKILL)


def _start_search(plan: Plan, layout: Layout, port: int, parts: dict[str, Part]) -> None:
    """Start Elasticsearch."""
    words = (plan.search_java, Path(plan.search_home), plan.settings.elasticsearch_heap_mb)
    node = elasticsearch.command(layout, port, *words)
    process = _launch(node, layout.elasticsearch, layout.logs / "elasticsearch-console.log", signal.SIGKILL)
    parts["elasticsearch"] = Part(process, signal.SIGTERM, signal.SIGKILL)


def _search_ended(layout: Layout, parts: dict[str, Part], starts: list[int]) -> bool:
    """Whether Elasticsearch is to be started again: it has ended by itself, and not SEARCH_STARTS times in a minute.

    The truth lies in Kafka: what may be down for a while without loss does not take the stack along.
    """
    part = parts.get("elasticsearch")
    if part is None or part.process.poll() is None:
        return False
    del parts["elasticsearch"]
    starts[:] = [start for start in starts if WALL.elapsed() - start < 60 * NANOS] + [WALL.elapsed()]
    failure = _failure(layout, "elasticsearch.log", f"Elasticsearch ended by itself ({part.process.returncode})")
    again = len(starts) <= SEARCH_STARTS
    _log(f"{failure.message}\n{'starting it again' if again else 'not started again: too often within a minute'}")
    return again


def _launch(
    command: list[str], folder: Path, log: Path, death_signal: signal.Signals, uid: int | None = None
) -> "subprocess.Popen[bytes]":
    """Start a child that gets `death_signal` when we die. Only the main thread may: its end counts as ours."""
    if log.exists() and log.stat().st_size > LARGE_LOG:
        log.replace(log.with_suffix(".1.log"))
    wrapper = [sys.executable, "-IS", str(Path(__file__).with_name("launch.py"))]
    words = [str(os.getpid()), str(int(death_signal)), str(os.geteuid() if uid is None else uid)]
    with log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603 - our own words
            [*wrapper, *words, *command],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=postgres.environment(),
            start_new_session=True,
        )


def _await_health(layout: Layout, ports: kafka.Ports, parts: dict[str, Part], search: int) -> None:
    """Wait until all servers answer. TapewatchError when one ends or time runs out.

    search : Elasticsearch's port, 0 without it
    """
    deadline = WALL.elapsed() + START_SECONDS * NANOS
    while not postgres.create_database(layout):
        _wait(layout, parts, deadline, "postgres.log")
    access = KafkaSettings(ports.bootstrap)
    if ports.certificates:
        access = security.by_certificate(layout, ports.by_certificate)
    while not kafka.is_healthy(access):
        _wait(layout, parts, deadline, "kafka.log")
    while search and not elasticsearch.is_healthy(elasticsearch.url(search)):
        _wait(layout, parts, deadline, "elasticsearch.log")


def _wait(layout: Layout, parts: dict[str, Part], deadline: int, log: str) -> None:
    """Let a little time pass while the servers come up."""
    _fail_if_ended(layout, parts)
    if WALL.elapsed() > deadline:
        raise _failure(layout, log, f"a server did not answer within {START_SECONDS} s")
    WALL.sleep(TICK)


def _fail_if_ended(layout: Layout, parts: dict[str, Part]) -> None:
    """TapewatchError when a server has ended by itself."""
    for name, part in parts.items():
        if part.process.poll() is not None:
            raise _failure(layout, f"{name}.log", f"{name} ended by itself with exit status {part.process.returncode}")


def _failure(layout: Layout, log_name: str, message: str) -> TapewatchError:
    """An error that quotes the last grave lines of a log, or its end."""
    log = layout.logs / log_name
    if log_name in ("kafka.log", "elasticsearch.log"):
        # A JVM that does not come as far as the server's own log speaks on the console.
        written = [path for path in (log, log.with_name(f"{log.stem}-console.log")) if path.exists()]
        log = max(written, key=lambda path: path.stat().st_mtime_ns, default=log)
    lines = log.read_text(errors="replace").strip().splitlines()[-200:] if log.exists() else []
    grave = [line for line in lines if any(word in line for word in (" ERROR ", " FATAL ", "FATAL:", "PANIC:"))]
    quoted = "".join(f"\n    {line[:300]}" for line in (grave or lines)[-3:])
    return TapewatchError(f"{message}{quoted}", f"See {log}, and `tapewatch doctor`.")


def _announce(layout: Layout, ports: kafka.Ports, parts: dict[str, Part], search: int) -> Addresses:
    """Write stack.json."""
    pids = {"supervisor": os.getpid()} | {name: part.process.pid for name, part in sorted(parts.items())}
    started = {name: started_at(pid) or 0 for name, pid in pids.items()}
    search_url = elasticsearch.url(search) if search else ""
    accounts = str(security.folder(layout)) if ports.certificates else ""
    addresses = Addresses(ports.bootstrap, postgres.url(layout), pids, started, search_url, accounts)
    write_private(layout.stack_file, msgspec.json.encode(addresses))
    _log(f"started: {pids}")
    return addresses


def _stop(parts: dict[str, Part], patience_s: int) -> None:
    """Ask all to end, then force what is left after `patience_s` seconds."""
    for part in parts.values():
        part.process.send_signal(part.gentle)
    deadline = WALL.elapsed() + patience_s * NANOS
    for part in parts.values():
        for force in (part.firm, signal.SIGKILL):
            try:
                part.process.wait(max(TICK, (deadline - WALL.elapsed()) / NANOS))
            except subprocess.TimeoutExpired:
                part.process.send_signal(force)
                deadline = WALL.elapsed() + REMAINS_SECONDS * NANOS
        part.process.wait()


def _clear_remains(layout: Layout) -> None:
    """Wait until the servers of a supervisor that was killed are gone; force them after a while. Data stays."""
    with suppress(FileNotFoundError, msgspec.DecodeError):
        before = msgspec.json.decode(layout.stack_file.read_bytes(), type=Addresses)
        for name in ("kafka", "postgres", "elasticsearch"):
            _await_end(before.pids.get(name, 0), before.started.get(name))
    postmaster = postgres.running_postmaster(layout)
    if postmaster is not None:
        _await_end(postmaster, started_at(postmaster))
    elif (layout.cluster / "postmaster.pid").exists():
        # Its process id may meanwhile be somebody else's, at which PostgreSQL would refuse to start.
        (layout.cluster / "postmaster.pid").unlink()
    layout.stack_file.unlink(missing_ok=True)


def _await_end(pid: int, started: int | None) -> None:
    """Wait for one process to end, then kill it."""
    deadline = WALL.elapsed() + REMAINS_SECONDS * NANOS
    while started is not None and started_at(pid) == started:
        if WALL.elapsed() > deadline:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        WALL.sleep(TICK)


def _follow_owner(pid: int, started: int) -> None:
    """End the supervisor when its owner has ended."""
    while started_at(pid) == started:
        WALL.sleep(TICK)
    _log(f"the owner, process {pid}, has ended")
    os.kill(os.getpid(), signal.SIGTERM)


def _tell(descriptor: int, status: Status) -> None:
    """Write one status line; whoever started us may have gone."""
    with suppress(OSError):
        os.write(descriptor, msgspec.json.encode(status) + b"\n")


def _log(message: str) -> None:
    """One line into the supervisor's log."""
    sys.stderr.write(f"{message}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
