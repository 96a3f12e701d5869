"""One Elasticsearch node on loopback, run from its published jars."""

import http.client
import json
import shutil
from pathlib import Path
from urllib.parse import urlsplit

from infra.embedded.elasticsearch_home import SOURCES
from infra.embedded.kafka import HOST, free_port
from infra.embedded.layout import Layout
from tapewatch.settings import EmbeddedSettings

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
