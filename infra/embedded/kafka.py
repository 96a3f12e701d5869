"""One Kafka broker that is its own KRaft controller, on loopback.

The broker's classes as the Java runtime keeps them between starts (class data sharing): a start takes half the time.

The first broker of a Java runtime writes the archive when it ends; later ones map it. A runtime ignores an archive that
is not its own.

The broker's storage, formatted once by Kafka's own tool; later folders begin as that one did, without its second of
start.
"""

import base64
import hashlib
import logging
import os
import random
import shutil
import socket
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from infra.embedded.layout import Layout
from tapewatch.errors import TapewatchError
from tapewatch.settings import EmbeddedSettings
from tapewatch.settings.kafka import KafkaSettings

NODE = 1
DATA, NEW_DATA = "data", "data.new"
_META, _CHECKPOINT = "meta.properties", "bootstrap.checkpoint"


def is_formatted(layout: Layout) -> bool:
    """Whether the storage is in its place."""
    return (layout.kafka / DATA / _META).exists()


def new_id() -> str:
    """An id as Kafka writes them, 16 random bytes; none that an option could be taken for."""
    return "t" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[1:22]


def lay_out(layout: Layout, jars: Path) -> bool:
    """Format as the tool did before with these jars: its feature levels, ids of our own. False where it never has."""
    folder = layout.kafka / NEW_DATA
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        shutil.copyfile(jars / _CHECKPOINT, folder / _CHECKPOINT)
    except OSError:
        folder.rmdir()
        return False
    lines = {"version": 1, "cluster.id": new_id(), "node.id": NODE, "directory.id": new_id()}
    (folder / _META).write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
    put_in_place(layout)
    return True


def put_in_place(layout: Layout) -> None:
    """Put the formatted storage into its place, whole."""
    (layout.kafka / NEW_DATA).rename(layout.kafka / DATA)


def remember(layout: Layout, jars: Path) -> None:
    """Keep the feature levels that the tool chose beside the jars, where that folder can be written."""
    scratch = jars / f"{_CHECKPOINT}.{os.getpid()}"
    with suppress(OSError):
        shutil.copyfile(layout.kafka / DATA / _CHECKPOINT, scratch)
        scratch.replace(jars / _CHECKPOINT)


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


HOST = "127.0.0.1"
LARGEST_MESSAGE = 16 * 1024 * 1024
"""Above the 10 MB record that must reach the log to be refused by name; clients set their own limits to match."""

FREE_PORTS = range(20_000, 32_000)
"""Below Linux's ephemeral ports, so that no outgoing connection takes one between our look and the broker's bind."""

FIXED_PROPERTIES = {
    "process.roles": "broker,controller",
    "node.id": NODE,
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name": "PLAINTEXT",
    # One broker: internal topics cannot have more replicas, and few partitions of them start faster.
    "offsets.topic.replication.factor": 1,
    "offsets.topic.num.partitions": 8,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    "transaction.state.log.num.partitions": 8,
    "share.coordinator.state.topic.replication.factor": 1,
    "share.coordinator.state.topic.min.isr": 1,
    "share.coordinator.state.topic.num.partitions": 1,
    "default.replication.factor": 1,
    "min.insync.replicas": 1,
    "auto.create.topics.enable": "false",
    "auto.leader.rebalance.enable": "false",
    # A group of one need not wait for others; a dead transaction must not hold readers back.
    "group.initial.rebalance.delay.ms": 0,
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": 1000,
    # After a kill the controller grants the dead broker this long before it takes the new one: 9 s by default.
    "broker.session.timeout.ms": 4000,
    "broker.heartbeat.interval.ms": 500,
    "message.max.bytes": LARGEST_MESSAGE,
    "replica.fetch.max.bytes": LARGEST_MESSAGE,
    "compression.type": "producer",
    "num.network.threads": 2,
    "num.io.threads": 4,
    "num.recovery.threads.per.data.dir": 2,
    "log.segment.bytes": 256 * 1024 * 1024,
    "log.retention.hours": 168,
    "log.cleaner.enable": "true",
    # The default of 128 MiB would be a quarter of the default heap.
    "log.cleaner.dedupe.buffer.size": 32 * 1024 * 1024,
}


class Ports(msgspec.Struct, frozen=True):
    """The broker's listeners. broker : for clients; controller : the broker's own

    certificates : for itself and whoever comes by certificate, where it asks who comes, else 0
    """

    broker: int
    controller: int
    certificates: int = 0

    @property
    def bootstrap(self) -> str:
        """Address for clients."""
        return f"{HOST}:{self.broker}"

    @property
    def by_certificate(self) -> str:
        """Address for who comes by certificate."""
        return f"{HOST}:{self.certificates}"


def choose_ports(settings: EmbeddedSettings, layout: Layout) -> Ports:
    """Fixed ports where set, else those of the last start where free, else free ones; remembered for the next start.

    TapewatchError where a fixed port is taken.
    """
    try:
        last = msgspec.json.decode(layout.ports_file.read_bytes(), type=Ports)
    except (FileNotFoundError, msgspec.DecodeError):
        last = Ports(0, 0)
    broker = free_port("kafka_port", settings.kafka_port, last.broker, 0)
    ports = Ports(broker, free_port("controller_port", settings.controller_port, last.controller, broker))
    if settings.secure:
        taken = last.certificates if last.certificates not in (broker, ports.controller) else 0
        ports = msgspec.structs.replace(ports, certificates=free_port("kafka_port", 0, taken, ports.controller))
    layout.ports_file.write_bytes(msgspec.json.encode(ports))
    return ports


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def free_port(key: str, fixed: int, last: int, taken: int) -> int:
    """One port, other than `taken`: the fixed one where set, else the last one where free, else a free one.

    key : name of the setting. TapewatchError where the fixed port is in use.
    """
    if fixed:
        if is_free(fixed) and fixed != taken:
            return fixed
        raise TapewatchError(f"embedded.{key} = {fixed}: the port is in use", "Free it, or set 0 to take a free one.")
    if last and last != taken and is_free(last):
        return last
    draws = random.SystemRandom().sample(FREE_PORTS, 200)
    port = next((port for port in draws if port != taken and is_free(port)), 0)
    if not port:
        raise TapewatchError(f"no free port for embedded.{key}", f"Set embedded.{key} to a free port.")
    return port


def write_properties(layout: Layout, ports: Ports, more: Mapping[str, object], folder: str = DATA) -> Path:
    """Write the broker's properties; `folder` is relative to its working folder, since a path would need escaping."""
    places = {"PLAINTEXT": ports.broker}
    if ports.certificates:
        places = {"ACCOUNTS": ports.broker, "CERTIFICATES": ports.certificates}
    listeners = ",".join(f"{name}://{HOST}:{port}" for name, port in places.items())
    properties = FIXED_PROPERTIES | {
        "listeners": f"{listeners},CONTROLLER://{HOST}:{ports.controller}",
        "advertised.listeners": listeners,
        # A static quorum takes its port from here at every start; a dynamic one keeps what it was formatted with.
        "controller.quorum.voters": f"{NODE}@{HOST}:{ports.controller}",
        "log.dirs": folder,
        **more,
    }
    path = layout.kafka / ("server.properties" if folder == DATA else "format.properties")
    path.write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
    return path


def format_command(layout: Layout, ports: Ports, java: str, jars: Path, more: Mapping[str, object]) -> list[str]:
    """Command that formats storage in `storage.NEW_DATA`."""
    shutil.rmtree(layout.kafka / NEW_DATA, ignore_errors=True)
    properties = write_properties(layout, ports, more, NEW_DATA)
    shared = archive_file(jars, java)
    archive = [f"-XX:SharedArchiveFile={shared}", "-Xlog:cds=off"] if shared.exists() else []
    tool = [java, "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", *archive, "-cp", f"{jars}/*"]
    return [*tool, "kafka.tools.StorageTool", "format", "-t", new_id(), "-c", properties.name]


def command(layout: Layout, ports: Ports, java: str, jars: Path, heap_mb: int, more: Mapping[str, object]) -> list[str]:
    """Command that runs the broker, to be started in its working folder. more : properties beside the usual"""
    return [
        java,
        f"-Xmx{heap_mb}m",
        f"-Xms{min(64, heap_mb)}m",
        "-XX:+UseSerialGC",
        "-XX:+ExitOnOutOfMemoryError",
        "-XX:-UsePerfData",
        *options(jars, java),
        "-Djava.awt.headless=true",
        f"-Dtapewatch.logs={layout.logs}",
        f"-Dlog4j2.configurationFile={Path(__file__).with_name('log4j2.json').as_uri()}",
        "-cp",
        f"{jars}/*",
        "kafka.Kafka",
        write_properties(layout, ports, more).name,
    ]


def is_healthy(access: KafkaSettings, timeout: float = 3.0) -> bool:
    """Whether a broker answers there, lets us in and counts itself as part of the cluster."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    from tapewatch.security import login

    host, _, port = access.bootstrap.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout).close()
        quiet = logging.getLogger("tapewatch.embedded.kafka")
        words = {"bootstrap.servers": access.bootstrap, "log_level": 0, **login.properties(access)}
        return bool(AdminClient(words, logger=quiet).list_topics(timeout=timeout).brokers)
    except (OSError, KafkaException, TapewatchError):
        return False
