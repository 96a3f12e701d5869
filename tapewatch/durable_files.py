"""Files that are there whole or not at all: written beside, synced, made read-only, then named; and private ones."""

import os
from pathlib import Path


def place(path: Path, data: bytes, mode: int = 0o444) -> None:
    """Put a read-only file in its place in one step, on disk when this returns."""
    if not path.parent.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
        sync_folder(path.parent.parent)
    fresh = path.parent / f".{path.name}.{os.getpid()}.new"
    with fresh.open("wb") as file:
        file.write(data)
        file.flush()
        os.fchmod(file.fileno(), mode)
        os.fsync(file.fileno())
    fresh.replace(path)
    sync_folder(path.parent)


def private_folder(path: Path) -> None:
    """Make a folder that its owner alone may enter; one that is there stays as its owner has set it."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


def private(path: str, flags: int) -> int:
    """An `opener` of files that their owner alone may read."""
    return os.open(path, flags, 0o600)


def sync_folder(path: Path) -> None:
    """Bring a folder's names onto the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
