"""An evidence bundle: a canonical manifest that names every part by its SHA-256, and the bundle before it.

A bundle as one file: a tar (ustar) of manifest.json and the parts in its order, with fixed metadata.

The same bundle always gives the same bytes, so whatever was changed in a file shows: in a part, in the manifest, or
between them.
"""

import hashlib
import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec

from tapewatch.errors import TapewatchError

FORMAT = 1
GENESIS = "0" * 64


class DamagedBundleError(TapewatchError):
    """A bundle does not hold together: a part is missing, or its bytes are not those that the manifest names."""


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of a bundle. path : its name within the bundle; sha256 : of its bytes, hex; size : bytes"""

    path: str
    sha256: str
    size: int


class Subject(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a bundle proves, and from which stretch of the log.

    revisions : of the alert that this bundle holds records of; state : of the newest of them
    state_offset : first record of the input that is not in the archived state; last_offset : last one archived
    origin : engine (a snapshot that the engine wrote) or replayed (computed from the log when it was archived)
    """

    alert: str
    scenario: str
    instrument: str
    severity: str
    onset: str
    state: str
    revisions: tuple[int, ...]
    topic: str
    partition: int
    state_offset: int
    last_offset: int
    origin: Literal["engine", "replayed", ""] = ""


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a bundle says of itself; the SHA-256 of its canonical JSON is the bundle's name.

    sequence, previous : place in the chain and name of the bundle before (zeros for the first)
    created, locked_until : RFC 3339; no command of ours removes it before
    build : fingerprint of the program that archived it; configuration, models : in force when the alert was decided
    proved : whether the alert came out byte for byte when it was archived; problem : why not, or what is missing
    """

    sequence: int
    previous: str
    created: str
    locked_until: str
    subject: Subject
    build: str
    configuration: str
    models: dict[str, str]
    proved: bool
    problem: str
    parts: tuple[Part, ...]
    format: int = FORMAT


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A bundle's line in the archive's index. bundle : its name; size : bytes of its parts"""

    sequence: int
    bundle: str
    previous: str
    created: str
    locked_until: str
    subject: Subject
    size: int
    proved: bool
    problem: str = ""


def digest(data: bytes) -> str:
    """SHA-256, hex."""
    return hashlib.sha256(data).hexdigest()


def canonical(content: msgspec.Struct) -> bytes:
    """Keys sorted, no white space, UTF-8: the same content always gives the same bytes."""
    return msgspec.json.encode(content, order="deterministic")


def entry_of(manifest: Manifest) -> Entry:
    """The index line of a bundle."""
    return Entry(
        sequence=manifest.sequence,
        bundle=digest(canonical(manifest)),
        previous=manifest.previous,
        created=manifest.created,
        locked_until=manifest.locked_until,
        subject=manifest.subject,
        size=sum(part.size for part in manifest.parts),
        proved=manifest.proved,
        problem=manifest.problem,
    )


def manifest_in(data: bytes, what: str) -> Manifest:
    """The manifest in these bytes; DamagedBundleError where they are no manifest, or not in its canonical form."""
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise DamagedBundleError(f"{what}: manifest.json cannot be read: {error}") from error
    if manifest.format != FORMAT:
        raise DamagedBundleError(f"{what} is of format {manifest.format}; this build reads {FORMAT}")
    if canonical(manifest) != data:
        raise DamagedBundleError(f"{what}: manifest.json is not in its canonical form: it was changed")
    return manifest


class Bundle:
    """A bundle that can be read. name : SHA-256 of its manifest; each part is checked when it is read."""

    def __init__(self, manifest: Manifest, read: Callable[[Part], bytes | None]) -> None:
        self.manifest, self._read = manifest, read
        self.name = digest(canonical(manifest))

    def part(self, path: str) -> bytes:
        """The bytes of a part; DamagedBundleError names it where they are missing or changed."""
        found = next((part for part in self.manifest.parts if part.path == path), None)
        if found is None:
            raise DamagedBundleError(f"bundle {self.name[:16]} has no part {path}")
        data = self._read(found)
        problem = wrong_with(found, data)
        if problem or data is None:
            raise DamagedBundleError(f"bundle {self.name[:16]}: {problem}", "Take it from a copy of the archive.")
        return data

    def paths(self, folder: str) -> list[str]:
        """Parts whose path begins so, in the manifest's order."""
        return [part.path for part in self.manifest.parts if part.path.startswith(folder)]

    def damage(self) -> list[str]:
        """What is wrong with its parts, one sentence each; empty where all are whole."""
        return [problem for part in self.manifest.parts if (problem := wrong_with(part, self._read(part)))]


def wrong_with(part: Part, data: bytes | None) -> str:
    """Why these bytes are not that part; empty where they are."""
    if data is None:
        return f"part {part.path} is missing"
    if len(data) != part.size:
        return f"part {part.path} has {len(data)} bytes; its manifest says {part.size}"
    return "" if digest(data) == part.sha256 else f"part {part.path} was changed: its content does not give its hash"


MANIFEST = "manifest.json"


def packed(bundle: Bundle) -> bytes:
    """The bundle as one file; DamagedBundleError where a part is missing or changed."""
    return _tar(canonical(bundle.manifest), [(part.path, bundle.part(part.path)) for part in bundle.manifest.parts])


def _tar(manifest: bytes, parts: list[tuple[str, bytes]]) -> bytes:
    """A tar whose metadata say nothing of where and when it was made."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path, data in [(MANIFEST, manifest), *parts]:
            member = tarfile.TarInfo(path)
            member.size, member.mode = len(data), 0o444
            archive.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def load(path: Path) -> tuple[Bundle, list[str]]:
    """The bundle in a file, and what is wrong with the file: one sentence for each damaged part.

    TapewatchError where there is no such file; DamagedBundleError where it is no bundle at all.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise TapewatchError(f"cannot read {path}: {error.strerror}", "Name a file of `evidence export`.") from error
    members = _members(content, path.name)
    if MANIFEST not in members:
        raise DamagedBundleError(f"{path.name} holds no {MANIFEST}: it is no bundle, or it was changed")
    manifest = manifest_in(members[MANIFEST], path.name)

    def read(part: Part) -> bytes | None:
        return members.get(part.path)

    bundle = Bundle(manifest, read)
    damage = bundle.damage()
    if not damage and packed(bundle) != content:
        damage = ["the file was changed outside its parts: it is not the one that `evidence export` writes"]
    named = path.name.partition(".")[0]
    if len(named) == len(bundle.name) and named != bundle.name:
        damage.append(f"manifest.json was changed: it gives the name {bundle.name}, the file is named {named}")
    return bundle, damage


def _members(content: bytes, name: str) -> dict[str, bytes]:
    """Files of a tar by path."""
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
            for member in archive:
                data = archive.extractfile(member) if member.isreg() else None
                if data is not None:
                    found[member.name] = data.read()
    except (tarfile.TarError, UnicodeDecodeError, ValueError, OSError) as error:
        raise DamagedBundleError(f"{name} is no bundle, or it was changed: {error}") from error
    return found
