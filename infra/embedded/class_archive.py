"""The broker's classes as the Java runtime keeps them between starts (class data sharing): a start takes half the time.

The first broker of a Java runtime writes the archive when it ends; later ones map it. A runtime ignores an archive that
is not its own.
"""

import hashlib
import os
from contextlib import suppress
from pathlib import Path


def archive_file(jars: Path, java: str) -> Path:
    """Where the archive of this runtime lies: beside the jars that it was made of."""
    runtime = Path(java).resolve()
    with suppress(OSError):
        state = runtime.stat()
        mark = f"{runtime} {state.st_size} {state.st_mtime_ns}"
        return jars / f"classes-{hashlib.sha256(mark.encode()).hexdigest()[:16]}.jsa"
    return jars / "classes.jsa"


def scratch_file(jars: Path, java: str) -> Path:
    """Where a broker of this process's writes it: it counts once it is whole."""
    return archive_file(jars, java).with_suffix(f".{os.getpid()}")


def options(jars: Path, java: str) -> list[str]:
    """Options of a broker: to use the archive, or to write it at the end; none where the folder cannot be written."""
    found = archive_file(jars, java)
    if found.exists():
        return [f"-XX:SharedArchiveFile={found}", "-Xlog:cds=off"]
    if not os.access(jars, os.W_OK):
        return []
    return [f"-XX:ArchiveClassesAtExit={scratch_file(jars, java)}", "-Xlog:cds=off", "-Xlog:cds+dynamic=off"]


def adopt(jars: Path, java: str) -> bool:
    """Let what our broker has written at its end count; False where it has written nothing."""
    with suppress(OSError):
        scratch_file(jars, java).replace(archive_file(jars, java))
        return True
    return False
