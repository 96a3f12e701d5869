"""What people do with the paper broker from outside: tell it something, and see where it stands."""

import msgspec
from confluent_kafka import Consumer, TopicPartition

from streams.paper.paper_partition import PaperPartition, read_state
from tapewatch.clock import NANOS, WALL, Clock
from tapewatch.contract import topics
from tapewatch.contract.messages import PaperCommand, Position
from tapewatch.desk import paper_commands
from tapewatch.market_log import control_rows
from tapewatch.market_log.registry import FixedRegistry
from tapewatch.rfc3339 import to_rfc3339
from tapewatch.runtime import kafka
from tapewatch.runtime.group_offsets import committed
from tapewatch.settings import Settings

NO_INSTRUMENTS = FixedRegistry(())
COMMANDS = (topics.PAPER_COMMANDS, 0)


class PartitionState(msgspec.Struct, frozen=True):
    """A market partition as the last transaction left it. commands : offset of the first command it has not taken"""

    topic: str
    partition: int
    next_offset: int
    clock: str | None
    running: str
    standing: int
    orders: int
    fills: int
    commands: int


class PaperState(msgspec.Struct, frozen=True):
    """Where paper trading stands. result : of all instruments, by currency"""

    partitions: list[PartitionState]
    switched: dict[str, bool]
    skipped: dict[str, int]
    accounts: list[Position]
    result: dict[str, float]


class CommandStatus(msgspec.Struct, frozen=True):
    """A command that was written. taken : partitions that have taken it so far; of : partitions that have a state"""

    command: PaperCommand
    offset: int
    taken: int
    of: int


def tell(
    settings: Settings, action: str, instrument: str, why: str, who: str = "", wait_s: float = 5.0, clock: Clock = WALL
) -> CommandStatus:
    """Write a command into the log, after the audit log, and wait until every partition has taken it.

    action : start, stop, kill, on or off; instrument : for on and off
    TapewatchError for a name that is no instrument's, or where the command was not acknowledged.
    """
    command, offset = paper_commands.give(settings, action, instrument, why, who, clock)
    deadline = clock.elapsed() + int(wait_s * NANOS)
    while True:
        found = [state.commands > offset for state in standing(settings).partitions]
        if (found and all(found)) or clock.elapsed() >= deadline:
            return CommandStatus(command, offset, sum(found), len(found))
        clock.sleep(0.2)


def standing(settings: Settings) -> PaperState:
    """Where every partition stands, by its last committed state."""
    reader = kafka.consumer(settings, settings.paper.group)
    try:
        desks = _desks(settings, reader)
    finally:
        reader.close()
    brokers = [desk.task.broker for desk in desks]
    accounts = [broker.account(lane, broker.clock) for broker in brokers for lane in broker.lanes.traded()]
    switched: dict[str, bool] = {}
    skipped: dict[str, int] = {}
    result: dict[str, float] = {}
    for broker in brokers:
        switched |= broker.switched
        for reason, count in broker.skipped.items():
            skipped[reason] = skipped.get(reason, 0) + count
    for account in accounts:
        result[account.currency] = result.get(account.currency, 0.0) + account.result
    return PaperState([_state(desk) for desk in desks], switched, skipped, accounts, result)


def _state(desk: PaperPartition) -> PartitionState:
    broker = desk.task.broker
    clock = to_rfc3339(broker.clock) if broker.clock else None
    return PartitionState(
        *desk.market, desk.task.begin, clock, broker.running, len(broker.book.standing), desk.orders, desk.fills,
        desk.reads.get(COMMANDS, 0),
    )  # fmt: skip


def _desks(settings: Settings, reader: Consumer) -> list[PaperPartition]:
    """The committed state of every market partition that has one."""
    feeds = {topics.market(feed) for feed in settings.paper.feeds}
    places = [
        TopicPartition(topic, partition)
        for topic, partitions in control_rows.market_partitions(settings).items()
        if topic in feeds or not feeds
        for partition in partitions
    ]
    found = committed(reader, places)
    return [read_state(reader, place, NO_INSTRUMENTS, []) for place in found if place.offset >= 0]
