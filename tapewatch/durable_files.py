"""Files that are there whole or not at all: written beside, synced, made read-only, then named."""

import os
from pathlib import Path


def place(path: Path, data: bytes) -> None:
    """Put a read-only file in its place in one step, on disk when this returns."""
    if not path.parent.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
        sync_folder(path.parent.parent)
    fresh = path.parent / f".{path.name}.{os.getpid()}.new"
    with fresh.open("wb") as file:
        file.write(data)
        file.flush()
        os.fchmod(file.fileno(), 0o444)
        os.fsync(file.fileno())
    fresh.replace(path)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Bring a folder's names onto the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
