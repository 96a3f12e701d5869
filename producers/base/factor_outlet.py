"""Where the factors of a source that pulls go: into Kafka together with how far it is, or onto the screen."""

import json
import sys
from collections.abc import Sequence
from typing import Protocol, TextIO

import msgspec

from producers.base.collector import Collector
from producers.base.state import Ledger, Transaction, refused_letter
from tapewatch.clock import WALL, Clock
from tapewatch.contract import topics
from tapewatch.contract.messages import Factor
from tapewatch.settings import Settings


class FactorOutlet(Protocol):
    """Takes factors, and the position that goes with them."""

    def position(self) -> bytes | None:
        """How far the source is: JSON of its own, None at the very first start."""
        ...

    def write(self, factors: Sequence[Factor], position: bytes) -> None:
        """Store factors and position together."""
        ...

    def refuse(self, collector: Collector) -> None:
        """Keep what gave no factor."""
        ...

    def close(self) -> None:
        """Give back what was opened."""
        ...


class KafkaFactorOutlet:
    """Topic `factors`, with the position in the same transaction. source : its name, also the position's key"""

    def __init__(self, settings: Settings, source: str, clock: Clock = WALL) -> None:
        self._source = source
        self._ledger = Ledger(settings, source, clock=clock)

    def position(self) -> bytes | None:
        """The committed one."""
        return self._ledger.position()

    def write(self, factors: Sequence[Factor], position: bytes) -> None:
        """One transaction; a position that stands already is not written again."""
        if self._ledger.position() == position:
            return

        def work(transaction: Transaction) -> None:
            for factor in factors:
                transaction.message(factor, f"{factor.instrument} {factor.series}".encode())
            transaction.position(position)

        self._ledger.write(work)

    def refuse(self, collector: Collector) -> None:
        """To the dead letters of `factors`."""
        refused = collector.take_refused()
        if refused:
            self._ledger.position()
            with self._ledger.transaction() as transaction:
                for each in refused:
                    transaction.refuse(refused_letter(topics.FACTORS, self._source, each))

    def close(self) -> None:
        """Give the clients back."""
        self._ledger.close()


class ScreenFactorOutlet:
    """Prints factors as JSON lines instead of storing them; also keeps them, for tests."""

    def __init__(self, out: TextIO | None = None, position: bytes | None = None) -> None:
        self.factors: list[Factor] = []
        self._out, self._position = out, position

    def position(self) -> bytes | None:
        """Of this run."""
        return self._position

    def write(self, factors: Sequence[Factor], position: bytes) -> None:
        """Print them."""
        self._position = position
        if self._out is None:
            self.factors += factors
            return
        for factor in factors:
            print(json.dumps(msgspec.to_builtins(factor), ensure_ascii=False), file=self._out)

    def refuse(self, collector: Collector) -> None:
        """Print why."""
        for each in collector.take_refused():
            print(f"refused: {each.reason} ({each.where}): {each.raw[:200]!r}", file=sys.stderr)

    def close(self) -> None:
        """Nothing to give back."""
