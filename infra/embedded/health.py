"""How the parts of a running stack are doing."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from infra.embedded import elasticsearch, kafka, postgres
from tapewatch.settings.kafka import KafkaSettings, of_embedded
from tapewatch.settings.stack import Addresses


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
            addresses.lives("elasticsearch") and elasticsearch.is_healthy(addresses.elasticsearch_url),
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
