"""Where policies are let loose side by side: daily bars, a stored market's book, or its closed seconds."""

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from detectors import registry
from detectors.commands import daily_files
from detectors.commands.daily_files import Instrument
from detectors.ddqn import daily_account, daily_training, virtual
from detectors.ddqn.daily_account import CAPITAL, FIRST, LONG
from detectors.ddqn.model import DETECTOR, Policy
from detectors.ddqn.played import SessionResult, policy_player, run_sessions
from detectors.ddqn.promotion import NOBODY, Curve
from detectors.ddqn.sessions import Session
from detectors.ddqn.trading import ENVIRONMENT, Rules, inputs_for, seen_by
from evaluation import second_stage
from evaluation.ddqn import trade
from evaluation.ddqn_figures import BLOCK
from evaluation.scenario_market import FILES, MarketRun, read_market, run_market
from evaluation.second_stage import SecondsStage
from evaluation.sessions import sessions_with
from evaluation.strategies import InstrumentResult, Measure, of_days, of_seconds
from evaluation.virtual_seconds import seconds_of
from streams.commands.models import model_file
from streams.engine.models import ModelStore
from tapewatch.clock import NANOS
from tapewatch.contract.instruments import Instrument as Reference
from tapewatch.contract.rows import Chunk, Rows
from tapewatch.errors import TapewatchError
from tapewatch.settings import Settings

_UNIT_VALUE = 10_000.0


class Stage(Protocol):
    """Something to play on.

    environment : of the policies that can; slots : length of a pair by default, in `unit`; measure : of back-tests
    """

    environment: str
    unit: str
    slots: int
    measure: Measure

    def curves(self, policy: Policy | None) -> list[Curve]:
        """What a policy earns, one an instrument; without one, what is done where no policy is in force."""
        ...

    def tested(self, policies: Sequence[Policy]) -> list[InstrumentResult]:
        """Every policy and rule on every instrument."""
        ...

    def told(self) -> dict[str, Any]:
        """What is played on: names and sha256."""
        ...

    def slot(self, count: int) -> int:
        """So many units as a difference of the curves' times."""
        ...


@dataclass(frozen=True)
class DailyStage:
    """Daily bars: rows from `begins` on are played, those before are history. Without a policy, one buys and holds."""

    instruments: Sequence[Instrument]
    sha256: str
    environment = daily_training.ENVIRONMENT
    unit, slots = "days", 7
    measure = Measure(1, BLOCK, daily_account.YEAR, "a year of days")

    def curves(self, policy: Policy | None) -> list[Curve]:
        """Money at every close from the first trade on, times in days since 1970."""
        return [self._curve(one, policy) for one in self.instruments]

    def tested(self, policies: Sequence[Policy]) -> list[InstrumentResult]:
        """By the protocol of `evaluate ddqn`."""
        return [of_days(trade(one, policies)) for one in self.instruments]

    def _curve(self, one: Instrument, policy: Policy | None) -> Curve:
        close = one.test.close
        actions = np.full(len(close), LONG) if policy is None else decided(one, policy)
        money = daily_account.account(close, actions).money
        days = one.test.dates.astype("datetime64[D]").astype(np.int64)
        return Curve(days[FIRST:], np.diff(money)[FIRST - 1 :] / CAPITAL)

    def told(self) -> dict[str, Any]:
        """Names, the first day that counts, and the files' hash."""
        names = [one.name for one in self.instruments]
        return {"instruments": names, "from": str(self.instruments[0].test.dates[FIRST]), "sha256": self.sha256}

    def slot(self, count: int) -> int:
        """Days."""
        return count


@dataclass(frozen=True)
class MarketStage:
    """A stored market, second by second, each instrument from its first warm second to its last. Without a policy
    nothing is done.
    """

    folder: Path
    unit_value: float
    environment = ENVIRONMENT
    unit, slots = "seconds", 60
    measure = SecondsStage.measure

    @cached_property
    def rows(self) -> list[Rows]:
        """The market's rows."""
        return read_market(self.folder)

    @cached_property
    def run(self) -> MarketRun:
        """What the engine says of it."""
        return run_market(self.rows)

    def sessions(self, policy: Policy | None) -> list[Session]:
        """As a policy sees them. TapewatchError where there is nothing to play on."""
        names = seen_by(policy.described.inputs)[0] if policy else ("ret_1s",)
        missing = [name for name in names if name not in self.run.features]
        if missing:
            raise TapewatchError(f"the engine has no feature {missing[0]!r}", "docs/features.md names them.")
        found = sessions_with(self.run.features, _SingleChunkSource(self.names, self.rows), self.unit_value, names)
        if not found:
            raise TapewatchError(f"{self.folder} has no instrument with quotes of two minutes", "Name a longer market.")
        return found

    def ran(self, policy: Policy | None) -> list[SessionResult]:
        """Every session played through."""
        sessions = self.sessions(policy)
        if policy is None:
            return run_sessions(sessions, Rules())
        names, window = seen_by(policy.described.inputs)
        if policy.described.inputs != inputs_for(names, window):
            raise TapewatchError(f"policy {policy.hash} sees what this build does not show", "Train it again.")
        return run_sessions(sessions, rules_of(policy), policy_player(policy))

    def tested(self, policies: Sequence[Policy]) -> list[InstrumentResult]:
        """Every policy and rule on every instrument."""
        return of_seconds(self.sessions(policies[0]), [self.ran(policy) for policy in policies])

    def curves(self, policy: Policy | None) -> list[Curve]:
        """Equity at every second."""
        return [ran.curve for ran in self.ran(policy)]

    @property
    def files(self) -> list[Path]:
        """Those that are there."""
        return [self.folder / name for name in FILES.values() if (self.folder / name).is_file()]

    @property
    def names(self) -> list[str]:
        """Of the instruments that have rows."""
        each = (np.unique(part.columns["instrument"]) for part in self.rows)
        texts = {str(part.instruments[code]) for part, codes in zip(self.rows, each, strict=True) for code in codes}
        return sorted(texts)

    def told(self) -> dict[str, Any]:
        """Names and the files' hash."""
        return {"instruments": self.names, "sha256": daily_files.hashed(self.files)}

    def slot(self, count: int) -> int:
        """Seconds as nanoseconds."""
        return count * NANOS


@dataclass(frozen=True)
class _SingleChunkSource:
    """Rows as a source of one chunk."""

    names: Sequence[str]
    rows: list[Rows]
    fingerprint = ""

    @property
    def instruments(self) -> Sequence[Reference]:
        return [Reference(id=name) for name in self.names]

    def chunks(self) -> Iterator[Chunk]:
        yield Chunk(int(max(part.ts_recv[-1] for part in self.rows)) + 1, self.rows)


def rules_of(policy: Policy) -> Rules:
    """The rules that a policy was trained under, as its card tells them; the usual ones where it tells none."""
    _, window = seen_by(policy.described.inputs)
    told = {name: value for name, value in policy.card.recipe.items() if name in Rules.__dataclass_fields__}
    return Rules(**(told | {"window": window}))


def decided(one: Instrument, policy: Policy) -> Any:
    """Actions of a daily policy on the rows that count, int64[rows]; its features look back into the history."""
    return daily_training.decide(policy, one.whole, one.begins + FIRST)[one.begins :]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add what is played on."""
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument(
        "--daily", nargs="+", type=Path, metavar="FILE|DIR", help="files of daily bars, or a folder of `evaluate ddqn`"
    )
    where.add_argument(
        "--market", type=Path, metavar="DIR|FILE",
        help="a folder with quotes.parquet, trades.parquet, ..., or a file of closed seconds",
    )  # fmt: skip
    parser.add_argument("--from", dest="from_day", metavar="DAY", help="first day that counts, with --daily FILE")
    parser.add_argument(
        "--unit-value", type=float, default=_UNIT_VALUE, metavar="X",
        help=f"what a decision trades, in the instrument's currency, with --market (default: {_UNIT_VALUE:,.0f})",
    )  # fmt: skip


def daily_stage(args: argparse.Namespace) -> DailyStage:
    """The instruments of a folder, or of single files split at --from."""
    paths: list[Path] = args.daily
    if len(paths) == 1 and paths[0].is_dir():
        found = daily_files.read_folder(paths[0])
        return DailyStage(found, daily_files.digest(paths[0], found))
    if not args.from_day:
        raise TapewatchError("--from is missing", "Name the first day that counts: one no policy has learnt from.")
    return DailyStage([split_at(path, args.from_day) for path in paths], daily_files.hashed(paths))


def split_at(path: Path, day: str) -> Instrument:
    """One file's bars, those before the day as history; TapewatchError where either side has too few."""
    bars = daily_files.read_bars(path)
    try:
        begins = len(bars.before(day))
    except ValueError as error:
        raise TapewatchError(f"--from: {error}", "Give a day as YYYY-MM-DD.") from error
    if begins <= FIRST or len(bars) - begins <= FIRST + 1:
        raise TapewatchError(
            f"{path} has {begins} rows before {day} and {len(bars) - begins} from then on",
            f"More than {FIRST + 1} are needed on both sides.",
        )
    return Instrument(path.stem, bars[:begins], bars[begins:], bars, begins)


def policy_of(wanted: str, settings: Settings) -> Policy | None:
    """A policy by file, hash or name; None for `hold`."""
    if wanted == NOBODY:
        return None
    try:
        known = registry.read(model_file(wanted, settings, ModelStore()))
    except ValueError as error:
        raise TapewatchError(f"{wanted} is no model: {error}", "See `tapewatch models list`.") from error
    if known.detector != DETECTOR:
        raise TapewatchError(f"{wanted} is a model of {known.detector}, not a policy", "See `tapewatch train ddqn`.")
    policy: Policy = known.model
    return policy


def stage_of(args: argparse.Namespace, policies: Iterable[Policy | None]) -> Stage:
    """What was asked for, as these policies see it; TapewatchError where one of them cannot play there."""
    stages: dict[str, Callable[[argparse.Namespace], Stage]] = (
        {daily_training.ENVIRONMENT: daily_stage}
        if args.daily
        else {ENVIRONMENT: _market_stage, virtual.ENVIRONMENT: lambda given: seconds_stage(given.market)}
    )
    wanted = {policy.described.environment for policy in policies if policy}
    if len(wanted) != 1 or not wanted <= set(stages):
        names = " and ".join(repr(name) for name in sorted(wanted))
        raise TapewatchError(
            f"the policies are for {names}, this is for {' or '.join(repr(name) for name in stages)}",
            "Daily policies take --daily, the others --market, and all have to be of one kind.",
        )
    return stages[wanted.pop()](args)


def _market_stage(args: argparse.Namespace) -> Stage:
    if not args.market.is_dir():
        raise TapewatchError(f"{args.market} is no folder", "This policy needs " + ", ".join(sorted(FILES.values())))
    return MarketStage(args.market, args.unit_value)


def seconds_stage(market: Path) -> SecondsStage:
    """Closed seconds of a file of them, or of a stored market as the engine closes them."""
    if market.is_file():
        return second_stage.of_files([market])
    stored = MarketStage(market, _UNIT_VALUE)
    return SecondsStage(stored.files, lambda: seconds_of(_SingleChunkSource(stored.names, stored.rows)))
