"""Three Kafka brokers on loopback, each its own KRaft controller, every topic on all of them."""

import os
import shutil
import socket
import struct
from contextlib import suppress
from pathlib import Path

import msgspec

from infra.embedded import kafka
from infra.embedded.kafka import FIXED_PROPERTIES, HOST, new_id
from tapewatch.errors import TapewatchError

BROKERS = 3
DATA = "data"

PROPERTIES = FIXED_PROPERTIES | {
    "listener.security.protocol.map": "DIRECT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name": "DIRECT",
    "offsets.topic.replication.factor": BROKERS,
    "transaction.state.log.replication.factor": BROKERS,
    "transaction.state.log.min.isr": 2,
    "share.coordinator.state.topic.replication.factor": BROKERS,
    "default.replication.factor": BROKERS,
    "min.insync.replicas": 2,
    "unclean.leader.election.enable": "false",
    # Leaders go back to where they were soon after a broker has come back; else one would end up with all of them.
    "auto.leader.rebalance.enable": "true",
    "leader.imbalance.check.interval.seconds": 20,
    "leader.imbalance.per.broker.percentage": 1,
    # A dead leader is replaced after this long: before a transaction of the engine (8 s) is given up by the broker.
    "broker.session.timeout.ms": 3000,
    "broker.heartbeat.interval.ms": 500,
    # Three brokers and all of ours start at once, on few cores.
    "initial.broker.registration.timeout.ms": 300_000,
    # A broker that stands still leaves the in-sync set before writers lose patience (8 s).
    "replica.lag.time.max.ms": 4000,
    "replica.socket.timeout.ms": 4000,
    "replica.fetch.wait.max.ms": 100,
    "num.replica.fetchers": 1,
    "controlled.shutdown.enable": "true",
    "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,
    # Snapshots of the metadata log must not grow with the run.
    "metadata.log.max.record.bytes.between.snapshots": 1_000_000,
}

_DESCRIBE_QUORUM = 55
_METADATA_TOPIC = b"__cluster_metadata"
_ANSWER_S = 3.0


class Node(msgspec.Struct, frozen=True):
    """One broker. number : from 1; direct, controller : its own ports; proxied : port behind the proxy;
    proxy : port that our processes are told; folder : its working folder; logs : folder of its logs
    """

    number: int
    direct: int
    proxied: int
    proxy: int
    controller: int
    folder: Path
    logs: Path

    @property
    def name(self) -> str:
        """Name among the site's processes."""
        return f"broker-{self.number}"


def voters(nodes: tuple[Node, ...]) -> str:
    """The controllers' quorum."""
    return ",".join(f"{node.number}@{HOST}:{node.controller}" for node in nodes)


def write_properties(node: Node, nodes: tuple[Node, ...]) -> Path:
    """Write one broker's properties into its working folder."""
    listeners = {"DIRECT": node.direct, "PROXIED": node.proxied, "CONTROLLER": node.controller}
    told = {"DIRECT": node.direct, "PROXIED": node.proxy}
    properties = PROPERTIES | {
        "node.id": node.number,
        "listeners": ",".join(f"{name}://{HOST}:{port}" for name, port in listeners.items()),
        "advertised.listeners": ",".join(f"{name}://{HOST}:{port}" for name, port in told.items()),
        "controller.quorum.voters": voters(nodes),
        "log.dirs": DATA,
    }
    path = node.folder / "server.properties"
    path.write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
    return path


def format_command(node: Node, java: str, jars: Path) -> list[str]:
    """Kafka's own tool, run once: the storage of one node; the others' is laid out like it."""
    tool = [java, "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{jars}/*"]
    return [*tool, "kafka.tools.StorageTool", "format", "-t", new_id(), "-c", "server.properties"]


def lay_out(node: Node, like: Node) -> None:
    """Storage of a further node of the same cluster: same feature levels and cluster, a number and id of its own."""
    source, target = like.folder / DATA, node.folder / DATA
    target.mkdir(parents=True, exist_ok=True)
    with suppress(FileNotFoundError):
        shutil.copyfile(source / "bootstrap.checkpoint", target / "bootstrap.checkpoint")
    lines = (source / "meta.properties").read_text().splitlines()
    own = {"node.id": str(node.number), "directory.id": new_id()}
    fields = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#")) | own
    (target / "meta.properties").write_text("".join(f"{key}={value}\n" for key, value in fields.items()))


def command(node: Node, java: str, jars: Path, heap_mb: int) -> list[str]:
    """Command that runs a broker, to be started in its working folder."""
    archive = kafka.archive_file(jars, java)
    shared = [f"-XX:SharedArchiveFile={archive}", "-Xlog:cds=off"] if archive.exists() else []
    return [
        java,
        f"-Xmx{heap_mb}m",
        "-Xms64m",
        "-Xss512k",
        "-XX:+UseSerialGC",
        "-XX:+ExitOnOutOfMemoryError",
        "-XX:-UsePerfData",
        # A broker that is started anew again and again would compile for most of its life.
        "-XX:TieredStopAtLevel=1",
        *shared,
        "-Djava.awt.headless=true",
        f"-Dtapewatch.logs={node.logs}",
        f"-Dlog4j2.configurationFile={_log_configuration()}",
        "-cp",
        f"{jars}/*",
        "kafka.Kafka",
        "server.properties",
    ]


def _log_configuration() -> str:
    return (Path(kafka.__file__).parent / "log4j2.json").as_uri()


def controller(nodes: tuple[Node, ...]) -> int:
    """Number of the node that leads the controllers' quorum, as the first broker that answers knows it.

    Kafka's clients tell a broker at random instead (KIP-590), so the request is written out here: DescribeQuorum v0.
    TapewatchError where no broker answers.
    """
    for node in nodes:
        with suppress(OSError, struct.error, IndexError):
            leader = _described(node.direct)
            if leader > 0:
                return leader
    raise TapewatchError("no broker says who leads the controllers", "Look at the brokers' logs.")


def _described(port: int) -> int:
    body = struct.pack(">hhih", _DESCRIBE_QUORUM, 0, 1, -1) + b"\0"
    name = bytes([len(_METADATA_TOPIC) + 1]) + _METADATA_TOPIC
    body += b"\x02" + name + b"\x02" + struct.pack(">i", 0) + b"\0" + b"\0" + b"\0"
    with socket.create_connection((HOST, port), _ANSWER_S) as connection:
        connection.settimeout(_ANSWER_S)
        connection.sendall(struct.pack(">i", len(body)) + body)
        answer = _read(connection, struct.unpack(">i", _read(connection, 4))[0])
    # Correlation, tags, error, one topic, its name, one partition: number, error, leader.
    at = 4 + 1
    if struct.unpack_from(">h", answer, at)[0]:
        return 0
    at += 2 + 1 + answer[at + 3] + 1
    number, error, leader = struct.unpack_from(">ihi", answer, at)
    return leader if number == 0 and error == 0 else 0


def _read(connection: socket.socket, count: int) -> bytes:
    content = b""
    while len(content) < count:
        piece = connection.recv(count - len(content))
        if not piece:
            raise ConnectionError(os.strerror(104))
        content += piece
    return content
