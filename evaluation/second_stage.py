"""Where the engine's policies are let loose: closed seconds of a market, with the virtual position the engine keeps."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.commands import daily_files, second_files
from detectors.ddqn import virtual, virtual_training
from detectors.ddqn.model import Policy
from detectors.ddqn.played import holder, play
from detectors.ddqn.promotion import Curve
from detectors.ddqn.seconds import Seconds, joined
from detectors.ddqn.virtual_training import JUDGE, Decides, VirtualMarket, decides
from evaluation.strategies import InstrumentResult, Line, Measure
from tapewatch.errors import TapewatchError

F8 = npt.NDArray[np.float64]

_RULES: Mapping[str, Decides] = {
    "buy_and_hold": virtual_training.RULES["hold"],
    # Nobody sells what he does not hold here.
    "sell_and_hold": holder,
    "trend_following": virtual_training.RULES["momentum"],
    "mean_reversion": virtual_training.RULES["mean_reversion"],
}


@dataclass(frozen=True)
class SecondsStage:
    """Closed seconds, each session from its first to its last. Without a policy nothing is done.

    files : what they were made of; make : makes them
    """

    files: Sequence[Path]
    make: Callable[[], Seconds]
    environment = virtual.ENVIRONMENT
    unit, slots = "seconds", 60
    measure = Measure(60, 10, 24 * 60, "a day of minutes")

    @cached_property
    def seconds(self) -> Seconds:
        """All of them, with every feature they have."""
        return self.make()

    def curves(self, policy: Policy | None) -> list[Curve]:
        """Equity at every second, as shares of a unit's value; times in seconds since 1970."""
        lines = self._lines(policy, decides(policy) if policy else holder)
        return [
            Curve(self.seconds.second[first + 1 : last + 1], np.diff(line.equity))
            for line, first, last in zip(lines, self.seconds.first, self.seconds.last, strict=True)
        ]

    def tested(self, policies: Sequence[Policy]) -> list[InstrumentResult]:
        """Every policy and rule on every session."""
        own = [self._lines(policy, decides(policy)) for policy in policies]
        rules = {name: self._lines(policies[0], decide) for name, decide in _RULES.items()}
        found = []
        for number, name in enumerate(self.seconds.instruments):
            rows = slice(self.seconds.first[number], self.seconds.last[number] + 1)
            ts = self.seconds.second[rows].astype("datetime64[s]")
            price = self.seconds.quotes[rows, 2:].mean(axis=1)
            each = {rule: lines[number] for rule, lines in rules.items()}
            found.append(InstrumentResult(name, ts, price, [lines[number] for lines in own], each))
        return found

    def _lines(self, policy: Policy | None, decide: Decides) -> list[Line]:
        """What a player does in every session. policy : whose features are shown, and how they are scaled"""
        names = policy.described.inputs[: -len(virtual.PRIVATE)] if policy else self.seconds.names[:1]
        try:
            seconds = self.seconds.chosen(names)
        except KeyError as error:
            raise TapewatchError(f"the seconds have no feature {error}", "docs/features.md names them.") from error
        scaling = (policy.arrays["center"], policy.arrays["scale"]) if policy else seconds.scaling()
        market = VirtualMarket(seconds, *scaling, len(seconds.first), JUDGE)
        held: list[F8] = []
        played = play(market, decide, watch=lambda going: held.append(market.positions[:, virtual.POSITION] * going))
        positions = np.stack(held, axis=1)
        found = []
        for number, steps in enumerate(played.steps.tolist()):
            gains = played.rewards[number, :steps] * virtual.REWARD_UNIT
            position = np.concatenate([[0.0], positions[number, :steps]])
            change = np.abs(np.diff(position))
            equity = 1.0 + np.concatenate([[0.0], np.cumsum(gains)])
            found.append(Line(equity, position, float(change.sum()), int(np.count_nonzero(change))))
        return found

    def told(self) -> dict[str, Any]:
        """Names and the files' hash."""
        return {"instruments": list(self.seconds.instruments), "sha256": daily_files.hashed(self.files)}

    def slot(self, count: int) -> int:
        """Seconds."""
        return count


def of_files(paths: Sequence[Path]) -> SecondsStage:
    """Seconds that were written as Parquet."""
    return SecondsStage(paths, lambda: joined([second_files.read(path) for path in paths]))
