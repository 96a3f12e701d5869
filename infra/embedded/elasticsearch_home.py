"""An Elasticsearch home in the user's cache: the pinned jars in their places, our launcher and the plug-in for `GET /`
compiled once.
"""

import ctypes.util
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
import zipfile
from pathlib import Path

from infra.embedded import jars
from infra.embedded.jars import Report, silent
from infra.embedded.layout import locked
from infra.embedded.lock import ELASTICSEARCH
from tapewatch.errors import TapewatchError

SOURCES = Path(__file__).with_name("search")
HTTP_MODULE = "transport-netty4"
MODULE_JARS = ("netty-", f"{HTTP_MODULE}-", "elasticsearch-ssl-config-")
"""How the names of the jars begin that belong to the module, not to the server."""

RELEASE = "21"
LIBRARY_FOLDERS = ("/lib", "/lib64", "/usr/lib", "/usr/lib64")
PLUGIN_DESCRIPTOR = """\
name=tapewatch-root
description=Answers GET /
version={version}
elasticsearch.version={version}
java.version=21
classname=tapewatch.RootPlugin
"""


def home() -> Path:
    """Where the home of this build lies: elasticsearch/<hash of lock file and sources> in the cache."""
    marks = [ELASTICSEARCH.digest().encode(), *(path.read_bytes() for path in sorted(SOURCES.iterdir()))]
    return jars.cache_root() / "elasticsearch" / hashlib.sha256(b"\0".join(marks)).hexdigest()[:16]


def version() -> str:
    """Version of the pinned server."""
    return ELASTICSEARCH.roots[0].rpartition(":")[2]


def ensure(java: str, report: Report = silent) -> Path:
    """The home, built if need be; it appears complete or not at all. TapewatchError where it cannot be built."""
    built = home()
    if built.exists():
        return built
    source = jars.ensure(ELASTICSEARCH, report)
    with locked(built.with_name(f"{built.name}.lock")):
        if not built.exists():
            report("compiling Elasticsearch's launcher")
            with tempfile.TemporaryDirectory(dir=built.parent, prefix="build-") as scratch:
                folder = Path(scratch) / "home"
                _place(source, folder)
                _compile(java, folder, Path(scratch))
                folder.rename(built)
    return built


def _place(source: Path, folder: Path) -> None:
    """Put every jar where the server looks for it, the module with its descriptor, the compression library."""
    module = folder / "modules" / HTTP_MODULE
    native = folder / "lib" / "platform" / f"linux-{'aarch64' if platform.machine() == 'aarch64' else 'x64'}"
    for made in (module, native, folder / "plugins" / "tapewatch-root", folder / "launcher"):
        made.mkdir(parents=True)
    for jar in ELASTICSEARCH.read():
        target = module if jar.name.startswith(MODULE_JARS) else folder / "lib"
        _link(source / jar.name, target / jar.name)
    with zipfile.ZipFile(module / f"{HTTP_MODULE}-{version()}.jar") as archive:
        prefix = f"META-INF/es-plugins/{HTTP_MODULE}/"
        for name in archive.namelist():
            if name.startswith(prefix) and not name.endswith("/"):
                (module / Path(name).name).write_bytes(archive.read(name))
    library = _zstd()
    if library is not None:
        (native / "libzstd.so").symlink_to(library)


def _link(source: Path, target: Path) -> None:
    """The same file at a second place, copied where the file system has no links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _zstd() -> Path | None:
    """The system's zstd library, which the server loads for its codec best_compression; None where there is none."""
    name = ctypes.util.find_library("zstd")
    machine = f"{platform.machine()}-linux-gnu"
    places = [Path(root) / part / (name or "") for root in LIBRARY_FOLDERS for part in (machine, "")]
    return next((place for place in places if name and place.exists()), None)


def _compile(java: str, folder: Path, scratch: Path) -> None:
    """Compile launcher and plug-in with the compiler of this Java runtime."""
    classes = scratch / "classes"
    launcher = ["-d", str(folder / "launcher"), "--module-path", str(folder / "lib")]
    _javac(java, [*launcher, "--add-modules", "ALL-MODULE-PATH", str(SOURCES / "Launcher.java")])
    class_path = ":".join(map(str, sorted((folder / "lib").glob("*.jar"))))
    _javac(java, ["-d", str(classes), "-cp", class_path, str(SOURCES / "RootPlugin.java")])
    plugin = folder / "plugins" / "tapewatch-root"
    with zipfile.ZipFile(plugin / "tapewatch-root.jar", "w") as archive:
        for path in sorted(classes.rglob("*.class")):
            archive.write(path, path.relative_to(classes))
    (plugin / "plugin-descriptor.properties").write_text(PLUGIN_DESCRIPTOR.format(version=version()))


def _javac(java: str, words: list[str]) -> None:
    """Run the Java compiler, which every JDK has as a module. TapewatchError with what it said."""
    command = [java, "-m", "jdk.compiler/com.sun.tools.javac.Main", "--release", RELEASE, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()[:500]
        raise TapewatchError(f"Elasticsearch's launcher does not compile: {said}", f"Is {java} a JDK?")
