"""Start and stop an embedded stack from any process: the command line, the demo, a test."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from infra.embedded import elasticsearch_home, jars, java, postgres
from infra.embedded.jars import Report, silent
from infra.embedded.layout import Layout, is_locked, locked
from infra.embedded.supervisor import Plan, Status
from tapewatch.clock import NANOS, WALL
from tapewatch.errors import TapewatchError
from tapewatch.settings import Settings
from tapewatch.settings.stack import Addresses, started_at

TICK = 0.1
STOP_SECONDS = 90


def running(data: Path) -> Addresses | None:
    """Addresses of the stack that runs in this data folder, or None; a stack.json left by a crash counts as none."""
    try:
        return Addresses.running(data)
    except TapewatchError:
        return None


def start(settings: Settings, progress: Report = silent, owner_pid: int | None = None) -> Addresses:
    """Start the stack of the data folder, or find it running, and return when all servers answer.

    owner_pid : a process with which the stack ends, however that ends; without one it stays until `stop`. An owner is
        taken on by a stack that is started here, never by one that is found.
    TapewatchError says what is missing or quotes the log of the server that failed; or that a stack runs without the
    Elasticsearch that is asked for.
    """
    layout = Layout(settings.data_path)
    layout.create()
    with locked(layout.start_lock):
        found = running(layout.data) or _awaited(layout)
        if found is not None:
            return _fitting(found, settings)
        runtime = java.find(settings.embedded.java)
        search = java.find_for_search(settings.embedded.elasticsearch_java) if settings.embedded.elasticsearch else None
        postgres.binaries()
        plan = Plan(
            data=str(layout.data),
            java=str(runtime.path),
            jars=str(jars.ensure(report=progress)),
            settings=settings.embedded,
            topics=settings.topics,
            search_java=str(search.path) if search else "",
            search_home=str(elasticsearch_home.ensure(str(search.path), progress)) if search else "",
            owner=owner_pid or 0,
            owner_started=(started_at(owner_pid) or 0) if owner_pid else 0,
        )
        return _launched(layout, plan, progress)


def stop(data: Path) -> bool:
    """Stop the stack of this data folder cleanly, one that is still starting included; False where there was none."""
    layout = Layout(data)
    if not layout.start_lock.parent.is_dir():
        return False
    with locked(layout.start_lock):
        found = running(data) or _awaited(layout)
        if found is None:
            layout.stack_file.unlink(missing_ok=True)
            return False
        _end(found.pids["supervisor"], found.started["supervisor"])
        return True


@contextmanager
def session(settings: Settings, progress: Report = silent) -> Iterator[Addresses]:
    """A stack that this process owns for the length of the block; one that was running before is left running."""
    found = running(settings.data_path)
    if found is not None:
        yield _fitting(found, settings)
        return
    addresses = start(settings, progress, owner_pid=os.getpid())
    try:
        yield addresses
    finally:
        stop(settings.data_path)


def _fitting(found: Addresses, settings: Settings) -> Addresses:
    """The running stack, where it has what is asked for."""
    if settings.embedded.elasticsearch and not found.elasticsearch_url:
        raise TapewatchError(
            f"the stack in {settings.data_path} runs without Elasticsearch",
            "Run `tapewatch down`, then `tapewatch up --with elasticsearch`: topics and tables stay.",
        )
    if settings.embedded.secure and not found.kafka_accounts:
        raise TapewatchError(
            f"the stack in {settings.data_path} asks nobody who he is",
            "Run `tapewatch down`, then `tapewatch up --secure`: topics and tables stay.",
        )
    return found


def _awaited(layout: Layout) -> Addresses | None:
    """Where a supervisor is still starting (its starter was killed) or stopping, wait for how that ends."""
    deadline = WALL.elapsed() + STOP_SECONDS * NANOS
    while is_locked(layout.stack_lock):
        found = running(layout.data)
        if found is not None:
            return found
        if WALL.elapsed() > deadline:
            raise TapewatchError(f"a stack in {layout.data} neither starts nor stops", f"See {layout.logs}.")
        WALL.sleep(TICK)
    return None


def _launched(layout: Layout, plan: Plan, progress: Report) -> Addresses:
    """Start a supervisor in a session of its own and follow what it says until both servers answer."""
    reading, writing = os.pipe()
    with (layout.logs / "supervisor.log").open("ab") as log:
        supervisor = subprocess.Popen(  # noqa: S603 - our own words
            [sys.executable, "-P", "-m", "infra.embedded.supervisor", str(writing)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            pass_fds=(writing,),
            start_new_session=True,
        )
    os.close(writing)
    try:
        with os.fdopen(reading, "rb") as lines:
            if supervisor.stdin is not None:
                supervisor.stdin.write(msgspec.json.encode(plan))
                supervisor.stdin.close()
            for line in lines:
                status = msgspec.json.decode(line, type=Status)
                if status.addresses is not None:
                    # Waited for in the background, so that it leaves no zombie with us when it ends.
                    threading.Thread(target=supervisor.wait, daemon=True).start()
                    return status.addresses
                if status.error:
                    supervisor.wait()
                    raise TapewatchError(status.error, status.hint)
                progress(status.stage)
    except (KeyboardInterrupt, BrokenPipeError):
        supervisor.terminate()
        supervisor.wait()
        raise
    raise TapewatchError("the supervisor ended while starting", f"See {layout.logs / 'supervisor.log'}.")


def _end(pid: int, started: int) -> None:
    """Ask a supervisor to stop, and wait until it has; kill it where it does not, which takes its children along."""
    os.kill(pid, signal.SIGTERM)
    deadline = WALL.elapsed() + STOP_SECONDS * NANOS
    while started_at(pid) == started:
        if WALL.elapsed() > deadline:
            os.kill(pid, signal.SIGKILL)
        WALL.sleep(TICK)
