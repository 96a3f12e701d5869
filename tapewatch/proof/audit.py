"""The audit log: who changed what and why, append-only, each entry chained to the one before by its hash.

`<data>/audit/audit.jsonl` holds one entry a line as canonical JSON (keys sorted, no white space). `head.json` names
the last acknowledged entry, so that a cut tail shows. Whoever can rewrite both files can forge both:
now and then, write the head's hash down elsewhere, and give it to `tapewatch audit verify --anchor`.

An append, step by step, under the lock:
1. a half-written line that an earlier crash left behind the head is cut off (it was never acknowledged);
2. the entry is appended and synced: if we die here, the next append finds it whole, checks it and takes it over;
3. the head is replaced in one step and synced; only then does the caller go on.
"""

import fcntl
import getpass
import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from tapewatch.clock import WALL, Clock
from tapewatch.durable_files import private, private_folder
from tapewatch.errors import TapewatchError
from tapewatch.rfc3339 import to_rfc3339

GENESIS = "0" * 64
LOG_FILE = "audit.jsonl"
HEAD_FILE = "head.json"
LOCK_FILE = "audit.lock"


class AuditEntry(msgspec.Struct, frozen=True):
    """One act. previous : hash of the entry before; hash : SHA-256 of this entry's canonical JSON without `hash`."""

    sequence: int
    at: str
    who: str
    action: str
    subject: str
    why: str
    details: dict[str, Any]
    previous: str
    hash: str


class AuditReport(msgspec.Struct, frozen=True):
    """What a verification found.

    entries : entries that hold from the first one on; head : hash of the last of them
    broken : sequence of the first entry that does not hold, None where all do; problem : what is wrong with it
    note : something harmless worth knowing, such as an unacknowledged last line
    """

    intact: bool
    entries: int
    head: str
    broken: int | None = None
    problem: str = ""
    note: str = ""


class _Head(msgspec.Struct, frozen=True):
    """The last acknowledged entry, and the log's size in bytes behind it."""

    sequence: int = 0
    hash: str = GENESIS
    size: int = 0


class _BrokenEntryError(Exception):
    """An entry does not hold."""


def folder(data: Path) -> Path:
    """The audit log's folder within a data folder."""
    return data / "audit"


def append(
    path: Path,
    *,
    action: str,
    subject: str,
    why: str,
    details: Mapping[str, Any] | None = None,
    who: str = "",
    clock: Clock = WALL,
) -> AuditEntry:
    """Append one act to the audit log in folder `path` and return it, once it is on disk.

    action : what was done, such as models.promote; subject : to what; why : the reason given
    details : anything JSON can hold; who : account, the operating system's user where empty
    Writers in several processes take turns. TapewatchError where the log does not end as its head says.
    """
    private_folder(path)
    with _locked(path, fcntl.LOCK_EX), open(path / LOG_FILE, "ab+", opener=private) as log:
        head = _recover(path, log)
        body = {
            "sequence": head.sequence + 1,
            "at": to_rfc3339(clock.now()),
            "who": who or user(),
            "action": action,
            "subject": subject,
            "why": why,
            "details": msgspec.json.decode(msgspec.json.encode(dict(details or {}))),
            "previous": head.hash,
        }
        body["hash"] = _digest(body)
        line = _canonical(body) + b"\n"
        log.write(line)
        _sync(log.fileno(), log)
        _write_head(path, _Head(head.sequence + 1, body["hash"], head.size + len(line)))
    return msgspec.convert(body, AuditEntry)


def entries(path: Path) -> list[AuditEntry]:
    """Every entry of the log in folder `path`, unverified; TapewatchError where a line is no entry."""
    try:
        lines = (path / LOG_FILE).read_bytes().splitlines(keepends=True)
        return [msgspec.json.decode(line, type=AuditEntry) for line in lines if line.endswith(b"\n")]
    except FileNotFoundError:
        return []
    except msgspec.DecodeError as error:
        raise TapewatchError(
            f"a line of the audit log is no entry: {error}", "Run `tapewatch audit verify`."
        ) from error


def verify(path: Path, anchor: str = "") -> AuditReport:
    """Check the whole chain of the log in folder `path` against itself, its head and, where given, an anchored hash.

    anchor : hash of an entry written down elsewhere; it must be in the chain
    """
    if not (path / LOG_FILE).exists() and not (path / HEAD_FILE).exists():
        return _anchored(AuditReport(True, 0, GENESIS), anchor, set())
    with _locked(path, fcntl.LOCK_SH):
        content = (path / LOG_FILE).read_bytes() if (path / LOG_FILE).exists() else b""
        head = _read_head(path)
    *lines, torn = content.split(b"\n")
    last, hashes = GENESIS, [GENESIS]
    for number, line in enumerate(lines, start=1):
        try:
            last = _check(line, number, last)
        except _BrokenEntryError as broken:
            return AuditReport(False, number - 1, last, number, str(broken))
        hashes.append(last)
    report = _against_head(head, hashes, torn)
    return _anchored(report, anchor, set(hashes))


def _check(line: bytes, number: int, previous: str) -> str:
    """The hash of line `number`, when it is that entry and continues the chain."""
    try:
        entry = msgspec.json.decode(line)
        claimed = entry.pop("hash")
        sequence = entry["sequence"]
    except (msgspec.DecodeError, AttributeError, KeyError, TypeError):
        raise _BrokenEntryError(f"line {number} is no entry: it was changed") from None
    if sequence != number:
        raise _BrokenEntryError(
            f"entry {sequence} stands where entry {number} belongs: an entry was removed, added or moved"
        )
    if _digest(entry) != claimed or _canonical({**entry, "hash": claimed}) != line:
        raise _BrokenEntryError(f"entry {number} was changed: its content does not give its hash")
    if entry.get("previous") != previous:
        raise _BrokenEntryError(f"entry {number} does not continue entry {number - 1}: one of them was replaced")
    return str(claimed)


def _against_head(head: _Head | None, hashes: list[str], torn: bytes) -> AuditReport:
    """Whether a chain that holds ends where the head says; one entry more is an append that died before its answer."""
    count = len(hashes) - 1
    broken, problem = 0, ""
    if head is None:
        broken, problem = count + 1, f"{HEAD_FILE} is missing or unreadable: a cut would not show"
    elif count < head.sequence:
        broken, problem = count + 1, f"entries {count + 1} to {head.sequence} are missing: the log's tail was cut"
    elif hashes[head.sequence] != head.hash:
        broken = max(head.sequence, 1)
        problem = f"entry {head.sequence} is not the one that {HEAD_FILE} names: the chain was written anew"
    elif count > head.sequence + 1:
        broken, problem = head.sequence + 1, f"entries after {head.sequence} are unknown to {HEAD_FILE}"
    elif count > head.sequence or torn:
        return AuditReport(True, count, hashes[-1], note="the last append was interrupted and never acknowledged")
    return AuditReport(not problem, count, hashes[-1], broken or None, problem)


def _anchored(report: AuditReport, anchor: str, hashes: set[str]) -> AuditReport:
    """The report, broken where the anchor is not in the chain."""
    if not anchor or not report.intact or anchor in hashes - {GENESIS}:
        return report
    problem = "no entry has the anchored hash: the chain was written anew"
    return msgspec.structs.replace(report, intact=False, broken=1, problem=problem)


def _recover(path: Path, log: Any) -> _Head:
    """The head as the log bears it out, after a crash of an earlier append has been made good."""
    size = os.fstat(log.fileno()).st_size
    damaged = TapewatchError("the audit log does not end as its head says", "Run `tapewatch audit verify`.")
    if not size and not (path / HEAD_FILE).exists():
        _write_head(path, _Head())
    head = _read_head(path)
    if head is None or size < head.size:
        raise damaged
    if size == head.size:
        return head
    log.seek(head.size)
    line, newline, beyond = log.read().partition(b"\n")
    if not newline:
        log.truncate(head.size)
        return head
    if beyond:
        raise damaged
    try:
        taken = _Head(head.sequence + 1, _check(line, head.sequence + 1, head.hash), size)
    except _BrokenEntryError as broken:
        raise damaged from broken
    _write_head(path, taken)
    return taken


def _read_head(path: Path) -> _Head | None:
    """The head file; None where there is none or it cannot be read."""
    try:
        return msgspec.json.decode((path / HEAD_FILE).read_bytes(), type=_Head)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def _write_head(path: Path, head: _Head) -> None:
    """Replace the head file in one step, durably."""
    fresh = path / f"{HEAD_FILE}.new"
    with open(fresh, "wb", opener=private) as file:
        file.write(_canonical(msgspec.to_builtins(head)))
        _sync(file.fileno(), file)
    fresh.replace(path / HEAD_FILE)
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _sync(descriptor: int, file: Any) -> None:
    """Onto the disk."""
    file.flush()
    os.fsync(descriptor)


@contextmanager
def _locked(path: Path, mode: int) -> Iterator[None]:
    """Hold the folder's lock; a reader without a lock file to open goes on without."""
    try:
        lock = (path / LOCK_FILE).open("ab" if mode == fcntl.LOCK_EX else "rb")
    except (FileNotFoundError, PermissionError):
        if mode == fcntl.LOCK_EX:
            raise
        yield
        return
    with lock:
        fcntl.flock(lock, mode)
        yield


def _canonical(tree: dict[str, Any]) -> bytes:
    """Keys sorted, no white space, UTF-8."""
    return msgspec.json.encode(tree, order="deterministic")


def _digest(body: dict[str, Any]) -> str:
    """SHA-256 of the canonical JSON, hex."""
    return hashlib.sha256(_canonical(body)).hexdigest()


def user() -> str:
    """The operating system's user, by number where it has no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
