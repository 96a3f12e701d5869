"""One Elasticsearch node on loopback, run from its published jars.

How the parts of a running stack are doing.
"""

import http.client
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from infra.embedded import kafka, postgres
from infra.embedded.elasticsearch_home import SOURCES
from infra.embedded.kafka import HOST, free_port
from infra.embedded.layout import Layout
from tapewatch.settings import EmbeddedSettings
from tapewatch.settings.kafka import KafkaSettings, of_embedded
from tapewatch.settings.stack import Addresses

MODULE_OPTIONS = (
    "--enable-native-access=org.elasticsearch.nativeaccess,org.elasticsearch.foreign,org.apache.lucene.core",
    "--add-modules=jdk.net,jdk.incubator.vector,ALL-MODULE-PATH",
)
JVM_OPTIONS = (
    "-Xss1m",
    "-XX:+UseSerialGC",
    "-XX:+ExitOnOutOfMemoryError",
    "-XX:-UsePerfData",
    "-Djava.awt.headless=true",
    "-Djava.locale.providers=CLDR",
    "-Dfile.encoding=UTF-8",
    "-Des.distribution.type=tar",
    # Neither library is published as a jar of its own.
    "-Dorg.elasticsearch.nativeaccess.enableVectorLibrary=false",
    "-Dio.netty.noUnsafe=true",
    "-Dio.netty.noKeySetOptimization=true",
    "-Dio.netty.recycler.maxCapacityPerThread=0",
    "-Dlog4j.shutdownHookEnabled=false",
    "-Dlog4j2.disable.jmx=true",
    "-Dlog4j2.formatMsgNoLookups=true",
)


def choose_port(settings: EmbeddedSettings, layout: Layout) -> int:
    """The fixed port where set, else that of the last start where free, else a free one; remembered for the next start.

    TapewatchError where a fixed port is taken.
    """
    remembered = layout.elasticsearch / "port"
    try:
        last = int(remembered.read_text())
    except (FileNotFoundError, ValueError):
        last = 0
    port = free_port("elasticsearch_port", settings.elasticsearch_port, last, 0)
    layout.elasticsearch.mkdir(mode=0o700, exist_ok=True)
    remembered.write_text(str(port))
    return port


def url(port: int) -> str:
    """Address for clients."""
    return f"http://{HOST}:{port}"


def command(layout: Layout, port: int, java: str, home: Path, heap_mb: int) -> list[str]:
    """Command that runs the node, to be started in its folder; its configuration is written anew."""
    conf, temporary = layout.elasticsearch / "config", layout.elasticsearch / "tmp"
    for folder in (conf, temporary):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in ("elasticsearch.yml", "log4j2.properties"):
        shutil.copyfile(SOURCES / name, conf / name)
    return [
        java,
        f"-Xmx{heap_mb}m",
        f"-Xms{min(128, heap_mb)}m",
        *JVM_OPTIONS,
        f"-Djava.io.tmpdir={temporary}",
        f"-Dtapewatch.logs={layout.logs}",
        f"-Des.path.home={home}",
        f"-Des.path.conf={conf}",
        *MODULE_OPTIONS,
        "--module-path",
        f"{home}/lib",
        "-cp",
        f"{home}/launcher",
        "Launcher",
        f"path.data={layout.elasticsearch / 'data'}",
        f"path.logs={layout.logs}",
        f"http.port={port}",
        "transport.port=9300-9399",
    ]


def is_healthy(address: str, timeout: float = 3.0) -> bool:
    """Whether a node answers at this address and has all its primary shards."""
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname or HOST, parts.port, timeout=timeout)
    try:
        connection.request("GET", "/_cluster/health")
        answer = connection.getresponse()
        return answer.status == http.client.OK and json.loads(answer.read())["status"] in ("green", "yellow")
    except (OSError, http.client.HTTPException, ValueError, KeyError):
        return False
    finally:
        connection.close()


class PartHealth(msgspec.Struct, frozen=True):
    """One part. pid : its process; address : where it is reached; healthy : it answers; memory_mb : with children."""

    name: str
    pid: int
    address: str
    healthy: bool
    memory_mb: float


def parts(addresses: Addresses) -> list[PartHealth]:
    """Ask every part of a stack how it is."""
    access = KafkaSettings(addresses.bootstrap)
    if addresses.kafka_accounts:
        access = of_embedded(access, Path(addresses.kafka_accounts))
    answers = {
        "supervisor": ("", addresses.lives("supervisor")),
        "kafka": (addresses.bootstrap, addresses.lives("kafka") and kafka.is_healthy(access)),
        "postgres": (
            addresses.postgres_url,
            addresses.lives("postgres") and postgres.is_healthy(addresses.postgres_url),
        ),
        "elasticsearch": (
            addresses.elasticsearch_url,
            addresses.lives("elasticsearch") and is_healthy(addresses.elasticsearch_url),
        ),
    }
    return [
        PartHealth(name, addresses.pids[name], address, healthy, round(memory(addresses.pids[name]) / 2**20, 1))
        for name, (address, healthy) in answers.items()
        if name in addresses.pids
    ]


def memory(pid: int) -> int:
    """Bytes of memory of a process and its children; pages that several share are counted once among them (PSS)."""
    own = _proportional(pid)
    return own + sum(_proportional(child) for child in _children(pid) if child not in _parts_of_their_own(pid))


def _children(pid: int) -> Iterator[int]:
    """Direct children of all threads of a process."""
    try:
        for file in Path(f"/proc/{pid}/task").glob("*/children"):
            yield from map(int, file.read_text().split())
    except OSError:
        return


def _parts_of_their_own(pid: int) -> set[int]:
    """Children that lead a session: the supervisor's servers, which are counted as parts themselves."""
    return {child for child in _children(pid) if _session(child) == child}


def _session(pid: int) -> int:
    """Session id of a process, 0 where it has ended."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[3])
    except OSError:
        return 0


def _proportional(pid: int) -> int:
    """PSS of one process, or its resident set where the kernel keeps PSS from us."""
    for file, key in (("smaps_rollup", "Pss:"), ("status", "VmRSS:")):
        try:
            lines = Path(f"/proc/{pid}/{file}").read_text().splitlines()
        except OSError:
            continue
        return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(key)), 0)
    return 0
