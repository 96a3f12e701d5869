"""Faults of our own processes: killed, frozen past every time-out, slowed down, joined by one more."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from infra.chaos import own_clock
from infra.chaos.faults.kind import (
    OUTPUT,
    SINKS,
    BrokenPromiseError,
    Fault,
    Ground,
    Kind,
    NotInjectedError,
    Pause,
    Process,
    asleep,
    comes,
)
from tapewatch.contract import topics
from tapewatch.runtime import group_offsets, kafka

BEAT_S = (1.5, 0.5)
"""A slow process stands still and runs in turn, s."""
SPARE = "engine-3"
"""The engine that comes and goes."""
JOIN_S, LEAVE_S = 60.0, 20.0
REMEDY = "--restore-offsets"
STEPPED_S = 3300.0
UNDER_WAY_S = 3.0
"""By how much a clock is set back; a snapshot that had been begun by then is written by then."""
FORGET_S, START_S = 20.0, 150.0
"""A static member's place is kept for a session of 6 s, and the group is not empty so long; how long a start takes."""


def running(site: Ground, name: str) -> Process:
    """A process that is up; NotInjectedError where it is not."""
    process = site.processes[name]
    if not process.pid:
        raise NotInjectedError(f"{name} was not running")
    return process


@contextmanager
def frozen(process: Process) -> Iterator[None]:
    """Stopped by SIGSTOP, and continued whatever happens."""
    process.freeze()
    try:
        yield
    finally:
        process.thaw()


def kill(site: Ground, fault: Fault, pause: Pause) -> str:
    """SIGKILL; the site starts it again."""
    running(site, fault.target).kill()
    return fault.target


def freeze(site: Ground, fault: Fault, pause: Pause) -> str:
    """SIGSTOP for the fault's length: longer than its transaction and session, it comes back as a zombie."""
    with frozen(running(site, fault.target)):
        pause(fault.length_s)
    return fault.target


def slow(site: Ground, fault: Fault, pause: Pause) -> str:
    """It stands still three quarters of the time."""
    process = running(site, fault.target)
    for _ in range(max(1, round(fault.length_s / sum(BEAT_S)))):
        with frozen(process):
            pause(BEAT_S[0])
        if not pause(BEAT_S[1]):
            break
    return fault.target


def join_and_leave(site: Ground, fault: Fault, pause: Pause) -> str:
    """One more engine joins the group, works a while and leaves in order: two rebalances while snapshots are written.

    NotInjectedError where it does not get into the group in a minute.
    """
    spare = site.processes[SPARE]
    spare.release()
    try:
        if not comes(lambda: _is_member(site), pause, JOIN_S):
            raise NotInjectedError(f"{SPARE} did not join the group in {JOIN_S:.0f} s")
        pause(fault.length_s)
    finally:
        spare.hold()
        spare.ask()
        if not comes(lambda: not spare.pid, asleep, LEAVE_S):
            spare.kill()
    return SPARE


def _is_member(site: Ground) -> bool:
    """Whether the spare engine holds partitions."""
    admin = AdminClient({"bootstrap.servers": site.direct, "log_level": 0})
    group = site.settings.engine.group
    try:
        members = admin.describe_consumer_groups([group], request_timeout=5)[group].result().members
    except KafkaException:
        return False
    return any(each.group_instance_id == SPARE and each.assignment.topic_partitions for each in members)


def expire_offsets(site: Ground, fault: Fault, pause: Pause) -> str:
    """All engines end and the broker forgets their group's offsets. The next engine has to end and name the remedy,
    with which it goes on.
    """
    engines, group = site.of("engine"), site.settings.engine.group
    admin = AdminClient({"bootstrap.servers": site.direct, "log_level": 0})
    try:
        end_in_order(engines, pause)
        if not comes(lambda: _is_forgotten(admin, group), pause, FORGET_S):
            raise NotInjectedError(f"the group {group} did not become empty in {FORGET_S:.0f} s")
        _restore(site, engines[0])
    finally:
        for engine in engines:
            engine.release()
    return f"{group}, restored"


def end_in_order(processes: Sequence[Process], pause: Pause) -> None:
    """Hold processes and ask them to end. NotInjectedError where one does not."""
    for process in processes:
        process.hold()
        process.ask()
    if not comes(lambda: not any(process.pid for process in processes), pause, LEAVE_S):
        raise NotInjectedError(f"{', '.join(each.name for each in processes if each.pid)} did not end")


def _is_forgotten(admin: AdminClient, group: str) -> bool:
    try:
        admin.delete_consumer_groups([group], request_timeout=10)[group].result()
    except KafkaException:
        return False
    return True


def _restore(site: Ground, engine: Process) -> None:
    """As an operator does: start it, read what it says, start it with the remedy until its group stands everywhere."""
    before = len(engine.failures)
    engine.release()
    says = comes(lambda: len(engine.failures) > before, asleep, START_S) and REMEDY in engine.failures[before]
    end_in_order([engine], asleep)
    engine.release(REMEDY)
    reader = kafka.consumer(site.settings, site.settings.engine.group)
    try:
        topic = topics.market(site.feed)
        logs = [(topic, number) for number in range(kafka.existing_topics(reader)[topic])]
        stands = comes(lambda: len(group_offsets.next_offsets(reader, logs)) == len(logs), asleep, START_S)
    finally:
        reader.close()
    if not says:
        raise BrokenPromiseError(f"an engine whose group's offsets are gone did not end and name {REMEDY}")
    if not stands:
        raise BrokenPromiseError(f"an engine did not go on with {REMEDY}")


def step_clock(site: Ground, fault: Fault, pause: Pause) -> str:
    """The engines' time of day is set back by most of an hour, and is right again once a snapshot was written: what is
    due does not wait for it.
    """
    own_clock.set_clock(site.engines_clock, -STEPPED_S)
    try:
        if not pause(UNDER_WAY_S):
            raise NotInjectedError("the run ended")
        before = _written(site)
        if not comes(lambda: _written(site) > before, pause, fault.length_s) and pause(0):
            raise BrokenPromiseError(
                f"no engine wrote a snapshot in {fault.length_s:.0f} s after their clock was set back"
            )
    finally:
        own_clock.set_clock(site.engines_clock, 0)
    return f"-{STEPPED_S:.0f} s"


def _written(site: Ground) -> int:
    """Where the topic of snapshots ends, over all its partitions."""
    reader = kafka.consumer(site.settings)
    try:
        count = kafka.existing_topics(reader)[topics.SNAPSHOTS]
        return sum(kafka.watermarks(reader, topics.SNAPSHOTS, number)[1] for number in range(count))
    finally:
        reader.close()


KINDS = (
    Kind("kill_engine", "kill -9 of an engine", OUTPUT, kill, "engine", settle_s=15),
    Kind(
        "freeze_engine", "an engine stands still past its transaction and session", OUTPUT, freeze, "engine", 10, 15, 15
    ),
    Kind(
        "rebalance", "a third engine joins and leaves while snapshots are written", OUTPUT, join_and_leave, "", 3, 6, 12
    ),
    Kind("expire_offsets", "the broker forgets the engines' offsets", OUTPUT, expire_offsets, "", 60, 60, 15),
    Kind("step_engine_clock", "the engines' clock is set back by most of an hour", OUTPUT, step_clock, "", 60, 60, 5),
    Kind("kill_producer", "kill -9 of the producer", OUTPUT, kill, "producer", settle_s=15),
    Kind("freeze_producer", "the producer stands still", OUTPUT, freeze, "producer", 2, 8, 6),
    Kind("kill_sink", "kill -9 of a sink", SINKS, kill, "sink", settle_s=6),
    Kind("slow_sink", "a slow consumer: a sink stands still three quarters of the time", SINKS, slow, "sink", 8, 16, 4),
    Kind("kill_stage", "kill -9 of a second stage", SINKS, kill, "stage", settle_s=6),
)
