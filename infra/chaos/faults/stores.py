"""Faults of PostgreSQL and Elasticsearch: killed, cut off from their clients, out of disk, meddled with by hand."""

import ctypes
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg2

from infra.chaos.broken import note_broken
from infra.chaos.faults.kind import (
    ELASTICSEARCH,
    POSTGRES,
    Fault,
    Ground,
    Kind,
    NotInjectedError,
    Pause,
    Process,
    asleep,
    comes,
)
from infra.chaos.faults.processes import end_in_order, running
from infra.embedded.layout import Layout

_MS_REMOUNT, _MS_NOSUID, _MS_NODEV = 32, 2, 4
_MIB = 1024 * 1024
_MOST = 5
_BY_HAND = "changed by hand"
DEAD_S = 10.0
"""How long a killed server may take to be gone."""


def kill_postgres(site: Ground, fault: Fault, pause: Pause) -> str:
    """SIGKILL of the server and all its backends at once, as when its machine dies."""
    return f"postgres and {_die(running(site, 'postgres'))} backends"


def _die(server: Process) -> int:
    """SIGKILL of the server and all its backends; how many there were."""
    backends = _children(server.pid)
    server.kill()
    for backend in backends:
        with suppress(ProcessLookupError):
            os.kill(backend, signal.SIGKILL)
    return len(backends)


def roll_back(site: Ground, fault: Fault, pause: Pause) -> str:
    """PostgreSQL's data folder becomes again what it was at the fault's beginning, as when a backup is put back; the
    sinks stand still for both copies, and fill in what is missing from where their offsets stand now.
    """
    cluster, earlier = Layout(site.folder).cluster, site.folder / "earlier"
    try:
        with _laid_down(site, pause):
            _copy(cluster, earlier)
        pause(fault.length_s)
        with _laid_down(site, asleep):
            shutil.rmtree(cluster)
            _copy(earlier, cluster)
    finally:
        shutil.rmtree(earlier, ignore_errors=True)
    return f"postgres, by {fault.length_s:.0f} s"


@contextmanager
def _laid_down(site: Ground, pause: Pause) -> Iterator[None]:
    """PostgreSQL has crashed, whoever writes to it has ended, and all are started again whatever happens."""
    server, writers = site.processes["postgres"], [*site.of("sink"), *site.of("reconcile")]
    try:
        end_in_order(writers, pause)
        server.hold()
        _die(running(site, "postgres"))
        if not comes(lambda: not server.pid, pause, DEAD_S):
            raise NotInjectedError("PostgreSQL did not die")
        yield
    finally:
        for process in (server, *writers):
            process.release()


def _copy(source: Path, target: Path) -> None:
    """A folder with its owners, which shutil does not keep."""
    subprocess.run(["/bin/cp", "-a", source, target], check=True)  # noqa: S603 - our own words


def _children(parent: int) -> list[int]:
    """Process ids of a process's children."""
    found = []
    for folder in Path("/proc").iterdir():
        with suppress(OSError, IndexError, ValueError):
            # After the name, which stands in parentheses and may hold anything: state, parent.
            if int((folder / "stat").read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(folder.name))
    return found


def end_sessions(site: Ground, fault: Fault, pause: Pause) -> str:
    """pg_terminate_backend on every session of our processes."""
    try:
        own = psycopg2.connect(site.postgres_url.replace("+psycopg2", "", 1), connect_timeout=5)
    except psycopg2.OperationalError as error:
        raise NotInjectedError(f"PostgreSQL did not answer: {error}") from error
    try:
        with own.cursor() as cursor:
            cursor.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )
            found = cursor.fetchone()
    finally:
        own.close()
    if not found or not found[0]:
        raise NotInjectedError("nobody was connected to PostgreSQL")
    return f"{found[0]} sessions"


def fill_disk(site: Ground, fault: Fault, pause: Pause) -> str:
    """The file system of PostgreSQL's data folder has no byte left for the fault's length."""
    if site.postgres_folder is None:
        raise NotInjectedError("PostgreSQL's folder is no file system of its own")
    with full(site.postgres_folder):
        pause(fault.length_s)
    return "postgres"


@contextmanager
def full(folder: Path) -> Iterator[None]:
    """A tmpfs shrunk to what is in use, and given its size back whatever happens.

    Not filled with a file: that would take the memory. NotInjectedError where it is no tmpfs that we may change.
    """
    found = os.statvfs(folder)
    used = (found.f_blocks - found.f_bfree) * found.f_frsize
    # At least a page, for 0 stands for no limit; and files may have grown since the look.
    if not any(_resized(folder, max(used, found.f_frsize) + more) for more in range(0, 64 * _MIB, _MIB)):
        raise NotInjectedError(f"{folder} cannot be resized: {os.strerror(ctypes.get_errno())}")
    try:
        yield
    finally:
        if not _resized(folder, found.f_blocks * found.f_frsize):
            raise NotInjectedError(f"{folder} did not get its size back: {os.strerror(ctypes.get_errno())}")


def _resized(folder: Path, size: int) -> bool:
    """Set a tmpfs's size in bytes; False where that may not be, or more is in use."""
    libc = ctypes.CDLL(None, use_errno=True)
    flags = _MS_REMOUNT | _MS_NOSUID | _MS_NODEV
    return bool(libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", flags, f"size={size}".encode()) == 0)


def kill_elasticsearch(site: Ground, fault: Fault, pause: Pause) -> str:
    """SIGKILL; the site starts it again."""
    if "elasticsearch" not in site.processes:
        raise NotInjectedError("the site has no Elasticsearch")
    running(site, "elasticsearch").kill()
    return "elasticsearch"


def delete_rows(site: Ground, fault: Fault, pause: Pause) -> str:
    """Some alerts are deleted from PostgreSQL by hand; the running `reconcile --repair` writes them again."""
    ids = _alerts(site, 1 + int(fault.draw * _MOST))
    note_broken(site.folder, POSTGRES, ids)
    _execute(site, "DELETE FROM alerts WHERE id = ANY(%s)", ids)
    back = comes(
        lambda: _count(site, "SELECT count(*) FROM alerts WHERE id = ANY(%s)", ids) == len(ids), pause, fault.length_s
    )
    return f"{len(ids)} alerts, {'restored' if back else 'not restored yet'}"


def change_rows(site: Ground, fault: Fault, pause: Pause) -> str:
    """Some alerts in PostgreSQL are changed by hand; the running `reconcile --repair` puts them right."""
    ids = _alerts(site, 1 + int(fault.draw * _MOST))
    note_broken(site.folder, POSTGRES, ids)
    _execute(site, f"UPDATE alerts SET score = 0, sentence = '{_BY_HAND}' WHERE id = ANY(%s)", ids)  # noqa: S608
    wrong = f"SELECT count(*) FROM alerts WHERE sentence = '{_BY_HAND}' AND id = ANY(%s)"  # noqa: S608 - constants
    back = comes(lambda: _count(site, wrong, ids) == 0, pause, fault.length_s)
    return f"{len(ids)} alerts, {'put right' if back else 'not put right yet'}"


def delete_documents(site: Ground, fault: Fault, pause: Pause) -> str:
    """Some alerts are deleted from Elasticsearch by hand; the running `reconcile --repair` writes them again."""
    from elasticsearch import ApiError, Elasticsearch, TransportError

    _needs_repair(site)
    if "elasticsearch" not in site.processes:
        raise NotInjectedError("the site has no Elasticsearch")
    index = f"{site.settings.elasticsearch.prefix}-alerts"
    with Elasticsearch(site.settings.elasticsearch_url(), request_timeout=10, max_retries=0) as client:
        try:
            found = client.search(index=index, size=1 + int(fault.draw * _MOST), source=False)["hits"]["hits"]
            ids = [hit["_id"] for hit in found]
            note_broken(site.folder, ELASTICSEARCH, ids)
            for id_ in ids:
                client.options(ignore_status=404).delete(index=index, id=id_)
        except (ApiError, TransportError) as error:
            raise NotInjectedError(f"Elasticsearch did not answer: {error}") from error
        if not ids:
            raise NotInjectedError("there is no alert in Elasticsearch yet")

        def there() -> bool:
            with suppress(ApiError, TransportError):
                return all(each["found"] for each in client.mget(index=index, ids=ids, source=False)["docs"])
            return False

        back = comes(there, pause, fault.length_s)
    return f"{len(ids)} alerts, {'restored' if back else 'not restored yet'}"


def _needs_repair(site: Ground) -> None:
    """NotInjectedError where nobody repairs."""
    if "reconcile" not in site.processes:
        raise NotInjectedError("no `reconcile --repair` runs")


def _alerts(site: Ground, most: int) -> list[str]:
    """Ids of some alerts in PostgreSQL. NotInjectedError where there are none, or nobody repairs."""
    _needs_repair(site)
    # The order of hashes is one that nobody chose, and the same for the same alerts.
    ids = [str(id_) for (id_,) in _execute(site, "SELECT id FROM alerts ORDER BY md5(id) LIMIT %s", most)]
    if not ids:
        raise NotInjectedError("there is no alert in PostgreSQL yet")
    return ids


def _count(site: Ground, query: str, ids: list[str]) -> int:
    """A count; -1 where PostgreSQL does not answer."""
    try:
        return int(_execute(site, query, ids)[0][0])
    except NotInjectedError:
        return -1


def _execute(site: Ground, statement: str, value: object) -> list[tuple[Any, ...]]:
    """Rows of a statement of its own transaction, past the proxy. NotInjectedError where PostgreSQL does not answer."""
    try:
        own = psycopg2.connect(site.postgres_url.replace("+psycopg2", "", 1), connect_timeout=5)
        with closing(own), own, own.cursor() as cursor:
            cursor.execute(statement, (value,))
            return cursor.fetchall() if cursor.description else []
    except psycopg2.Error as error:
        raise NotInjectedError(f"PostgreSQL did not answer: {error}") from error


KINDS = (
    Kind("kill_postgres", "kill -9 of PostgreSQL and its backends", POSTGRES, kill_postgres, settle_s=10),
    Kind("roll_back_postgres", "an earlier state of PostgreSQL is put back", POSTGRES, roll_back, "", 10, 20, 40),
    Kind("end_sessions", "PostgreSQL ends every session (pg_terminate_backend)", POSTGRES, end_sessions, settle_s=5),
    Kind("fill_disk", "the disk of PostgreSQL's data folder is full", POSTGRES, fill_disk, "", 5, 10, 12),
    Kind("delete_rows", "alerts are deleted from PostgreSQL by hand", POSTGRES, delete_rows, "", 45, 45),
    Kind("change_rows", "alerts are changed in PostgreSQL by hand", POSTGRES, change_rows, "", 45, 45),
    Kind(
        "delete_documents", "alerts are deleted from Elasticsearch by hand", ELASTICSEARCH, delete_documents, "", 45, 45
    ),
    Kind("kill_elasticsearch", "kill -9 of Elasticsearch", ELASTICSEARCH, kill_elasticsearch, settle_s=40),
)
