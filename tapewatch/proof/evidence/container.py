"""A bundle as one file: a tar (ustar) of manifest.json and the parts in its order, with fixed metadata.

The same bundle always gives the same bytes, so whatever was changed in a file shows: in a part, in the manifest, or
between them.
"""

import io
import tarfile
from pathlib import Path

from tapewatch.errors import TapewatchError
from tapewatch.proof.evidence.bundle import Bundle, DamagedBundleError, Part, canonical, manifest_in

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
