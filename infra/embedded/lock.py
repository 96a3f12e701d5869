"""The servers' pinned jars: coordinates, sha256 sums, sizes. `python -m infra.embedded.lock` resolves them anew."""

import hashlib
import sys
import tempfile
from pathlib import Path

import msgspec


class Jar(msgspec.Struct, frozen=True):
    """One pinned jar. coordinate : group:artifact:version; sha256 : hex; size : bytes."""

    coordinate: str
    sha256: str
    size: int

    @property
    def parts(self) -> tuple[str, str, str]:
        """Group, artifact, version."""
        group, artifact, version = self.coordinate.split(":")
        return group, artifact, version

    @property
    def name(self) -> str:
        """File name in the cache."""
        return f"{self.parts[1]}-{self.parts[2]}.jar"

    def matches(self, path: Path) -> bool:
        """Whether the file is there and is the pinned one."""
        try:
            return path.stat().st_size == self.size and _sha256(path) == self.sha256
        except FileNotFoundError:
            return False


class Lock(msgspec.Struct, frozen=True):
    """A lock file. name : of the server; file : where the pins lie; roots : whose run-time dependencies they are."""

    name: str
    file: Path
    roots: tuple[str, ...]

    def read(self) -> list[Jar]:
        """The pinned jars."""
        return msgspec.json.decode(self.file.read_bytes(), type=list[Jar])

    def digest(self) -> str:
        """Name of the cache folder that belongs to this lock file, 16 hex digits."""
        return hashlib.sha256(self.file.read_bytes()).hexdigest()[:16]

    def write(self, jars: list[Jar]) -> None:
        """Write the lock file, one jar a line."""
        lines = ",\n".join(msgspec.json.encode(jar).decode() for jar in jars)
        self.file.write_text(f"[\n{lines}\n]\n")


KAFKA = Lock(
    "Kafka",
    Path(__file__).with_name("kafka.lock.json"),
    ("org.apache.kafka:kafka_2.13:4.3.1", "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4"),
)
"""Kafka, and the binding through which it logs, which its published dependencies leave out."""

ELASTICSEARCH = Lock(
    "Elasticsearch",
    Path(__file__).with_name("elasticsearch.lock.json"),
    ("org.elasticsearch:elasticsearch:9.5.3", "org.elasticsearch.plugin:transport-netty4:9.5.3"),
)
"""Elasticsearch, and the module through which it speaks HTTP."""


def resolve(roots: tuple[str, ...]) -> list[Jar]:
    """Resolve the run-time dependencies of `roots` with jgo and pin what arrives."""
    from jgo.maven import MavenContext

    with tempfile.TemporaryDirectory() as scratch:
        context = MavenContext(repo_cache=Path(scratch), timeout=60)
        jars: dict[str, Jar] = {}
        for root in roots:
            # One by one: resolved together, each root's managed versions would bend the other's.
            named, transitive = context.resolver.resolve([context.create_dependency(root)])
            for dependency in (*named, *transitive):
                path = dependency.artifact.resolve()
                coordinate = f"{dependency.groupId}:{dependency.artifactId}:{dependency.version}"
                jars.setdefault(coordinate.rpartition(":")[0], Jar(coordinate, _sha256(path), path.stat().st_size))
    return sorted(jars.values(), key=lambda jar: jar.coordinate)


def _sha256(path: Path) -> str:
    """Sum of a file, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    for lock in (KAFKA, ELASTICSEARCH):
        lock.write(resolve(lock.roots))
        sys.stderr.write(f"{lock.file.name}: {len(lock.read())} jars, {sum(jar.size for jar in lock.read())} bytes\n")
