"""Environments of the peers: made by uv from hash-pinned requirement files, kept in the user's cache folder."""

import hashlib
import shutil
import subprocess
import sys
from importlib import resources
from pathlib import Path

from tapewatch.errors import TapewatchError
from tapewatch.kernels import cache_folder

_READY = ".ready"


def python_of(peer: str) -> Path:
    """The Python of a peer's environment, made now where it does not exist yet.

    The folder is named by the hash of requirement file and Python version, so that changed pins give a new environment.
    """
    requirements = Path(str(resources.files("benchmarks.peers") / f"{peer}.txt"))
    named = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()[:16]
    folder = cache_folder() / "peers" / named
    python = folder / "bin" / "python"
    if not (folder / _READY).exists():
        shutil.rmtree(folder, ignore_errors=True)
        _uv("venv", "--python", sys.executable, str(folder))
        _uv("pip", "install", "--python", str(python), "--require-hashes", "-r", str(requirements))
        (folder / _READY).touch()
    return python


def version_of(python: Path, package: str) -> str:
    """Installed version of a distribution in that environment."""
    script = f"from importlib.metadata import version; print(version({package!r}))"
    done = subprocess.run([str(python), "-c", script], capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    return done.stdout.strip() or "unknown"


def _uv(*words: str) -> None:
    """Run uv; TapewatchError with what it said where it fails."""
    beside = Path(sys.executable).with_name("uv")
    program = str(beside) if beside.exists() else shutil.which("uv")
    if program is None:
        raise TapewatchError("the peers' environments are made by uv, which is not here", "Run `pip install uv`.")
    done = subprocess.run([program, "--quiet", *words], capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    if done.returncode != 0:
        raise TapewatchError(
            f"uv {words[0]} failed: {done.stderr.strip()}", "Look at the package index settings of uv."
        )
