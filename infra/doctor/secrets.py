"""Files that hold secrets, and folders that prove what was done: there, and closed to strangers."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec

from tapewatch.doctor import Check, CheckContext, failing, good, warning
from tapewatch.proof import audit
from tapewatch.proof.evidence import archive

_KAFKA_FILES = ("ssl.key.location", "ssl.keystore.location", "ssl.certificate.location", "ssl.ca.location")
_PUBLIC = ("ca_file", "tls_cert", "ssl.ca.location", "ssl.certificate.location")
"""Certificates: they must be there, and anybody may read them."""
_TELLING = ("password", "secret", "://")
"""A settings file with such a word may hold a secret itself."""


def checks(asked: CheckContext) -> Iterator[Check]:
    """Every file that settings and environment name, and those of the data folder."""
    found = [_checked(key, path) for key, path in _files(asked)]
    yield from found
    proofs = {"audit log": audit.folder(asked.settings.data_path), "evidence": archive.folder(asked.settings)}
    for key, path in proofs.items():
        if path.is_dir() and (mode := stat.S_IMODE(path.stat().st_mode)) & stat.S_IRWXO:
            yield warning(key, f"anybody may enter {path} (mode {mode:o})", f"Run `chmod -R o-rwx {path}`.")
    if not found:
        yield good("secrets", "no settings name any, and the data folder holds none")


def _files(asked: CheckContext) -> Iterator[tuple[str, Path]]:
    """What names a file, and the file."""
    if asked.file is not None and any(word in asked.file.read_text(errors="replace") for word in _TELLING):
        yield "settings file", asked.file
    yield from _named(asked.settings, "")
    for key, value in asked.settings.kafka.client.items():
        if key in _KAFKA_FILES:
            yield key, Path(value)
    for name, value in os.environ.items():
        if name.startswith("TAPEWATCH_") and value.startswith("@"):
            yield name, Path(value[1:])
    ours = asked.settings.data_path / "notify.key"
    if ours.exists():
        yield "notify.key", ours


def _named(section: msgspec.Struct, within: str) -> Iterator[tuple[str, Path]]:
    """Every setting whose name says that it is a file and that is set."""
    for name in section.__struct_fields__:
        value = getattr(section, name)
        if isinstance(value, msgspec.Struct):
            yield from _named(value, f"{within}{name}.")
        elif name.endswith(("_file", "tls_cert", "tls_key")) and value:
            yield f"{within}{name}", Path(value).expanduser()


def _checked(key: str, path: Path) -> Check:
    """One file."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        return failing(key, f"{path}: {error.strerror}", f"Put the file there, or change {key}.")
    if not os.access(path, os.R_OK):
        return failing(key, f"{path} cannot be read by user {os.geteuid()}", f"chown or chmod it: chmod 400 {path}.")
    if key.endswith(_PUBLIC):
        return good(key, str(path))
    if mode & (stat.S_IROTH | stat.S_IWOTH):
        return warning(key, f"anybody may read {path} (mode {stat.S_IMODE(mode):o})", f"Run `chmod 600 {path}`.")
    if mode & stat.S_IWGRP:
        return warning(key, f"its group may write {path} (mode {stat.S_IMODE(mode):o})", f"Run `chmod g-w {path}`.")
    return good(key, f"{path}, mode {stat.S_IMODE(mode):o}")
