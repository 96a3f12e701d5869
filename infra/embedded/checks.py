"""What a machine needs for the embedded stack, checked one by one; each lack with the way to mend it."""

import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import msgspec

from infra import embedded
from infra.embedded import elasticsearch_home, jars, java, kafka, postgres
from infra.embedded.layout import Layout
from infra.embedded.lock import KAFKA
from tapewatch.errors import TapewatchError
from tapewatch.settings import EmbeddedSettings, Settings

OLDEST_PYTHON = (3, 11)
DISK_NEEDED, DISK_WANTED = 0.5 * 2**30, 5 * 2**30
MEMORY_WANTED_MB = 1024


class Check(msgspec.Struct, frozen=True):
    """One finding. required : the stack cannot start without it; found : what is there; hint : how to get it."""

    name: str
    ok: bool
    required: bool
    found: str
    hint: str = ""


def all_checks(settings: Settings) -> Iterator[Check]:
    """Every check, in the order in which a start needs them."""
    yield _system()
    yield _python()
    yield _client("confluent_kafka")
    yield _client("psycopg2")
    yield _found("java", lambda: _java(settings.embedded))
    yield _jars()
    if settings.embedded.secure:
        yield _certificates()
    yield _found("postgresql", lambda: f"PostgreSQL {postgres.VERSION} in {postgres.binaries()}")
    yield _found("postgresql user", lambda: f"uid {postgres.user(Layout(settings.data_path))}")
    yield _data_folder(settings.data_path)
    yield _disk(settings.data_path)
    yield _memory(settings.embedded)
    yield _cores()
    yield from _ports(settings)
    yield _locale()
    yield _search(settings.embedded)


def _found(name: str, look: Callable[[], str]) -> Check:
    """A check that is an error's message and hint, or what was found."""
    try:
        return Check(name, True, True, look())
    except TapewatchError as error:
        return Check(name, False, True, error.message, error.hint)


def _system() -> Check:
    """Linux: the kernel ends the servers with their supervisor."""
    ok = sys.platform == "linux"
    hint = (
        "" if ok else "Run the embedded stack on Linux, or set kafka.bootstrap and postgres.url to servers of your own."
    )
    return Check("system", ok, True, f"{platform.system()} {platform.release()} {platform.machine()}", hint)


def _python() -> Check:
    """Python version."""
    ok = sys.version_info >= OLDEST_PYTHON
    wanted = ".".join(map(str, OLDEST_PYTHON))
    return Check("python", ok, True, platform.python_version(), "" if ok else f"Install Python {wanted} or later.")


def _client(module: str) -> Check:
    """A client library of the base install."""
    ok = find_spec(module) is not None
    return Check(module, ok, True, "installed" if ok else "missing", "" if ok else "Run `pip install tapewatch`.")


def _certificates() -> Check:
    """The library that makes a secure broker's certificates."""
    ok = find_spec("cryptography") is not None
    hint = "" if ok else "Run `pip install 'tapewatch[embedded]'`."
    return Check("cryptography", ok, True, "installed" if ok else "missing", hint)


def _java(settings: EmbeddedSettings) -> str:
    """The Java runtime that a start would use."""
    found = java.find(settings.java)
    return f"Java {found.version}: {found.path} ({found.origin})"


def _jars() -> Check:
    """Cached jars, or a client to fetch them with."""
    pinned, lacking = KAFKA.read(), jars.missing()
    if not lacking:
        return Check("kafka jars", True, True, f"{len(pinned)} in {jars.cache_folder()}")
    size = sum(jar.size for jar in lacking) / 1e6
    clients = [name for name, there in (("jgo", find_spec("jgo")), ("mvn", shutil.which("mvn"))) if there]
    if clients:
        return Check("kafka jars", True, True, f"the first start fetches {size:.0f} MB by {' or '.join(clients)}")
    hint = "Run `pip install 'tapewatch[embedded]'` for jgo, or install Maven."
    return Check("kafka jars", False, True, f"{len(lacking)} of {len(pinned)} missing, and nothing to fetch them", hint)


def _data_folder(data: Path) -> Check:
    """Whether the data folder, or the folder that it will be made in, can be written."""
    folder = _existing(data)
    ok = os.access(folder, os.W_OK | os.X_OK) and folder.is_dir()
    hint = "" if ok else "Name another folder with --data, or mend its permissions."
    return Check("data folder", ok, True, f"{data}{'' if data.exists() else ' (will be made)'}", hint)


def _disk(data: Path) -> Check:
    """Free disk space below the data folder."""
    free = shutil.disk_usage(_existing(data)).free
    found = f"{free / 2**30:.1f} GiB free"
    if free < DISK_NEEDED:
        return Check("disk", False, True, found, "Free at least half a GiB, or use --data on another disk.")
    hint = "" if free >= DISK_WANTED else "An hour of a busy market takes some GiB: free more, or use --data."
    return Check("disk", free >= DISK_WANTED, False, found, hint)


def _memory(settings: EmbeddedSettings) -> Check:
    """Available memory."""
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    available = int(lines["MemAvailable"].split()[0]) // 1024
    search_mb = settings.elasticsearch_heap_mb if settings.elasticsearch else 0
    wanted = MEMORY_WANTED_MB + settings.kafka_heap_mb + search_mb
    hint = "" if available >= wanted else f"Free memory up to {wanted} MiB, or lower embedded.kafka_heap_mb."
    return Check("memory", available >= wanted, False, f"{available} MiB available", hint)


def _cores() -> Check:
    """Processor cores that we may use."""
    cores = len(os.sched_getaffinity(0))
    return Check("cores", cores >= 2, False, str(cores), "" if cores >= 2 else "Two cores keep up with a busy market.")


def _ports(settings: Settings) -> Iterator[Check]:
    """Fixed ports must be free, or ours."""
    if embedded.running(settings.data_path) is not None:
        return
    for name, port in (
        ("kafka_port", settings.embedded.kafka_port),
        ("controller_port", settings.embedded.controller_port),
        ("elasticsearch_port", settings.embedded.elasticsearch_port),
    ):
        ok = port == 0 or kafka.is_free(port)
        hint = "" if ok else f"Free port {port}, or set embedded.{name} to 0 for a free one."
        yield Check(name, ok, True, "any free one" if port == 0 else f"{port}{'' if ok else ' is in use'}", hint)


def _locale() -> Check:
    """Whether the terminal's encoding can show everything; the servers use UTF-8 whatever it says."""
    encoding = sys.stdout.encoding or "unknown"
    ok = encoding.lower().replace("-", "") == "utf8"
    return Check("locale", ok, False, encoding, "" if ok else "Set LC_ALL=C.UTF-8 or PYTHONUTF8=1.")


def _search(settings: EmbeddedSettings) -> Check:
    """A JDK for Elasticsearch: needed only where the settings ask for it."""
    try:
        jdk = java.find_for_search(settings.elasticsearch_java)
    except TapewatchError as error:
        return Check("elasticsearch", False, settings.elasticsearch, error.message, error.hint)
    built = "built" if elasticsearch_home.home().exists() else "the first start fetches and builds it"
    return Check("elasticsearch", True, settings.elasticsearch, f"Java {jdk.version}: {jdk.path}; {built}")


def _existing(path: Path) -> Path:
    """The path, or its nearest parent that exists."""
    return next(folder for folder in (path, *path.parents) if folder.exists())
