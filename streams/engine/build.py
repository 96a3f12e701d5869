"""The fingerprint of the running program: what an alert names as its build."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tapewatch.kernels import files_hash

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("tapewatch", "detectors", "streams")
ENGINE = "streams.engine.process"
_IMPORT = re.compile(r"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+)?import[ \t]+(\([^)]*\)|[^\n]*)", re.MULTILINE)


@cache
def build_hash() -> str:
    """First 16 hex digits of the sha256 over the source files that decide what the engine writes: its process's module
    and all of ours that this imports, wherever in a file, and so on.
    """
    return files_hash(sorted(closure(ROOT, ENGINE).items()))[:16]


def closure(root: Path, module: str) -> dict[str, bytes]:
    """Files below `root` that importing the module may run: itself, what it imports, their packages."""
    found: dict[str, bytes] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        place = root.joinpath(*name.split("."))
        path = next((path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()), None)
        if path is not None and str(path.relative_to(root)) not in found:
            content = found[str(path.relative_to(root))] = path.read_bytes()
            waiting += filter(_is_ours, [name.rpartition(".")[0], *_imported(content.decode())])
    return found


def _imported(source: str) -> Iterator[str]:
    """Names that may be modules: a name taken from a package may be one. Parsing would take most of a second."""
    for package, names in _IMPORT.findall(source):
        words = re.findall(r"[\w.]+", re.sub(r"#.*", "", names))
        yield from [package, *(f"{package}.{word}" for word in words)] if package else words


def _is_ours(name: str) -> bool:
    return name.partition(".")[0] in PACKAGES
