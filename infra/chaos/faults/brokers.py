"""Faults of the three brokers, one at a time: each waits until the last one's replicas are all back in sync."""

import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from infra.chaos.faults.kind import OUTPUT, Fault, Ground, Kind, NotInjectedError, Pause, asleep, comes
from infra.chaos.faults.processes import frozen, running
from tapewatch.contract import topics

IN_SYNC_S = 45.0
"""How long a fault waits for all replicas; with one already away, another would take the last but one."""
NOTICED_S = 4.0
"""After that long the cluster itself says that a broker is away (broker.session.timeout.ms is 2.5 s)."""

FULL_S = 20.0
"""How long a broker is waited for that cannot write: it ends with its next append."""

_TURN = threading.Lock()


@contextmanager
def turn(site: Ground, pause: Pause) -> Iterator[AdminClient]:
    """Alone among the faults of brokers, begun when every partition has all its replicas.

    NotInjectedError where that takes over three quarters of a minute.
    """
    with _TURN:
        admin = AdminClient({"bootstrap.servers": site.direct, "log_level": 0, "socket.timeout.ms": 6000})
        if not comes(lambda: _in_sync(admin), pause, IN_SYNC_S):
            raise NotInjectedError("a broker was not back in sync")
        try:
            yield admin
        finally:
            asleep(NOTICED_S)


def _in_sync(admin: AdminClient) -> bool:
    try:
        found = admin.list_topics(timeout=5).topics.values()
    except KafkaException:
        return False
    parts = [part for topic in found for part in topic.partitions.values()]
    return bool(parts) and all(len(part.isrs) == len(part.replicas) and part.leader >= 0 for part in parts)


def _leader(site: Ground, fault: Fault, admin: AdminClient) -> tuple[str, str]:
    """The broker that leads a drawn partition of the market topic, and that in words."""
    topic = topics.market(site.feed)
    partition = int(fault.draw * len(admin.list_topics(topic, timeout=5).topics[topic].partitions))
    name = site.leader(topic, partition)
    return name, f"{name}, leader of {topic}[{partition}]"


def kill_leader(site: Ground, fault: Fault, pause: Pause) -> str:
    """SIGKILL of the broker that leads a market partition; the site starts it again."""
    with turn(site, pause) as admin:
        name, said = _leader(site, fault, admin)
        running(site, name).kill()
    return said


def freeze_leader(site: Ground, fault: Fault, pause: Pause) -> str:
    """SIGSTOP of such a broker: its connections stay open and say nothing."""
    with turn(site, pause) as admin:
        name, said = _leader(site, fault, admin)
        with frozen(running(site, name)):
            pause(fault.length_s)
    return said


def restart(site: Ground, fault: Fault, pause: Pause) -> str:
    """SIGTERM of a drawn broker: it hands its partitions over, ends, and is started again."""
    brokers = site.of("broker")
    name = brokers[int(fault.draw * len(brokers))].name
    with turn(site, pause):
        running(site, name).ask()
    return name


def kill_controller(site: Ground, fault: Fault, pause: Pause) -> str:
    """SIGKILL of the broker that leads the controllers."""
    with turn(site, pause):
        name = site.controller()
        running(site, name).kill()
    return f"{name}, the controller"


def lose(site: Ground, fault: Fault, pause: Pause) -> str:
    """SIGKILL of a market partition's leader, which stays away for the fault's length."""
    with turn(site, pause) as admin:
        name, said = _leader(site, fault, admin)
        broker = running(site, name)
        broker.hold()
        try:
            broker.kill()
            pause(fault.length_s)
        finally:
            broker.release()
    return said


def fill_disk(site: Ground, fault: Fault, pause: Pause) -> str:
    """No file of a market partition's leader may grow any more (RLIMIT_FSIZE), so that its log folder is lost to it and
    it ends; for the fault's length it stays away, then there is room again.
    """
    with turn(site, pause) as admin:
        name, said = _leader(site, fault, admin)
        broker = running(site, name)
        broker.hold()
        try:
            _, most = resource.prlimit(broker.pid, resource.RLIMIT_FSIZE)
            resource.prlimit(broker.pid, resource.RLIMIT_FSIZE, (1, most))
            if not comes(lambda: not broker.pid, pause, FULL_S):
                broker.kill()
                raise NotInjectedError(f"{name} wrote nothing in {FULL_S:.0f} s")
            pause(fault.length_s)
        finally:
            broker.release()
    return said


KINDS = (
    Kind("kill_broker_leader", "kill -9 of the broker that leads a market partition", OUTPUT, kill_leader, settle_s=25),
    Kind("freeze_broker_leader", "that broker stands still", OUTPUT, freeze_leader, "", 5, 10, 25),
    Kind("restart_broker", "a broker is stopped in order and started again", OUTPUT, restart, settle_s=25),
    Kind("kill_controller", "kill -9 of the broker that leads the controllers", OUTPUT, kill_controller, settle_s=25),
    Kind("fill_broker_disk", "the disk of that broker is full: it ends", OUTPUT, fill_disk, "", 5, 10, 30),
    Kind("lose_broker", "one broker of three is gone for 20 s", OUTPUT, lose, "", 20, 20, 25),
)
