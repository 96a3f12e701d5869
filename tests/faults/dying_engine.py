"""An engine process that ends as by `kill -9` at a named step of the protocol.

`python -m tests.faults.dying_engine STEP AFTER`, settings from the environment as for every command. On its last breath
it prints one JSON line: the offsets that are committed for certain, and those of the newest transaction.
"""

import os
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from confluent_kafka import Consumer, Message, Producer, TopicPartition

from streams.engine.process import Engine
from streams.engine.rebuilding import AssignedPartition
from streams.engine.snapshots import Pointer
from streams.members import Key
from tapewatch import logs
from tapewatch import settings as configuration
from tapewatch.runtime import transactions
from tests.faults.last_words import DIED, LastWords

STEPS = ("polled", "computed", "snapshot", "recovering", "written", "offsets", "deciding", "committed")
"""Where it can die: after the poll; after computing; with a whole snapshot at the broker, no output yet; in
mid-recovery; with all outputs at the broker; with the offsets in the transaction; while the broker decides; after the
commit, before the next poll.
"""


class DyingEngine(Engine):
    """An engine that dies at `step`, once `after` transactions are committed."""

    def __init__(self, settings: configuration.Settings, step: str, after: int) -> None:
        super().__init__(settings)
        self._step, self._after = step, after
        self._before: dict[str, int] = {}
        self._next: dict[str, int] = {}

    def at(self, step: str) -> None:
        """Die here, if this is where it is to die."""
        if step == self._step and self.totals.transactions >= self._after:
            words = LastWords(step, self._before, self._next)
            os.write(1, msgspec.json.encode(words) + b"\n")
            os._exit(DIED)

    def adds(self, offsets: list[TopicPartition]) -> None:
        """These offsets are committed next."""
        self._next = {f"{place.topic}/{place.partition}": place.offset for place in offsets}
        self.at("written")

    def decides(self) -> None:
        """The broker is asked to commit."""
        self.at("offsets")
        if self._step == "deciding" and self.totals.transactions >= self._after:
            threading.Timer(0.002, self.at, ["deciding"]).start()

    def has_committed(self) -> None:
        """The broker has."""
        self._before = {**self._before, **self._next}
        self.at("committed")

    def _feed(self, batch: Iterable[Message]) -> dict[Key, AssignedPartition]:
        self.at("polled")
        touched = super()._feed(batch)
        self.at("computed")
        return touched

    def _write_snapshot(self, held: AssignedPartition) -> Pointer:
        written = super()._write_snapshot(held)
        self.at("snapshot")
        return written

    def _recover(self, consumer: Consumer) -> None:
        rebuild = next(iter(self._rebuilding.under_way.values()))
        rebuild.advance(0.01)
        if rebuild.target:
            self.at("recovering")
        super()._recover(consumer)


class DyingProducer:
    """The producer that `transactions.commit` ends a transaction with; its engine may die around each of the acts."""

    def __init__(self, engine: DyingEngine, producer: Producer) -> None:
        self._engine, self._producer = engine, producer

    def send_offsets_to_transaction(self, offsets: list[TopicPartition], *more: Any) -> None:
        self._producer.flush(10)
        self._engine.adds(offsets)
        self._producer.send_offsets_to_transaction(offsets, *more)

    def commit_transaction(self, *more: Any) -> None:
        self._engine.decides()
        self._producer.commit_transaction(*more)
        self._engine.has_committed()


def main(words: list[str]) -> int:
    """Run until the step comes."""
    settings = configuration.load()
    logs.configure(settings.log)
    engine = DyingEngine(settings, words[0], int(words[1]))
    # The one function that the engine hands to its committing thread.
    commit: Callable[..., Any] = transactions.commit
    transactions.commit = lambda producer, *told: commit(DyingProducer(engine, producer), *told)
    engine.run(threading.Event())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
