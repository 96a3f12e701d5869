"""The archive on disk: parts by content, manifests by name, an index that chains them, and locks until a date.

```
<evidence.folder>/index.jsonl          one line a bundle, in the order of the chain
<evidence.folder>/bundles/<name>.json  the manifest; name: SHA-256 of its bytes
<evidence.folder>/parts/<ab>/<sha256>  each part once, however many bundles hold it
<evidence.folder>/purged/<name>        a bundle whose parts were given up after its lock's date: hash of the audit entry
```

A bundle is added under the folder's lock, each step on disk before the next:
1 parts that are not there yet: if we die here, they lie unused and the next attempt finds them;
2 the manifest: if we die here, the next process to write finds it behind the index's end and takes it over;
3 the line in the index.
"""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from tapewatch.clock import NANOS, WALL, Clock
from tapewatch.durable_files import place, private, private_folder, sync_folder
from tapewatch.errors import TapewatchError
from tapewatch.proof import audit
from tapewatch.proof.evidence.bundle import (
    GENESIS,
    Bundle,
    DamagedBundleError,
    Entry,
    Manifest,
    Part,
    canonical,
    digest,
    entry_of,
    manifest_in,
)
from tapewatch.rfc3339 import from_rfc3339, to_rfc3339
from tapewatch.settings import Settings

DAY_NS = 86_400 * NANOS
INDEX, LOCK = "index.jsonl", "archive.lock"
_PRIVATE = 0o400


class ArchiveReport(msgspec.Struct, frozen=True):
    """What a check of the archive found.

    bundles : in the index; purged : of those, given up after their lock's date; head : name of the last one
    problems : one sentence each, empty where everything holds
    """

    intact: bool
    bundles: int
    purged: int
    head: str
    problems: tuple[str, ...] = ()


class Archive:
    """The evidence archive of a folder. Several processes may use it at once."""

    def __init__(self, settings: Settings, clock: Clock = WALL) -> None:
        self.folder = folder(settings)
        self._audit = audit.folder(settings.data_path)
        self._days, self._clock = settings.evidence.retention_days, clock
        self._entries: list[Entry] = []
        self._newest: dict[tuple[str, str, int], list[Entry]] = {}
        self._read_to = 0
        self._seen_ns = -1

    def entries(self) -> list[Entry]:
        """Every bundle's line, oldest first; TapewatchError where a line is none."""
        self._refresh()
        return list(self._entries)

    def of_alert(self, alert: str) -> list[Entry]:
        """The bundles of an alert, oldest first."""
        self._refresh()
        return sorted(
            (entry for key, found in self._newest.items() if key[0] == alert for entry in found),
            key=lambda entry: entry.sequence,
        )

    def of_input(self, alert: str, topic: str, partition: int) -> list[Entry]:
        """The bundles of an alert from one input partition, oldest first."""
        self._refresh()
        return list(self._newest.get((alert, topic, partition), ()))

    def bundle(self, name: str) -> Bundle:
        """A bundle by name (a unique beginning will do); TapewatchError where there is none."""
        path = self._manifest(name)
        manifest = manifest_in(path.read_bytes(), f"bundle {path.stem[:16]}")
        bundle = Bundle(manifest, self._part)
        if bundle.name != path.stem:
            raise DamagedBundleError(f"bundle {path.stem[:16]}: manifest.json was changed: it gives another name")
        return bundle

    def is_purged(self, name: str) -> bool:
        """Whether a bundle's parts were given up."""
        return (self.folder / "purged" / name).exists()

    def add(self, draft: Manifest, parts: Mapping[str, bytes]) -> Entry:
        """Add a bundle; its place in the chain, times and parts are filled in. Returns its line once it is on disk."""
        with self._exclusive():
            return self._add(draft, parts)

    def add_once(self, draft: Manifest, parts: Mapping[str, bytes]) -> Entry | None:
        """As `add`, but None, and nothing is added, where the newest of its revisions is archived already.

        It may be so although `of_input` did not tell it: by a writer that died before its line, or by another process.
        """
        subject = draft.subject
        with self._exclusive():
            held = self._newest.get((subject.alert, subject.topic, subject.partition), ())
            newest = max(subject.revisions, default=-1)
            return None if any(newest in entry.subject.revisions for entry in held) else self._add(draft, parts)

    def purge(self, why: str, who: str = "", names: tuple[str, ...] = ()) -> list[Entry]:
        """Give up the parts of bundles past their lock's date (or of these alone), each with an entry in the audit log.

        The manifests stay, so that the chain can always be checked. TapewatchError, and nothing is done, where one of
        the named bundles is still locked.
        """
        if not why.strip():
            raise TapewatchError("a purge needs a reason", "Give it with --why.")
        with self._exclusive():
            now = self._clock.now()
            chosen = [self._manifest(name).stem for name in names]
            free = []
            for entry in self._entries:
                if self.is_purged(entry.bundle) or (chosen and entry.bundle not in chosen):
                    continue
                if from_rfc3339(entry.locked_until) <= now:
                    free.append(entry)
                elif chosen:
                    raise TapewatchError(
                        f"bundle {entry.bundle[:16]} is locked until {entry.locked_until}",
                        "It can be removed after that; see docs/evidence.md.",
                    )
            for entry in free:
                self._give_up(entry, why, who)
            self._sweep()
            return free

    def check(self, anchor: str = "", parts: bool = True) -> ArchiveReport:
        """Check the chain, every manifest and, unless told otherwise, every part's bytes.

        anchor : name of a bundle written down elsewhere; it must be in the chain
        """
        problems: list[str] = []
        previous, entries = GENESIS, self.entries()
        for number, entry in enumerate(entries, start=1):
            if entry.sequence != number or entry.previous != previous:
                problems.append(f"line {number} of the index does not continue the one before")
            problems += self._wrong(entry, parts)
            previous = entry.bundle
        known = {entry.bundle for entry in entries}
        loose = [path.stem for path in self._manifests() if path.stem not in known]
        problems += [f"bundle {name[:16]} is not in the index: its line was cut, or never written" for name in loose]
        if anchor and anchor not in known:
            problems.append("no bundle has the anchored name: the chain was written anew")
        purged = sum(self.is_purged(entry.bundle) for entry in entries)
        return ArchiveReport(not problems, len(entries), purged, previous, tuple(problems))

    def _wrong(self, entry: Entry, parts: bool) -> list[str]:
        try:
            bundle = self.bundle(entry.bundle)
        except TapewatchError as error:
            return [error.message]
        if entry_of(bundle.manifest) != entry:
            return [f"bundle {entry.bundle[:16]}: its line in the index was changed"]
        if not parts or self.is_purged(entry.bundle):
            return []
        return [f"bundle {entry.bundle[:16]}: {problem}" for problem in bundle.damage()]

    def _manifests(self) -> list[Path]:
        return sorted((self.folder / "bundles").glob("*.json"))

    def _manifest(self, name: str) -> Path:
        found = []
        if name and all(letter in "0123456789abcdef" for letter in name):
            found = sorted((self.folder / "bundles").glob(f"{name}*.json"))
        if len(found) > 1:
            raise TapewatchError(f"{name} begins {len(found)} bundles' names", "Give more of it.")
        if not found:
            raise TapewatchError(f"there is no bundle {name}", "See `tapewatch evidence list`.")
        return found[0]

    def _part(self, part: Part) -> bytes | None:
        try:
            return self._part_path(part.sha256).read_bytes()
        except FileNotFoundError:
            return None

    def _part_path(self, sha256: str) -> Path:
        return self.folder / "parts" / sha256[:2] / sha256

    def _add(self, draft: Manifest, parts: Mapping[str, bytes]) -> Entry:
        named = tuple(self._keep(path, data) for path, data in parts.items())
        now = self._clock.now()
        manifest = msgspec.structs.replace(
            draft,
            sequence=len(self._entries) + 1,
            previous=self._entries[-1].bundle if self._entries else GENESIS,
            created=to_rfc3339(now),
            locked_until=to_rfc3339(now + self._days * DAY_NS),
            parts=named,
        )
        place(self.folder / "bundles" / f"{digest(canonical(manifest))}.json", canonical(manifest), _PRIVATE)
        return self._index(manifest)

    def _keep(self, path: str, data: bytes) -> Part:
        part = Part(path, digest(data), len(data))
        target = self._part_path(part.sha256)
        if not target.exists() or target.stat().st_size != part.size:
            place(target, data, _PRIVATE)
        return part

    def _index(self, manifest: Manifest) -> Entry:
        entry = entry_of(manifest)
        with open(self.folder / INDEX, "ab", opener=private) as index:
            index.write(canonical(entry) + b"\n")
            index.flush()
            os.fsync(index.fileno())
        sync_folder(self.folder)
        self._refresh()
        return entry

    def _give_up(self, entry: Entry, why: str, who: str) -> None:
        """Note in the audit log, then on the bundle, that its parts are given up."""
        told = {"alert": entry.subject.alert, "locked_until": entry.locked_until, "head": self._entries[-1].bundle}
        act = audit.append(
            self._audit, action="evidence.purge", subject=entry.bundle, why=why, who=who, details=told,
            clock=self._clock,
        )  # fmt: skip
        place(self.folder / "purged" / entry.bundle, act.hash.encode(), _PRIVATE)

    def _sweep(self) -> None:
        """Remove the parts that only purged bundles hold, those of an interrupted purge too."""
        held: set[str] = set()
        given_up: set[str] = set()
        for entry in self._entries:
            parts = {part.sha256 for part in self.bundle(entry.bundle).manifest.parts}
            (given_up if self.is_purged(entry.bundle) else held).update(parts)
        for sha256 in given_up - held:
            self._part_path(sha256).unlink(missing_ok=True)

    def _refresh(self) -> None:
        """Read the lines that were added since the last call; a line without its end is not one yet."""
        try:
            with (self.folder / INDEX).open("rb") as index:
                index.seek(self._read_to)
                content = index.read()
        except FileNotFoundError:
            return
        whole = content[: content.rfind(b"\n") + 1]
        for line in whole.splitlines():
            try:
                entry = msgspec.json.decode(line, type=Entry)
            except msgspec.MsgspecError as error:
                raise DamagedBundleError(
                    f"a line of the evidence index is none: {error}", "Restore it from a copy of the archive."
                ) from error
            self._entries.append(entry)
            subject = entry.subject
            self._newest.setdefault((subject.alert, subject.topic, subject.partition), []).append(entry)
        self._read_to += len(whole)

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """Hold the folder's lock, with what others wrote taken in and what an earlier death left made good."""
        private_folder(self.folder)
        with open(self.folder / LOCK, "ab", opener=private) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._refresh()
            if self._changed_ns() != self._seen_ns:
                self._recover()
            yield
            self._seen_ns = self._changed_ns()

    def _changed_ns(self) -> int:
        """When a manifest was last placed, by whichever process; 0 where none was."""
        try:
            return (self.folder / "bundles").stat().st_mtime_ns
        except FileNotFoundError:
            return 0

    def _recover(self) -> None:
        """Cut a half-written line off, and take over a manifest that was written just before its line."""
        path = self.folder / INDEX
        if path.exists() and path.stat().st_size > self._read_to:
            os.truncate(path, self._read_to)
        known = {entry.bundle for entry in self._entries}
        head = self._entries[-1].bundle if self._entries else GENESIS
        for loose in self._manifests():
            if loose.stem not in known:
                manifest = manifest_in(loose.read_bytes(), f"bundle {loose.stem[:16]}")
                if manifest.previous == head:
                    self._index(manifest)
                    break


def folder(settings: Settings) -> Path:
    """Where bundles lie."""
    chosen = settings.evidence.folder
    return Path(chosen).expanduser().resolve() if chosen else settings.data_path / "evidence"
