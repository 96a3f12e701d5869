"""The machine: system, Python, libraries, data folder, memory, clock, compiled kernels."""

import ctypes
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import confluent_kafka

from tapewatch import __version__, kernels
from tapewatch.doctor import Check, CheckContext, good, warning
from tapewatch.settings import EmbeddedSettings

OLDEST_PYTHON = (3, 11)
DISK_NEEDED, DISK_WANTED = 0.5 * 2**30, 5 * 2**30
MEMORY_WANTED_MB = 1024
LIBRARIES = ("confluent-kafka", "numba", "numpy", "pyarrow", "SQLAlchemy", "alembic", "msgspec")
OPTIONAL = ("elasticsearch", "aiohttp", "torch", "pyspark")
_STA_UNSYNC = 0x40


def checks(asked: CheckContext) -> Iterator[Check]:
    """What every process of ours needs here."""
    settings = asked.settings
    yield _system()
    yield _python()
    yield _client("confluent_kafka")
    yield _client("psycopg2")
    yield _versions()
    yield _data_folder(settings.data_path)
    yield _disk(settings.data_path)
    yield _memory(settings.embedded, asked.own_servers)
    yield _cores()
    yield _clock()
    yield _kernels()
    yield _locale()


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


def _memory(settings: EmbeddedSettings, own_servers: bool) -> Check:
    """Available memory."""
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    available = int(lines["MemAvailable"].split()[0]) // 1024
    search_mb = settings.elasticsearch_heap_mb if settings.elasticsearch else 0
    wanted = MEMORY_WANTED_MB + (0 if own_servers else settings.kafka_heap_mb + search_mb)
    hint = "" if available >= wanted else f"Free memory up to {wanted} MiB, or lower embedded.kafka_heap_mb."
    return Check("memory", available >= wanted, False, f"{available} MiB available", hint)


def _cores() -> Check:
    """Processor cores that we may use."""
    cores = len(os.sched_getaffinity(0))
    return Check("cores", cores >= 2, False, str(cores), "" if cores >= 2 else "Two cores keep up with a busy market.")


def _locale() -> Check:
    """Whether the terminal's encoding can show everything; the servers use UTF-8 whatever it says."""
    encoding = sys.stdout.encoding or "unknown"
    ok = encoding.lower().replace("-", "") == "utf8"
    return Check("locale", ok, False, encoding, "" if ok else "Set LC_ALL=C.UTF-8 or PYTHONUTF8=1.")


def _existing(path: Path) -> Path:
    """The path, or its nearest parent that exists."""
    return next(folder for folder in (path, *path.parents) if folder.exists())


def _versions() -> Check:
    """Our version and the libraries' that results may depend on."""
    found = [f"tapewatch {__version__}", f"librdkafka {confluent_kafka.libversion()[0]}"]
    lacking = []
    for name in (*LIBRARIES, *OPTIONAL):
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            if name in LIBRARIES:
                lacking.append(name)
    if lacking:
        hint = "Run `pip install tapewatch` again."
        return Check("versions", False, True, f"missing: {', '.join(lacking)}", hint)
    return good("versions", ", ".join(found))


class _Timex(ctypes.Structure):
    """The beginning of the kernel's struct timex, and room for the rest."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    )


def _clock() -> Check:
    """Whether something keeps this machine's clock right, as the kernel was told."""
    state = _Timex()
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "adjtimex") or libc.adjtimex(ctypes.byref(state)) < 0:
        return warning("clock", "the kernel does not say whether it is kept right", "See that chrony or ntpd runs.")
    if state.status & _STA_UNSYNC:
        return warning(
            "clock",
            "nothing has set it right for a while (adjtimex: unsynchronised)",
            "Run chrony or ntpd, slewing: brokers' clocks must agree to 0.1 s. In a container ask its host.",
        )
    return good("clock", f"kept right, to {state.maxerror / 1000:.0f} ms at most")


def _kernels() -> Check:
    """Whether this build's kernels are compiled: else its first start takes a minute or two."""
    wanted = kernels.source_hash(("tapewatch", "detectors", "streams"), b"tapewatch.kernels")[:16]
    folder = Path(os.environ.get("NUMBA_CACHE_DIR") or kernels.cache_folder() / "kernels" / f"streams-{wanted}")
    if any(folder.glob("*/*.nbc")):
        return good("kernels", f"compiled, in {folder}")
    hint = "Run `python -m streams.engine.warm` before an upgrade, or the first start takes a minute or two."
    return warning("kernels", "not compiled for this build yet", hint)
