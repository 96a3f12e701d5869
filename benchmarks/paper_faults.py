"""kill -9 of the paper broker at random moments, then its books beside the log: no order lost, none doubled.

    python -m benchmarks.paper_faults --kills 200 --out docs/results/paper-faults.json

A market with signals is written all the while, transactions of the engine are aborted now and then, and commands are
given. At the end every record of orders, fills and positions is compared with what the log alone gives, and orders and
accounts with the fills, to the last unit.
"""

import argparse
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np
from confluent_kafka import TopicPartition

from benchmarks import engine_run
from benchmarks.paper_log import PaperLog
from streams.paper import replay
from streams.paper.control import tell
from streams.paper.process import Paper
from tapewatch.clock import NANOS, WALL
from tapewatch.contract import messages
from tapewatch.contract.messages import Fill, Order, Position
from tapewatch.market_log.registry import Registry
from tapewatch.runtime import kafka
from tapewatch.runtime.group_offsets import committed
from tapewatch.settings import Settings

PATIENCE_S = 120.0
COMMANDS = {2: "kill", 3: "start", 7: "stop", 8: "start"}
"""What is said after which of ten kills."""
M = TypeVar("M", Fill, Order, Position)


class Result(msgspec.Struct, frozen=True):
    """What came of it.

    kills : of a process at work, and while it was starting (nothing committed since its start)
    records : in the topics; lost, doubled, foreign : as in `replay.Verdict`, of all partitions
    reconciled : whether orders and accounts agree with the fills; commands : given while it ran
    """

    command: str
    kills_at_work: int
    kills_while_starting: int
    seconds: float
    partitions: int
    frames: int
    commands: int
    transactions: int
    records: dict[str, int]
    lost: int
    doubled: int
    foreign: int
    in_order: bool
    reconciled: bool

    @property
    def holds(self) -> bool:
        """Whether nothing was lost, doubled or made up, and all books agree."""
        return self.in_order and self.reconciled and not (self.lost or self.doubled or self.foreign)


def serve(settings: bytes) -> None:
    """`tapewatch run paper` with these settings, in a process of its own."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    Paper(msgspec.json.decode(settings, type=Settings)).run(stop)


@dataclass
class Victim:
    """A process of the paper broker, started again each time that it is killed.

    It is forked from one that has loaded the modules, so that time goes into work.
    """

    settings: Settings
    process: BaseProcess | None = None

    def start(self) -> None:
        """Start it; it takes the place of the one before."""
        nursery = multiprocessing.get_context("forkserver")
        nursery.set_forkserver_preload([serve.__module__])
        self.process = nursery.Process(target=serve, args=(msgspec.json.encode(self.settings),), daemon=True)
        self.process.start()

    def end(self, number: signal.Signals) -> None:
        """Send it a signal, and wait for its end."""
        if self.process is not None and self.process.pid is not None:
            if self.process.is_alive():
                os.kill(self.process.pid, number)
            self.process.join(60)

    def has_failed(self) -> bool:
        """Whether it ended by itself."""
        return self.process is not None and not self.process.is_alive()


def of_feed(settings: Settings, feed: str) -> Settings:
    """Settings of a paper broker of its own for a feed, quick to trade."""
    paper = msgspec.structs.replace(
        settings.paper, feeds=(feed,), group=f"paper-{feed}", instance=f"paper-{feed}", warm_s=2, started=True,
        commit_ms=20,
    )  # fmt: skip
    return msgspec.structs.replace(settings, paper=paper)


class Progress:
    """How many market records the broker has worked on, in all partitions."""

    def __init__(self, settings: Settings, log: PaperLog) -> None:
        self._reader = kafka.consumer(settings, settings.paper.group)
        self._places = [TopicPartition(log.topic, number) for number in range(log.partitions)]

    def now(self) -> int:
        """Sum of the group's committed offsets."""
        return sum(max(place.offset, 0) for place in committed(self._reader, self._places))

    def wait(self, wanted: int, has_failed: Callable[[], bool]) -> None:
        """Until it has worked on so many records. RuntimeError where it fails, or takes more than two minutes."""
        deadline = WALL.elapsed() + int(PATIENCE_S * NANOS)
        while (reached := self.now()) < wanted:
            if has_failed() or WALL.elapsed() > deadline:
                raise RuntimeError(f"the paper broker stands at {reached} of {wanted}")
            WALL.sleep(0.03)

    def close(self) -> None:
        """Give the reader back."""
        self._reader.close()


def run(settings: Settings, feed: str, kills: int, partitions: int = 4, seed: int = 1, command: str = "") -> Result:
    """Kill the broker so often, let it finish, and compare."""
    own, chance, began = of_feed(settings, feed), np.random.default_rng(seed), WALL.elapsed()
    log, done = PaperLog(own, feed, partitions, seed=seed), threading.Event()
    writing = threading.Thread(target=_write, args=(log, done))
    victim, progress = Victim(own), Progress(own, log)
    victim.start()
    writing.start()
    at_work = given = 0
    try:
        for number in range(kills):
            since = progress.now()
            if number % 4:
                # Three of four die at work, the others wherever they are: reading states, joining, replaying.
                progress.wait(since + 1, victim.has_failed)
                WALL.sleep(chance.exponential(1 / 3))
            else:
                WALL.sleep(chance.uniform(0.0, 2.0))
            at_work += progress.now() > since
            victim.end(signal.SIGKILL)
            if number % 10 in COMMANDS:
                tell(own, COMMANDS[number % 10], "", "fault run", "bench", wait_s=0.0)
                given += 1
            victim.start()
            print(f"\r{number + 1} kills, {log.sequence} frames a partition", end="", file=sys.stderr, flush=True)
        done.set()
        writing.join()
        progress.wait(sum(log.ends()), victim.has_failed)
    finally:
        done.set()
        writing.join()
        victim.end(signal.SIGTERM)
        progress.close()
        print(file=sys.stderr)
    seconds = (WALL.elapsed() - began) / NANOS
    return _judged(own, log, Result(
        command, at_work, kills - at_work, round(seconds, 1), partitions, log.sequence * partitions, given, 0, {}, 0, 0,
        0, False, False,
    ))  # fmt: skip


def _write(log: PaperLog, done: threading.Event) -> None:
    """The market and the engine, until told to stop."""
    while not done.wait(0.03):
        log.step()
    log.commit()


def _judged(settings: Settings, log: PaperLog, so_far: Result) -> Result:
    """The result with its comparison."""
    registry = Registry(settings)
    registry.refresh()
    kept = [each for each in replay.books(settings) if each.market[0] == log.topic]
    verdicts = [replay.verify(settings, registry, each) for each in kept]
    registry.close()
    reached = sorted(verdict.next_offset for verdict in verdicts) == sorted(log.ends())
    return msgspec.structs.replace(
        so_far,
        transactions=sum(len(each.told) for each in kept),
        records={topic: sum(verdict.records[topic] for verdict in verdicts) for topic in replay.WRITTEN},
        lost=sum(verdict.lost for verdict in verdicts),
        doubled=sum(verdict.doubled for verdict in verdicts),
        foreign=sum(verdict.foreign for verdict in verdicts),
        in_order=reached and all(verdict.in_order for verdict in verdicts),
        reconciled=reconciled(settings, log.topic),
    )


def reconciled(settings: Settings, topic: str) -> bool:
    """Whether each order's last revision has what its fills add up to, and each instrument's last account what all of
    its fills do: quantity, cash, fees and taxes, exactly, as decimal fractions.
    """
    fills = _of(settings, Fill, topic)
    newest: dict[str, Order] = {}
    for order in _of(settings, Order, topic):
        if order.id in newest and order.revision != newest[order.id].revision + 1:
            return False
        newest[order.id] = order
    by_order = dict.fromkeys(newest, Fraction(0))
    for fill in fills:
        if fill.order not in by_order:
            return False
        by_order[fill.order] += _exact(fill.qty)
    if any(by_order[order.id] != _exact(order.filled) for order in newest.values()):
        return False
    return all(
        _agrees(account, fills)
        for account in {each.instrument: each for each in _of(settings, Position, topic)}.values()
    )


def _agrees(account: Position, fills: list[Fill]) -> bool:
    """Whether an account is what the fills up to its second add up to."""
    mine = [each for each in fills if each.instrument == account.instrument and each.at <= account.ts]
    signed = [(1 if each.side == "buy" else -1, each) for each in mine]
    held = sum((sign * _exact(each.qty) for sign, each in signed), Fraction(0))
    paid = sum((sign * _exact(each.qty) * _exact(each.price) for sign, each in signed), Fraction(0))
    fees = sum((_exact(each.fee) for each in mine), Fraction(0))
    taxes = sum((_exact(each.tax) for each in mine), Fraction(0))
    wanted = (held, -paid - fees - taxes, fees, taxes)
    return wanted == tuple(_exact(each) for each in (account.position, account.cash, account.fees, account.taxes))


def _exact(value: float) -> Fraction:
    """The decimal number that was written."""
    return Fraction(repr(value))


def _of(settings: Settings, kind: type[M], topic: str) -> list[M]:
    """The messages of a kind that a market topic caused."""
    found = [messages.decode(kind, value) for _, value in replay.records(settings, kind.TOPIC)]
    return [each for each in found if each.cause is not None and each.cause.topic == topic]


def main() -> int:
    """Run it on a stack of its own; 1 where anything is lost, doubled or does not agree."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.paper_faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="(default: 200)")
    parser.add_argument("--seed", type=int, default=1, help="(default: 1)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the result there too")
    args = parser.parse_args()
    with engine_run.own_stack(Settings()) as settings:
        command = f"python -m benchmarks.paper_faults --kills {args.kills} --seed {args.seed}"
        result = run(settings, "faults", args.kills, seed=args.seed, command=command)
    told = msgspec.json.format(msgspec.json.encode({**msgspec.structs.asdict(result), "holds": result.holds}), indent=2)
    if args.out:
        args.out.write_bytes(told + b"\n")
    print(told.decode())
    return 0 if result.holds else 1


if __name__ == "__main__":
    raise SystemExit(main())
