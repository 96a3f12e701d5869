"""`tapewatch train ddqn`: learn a policy from daily bars or from seconds, and put it into the registry."""

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from detectors.commands import daily_files, train_seconds
from detectors.ddqn import daily_training, model, self_play
from detectors.ddqn.daily_market import ACTIONS, INPUTS, Bars
from detectors.ddqn.model import Card, Policy
from detectors.ddqn.played import policy_player
from detectors.model_file import kept
from detectors.pytorch import require_torch
from tapewatch.errors import TapewatchError
from tapewatch.settings import Settings

if TYPE_CHECKING:
    from detectors.ddqn.learner import DoubleDQN, Progress

MODEL = "ddqn"
_LIMITS = (
    "Daily bars, long or short with everything, a decision a day. It is judged by `tapewatch evaluate ddqn`, where it "
    "has not been better than holding; nothing in the engine acts on it."
)


def configure(kinds: Any) -> None:
    """Add the policy to the choices of `tapewatch train`. kinds : what argparse's add_subparsers gave."""
    parser = kinds.add_parser(MODEL, help="a Double DQN on daily bars or seconds (needs the extra `train`)")
    parser.epilog = "example: tapewatch train ddqn --daily AAPL.csv MSFT.csv --before 2018-01-01 --curve curve.csv"
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--daily", nargs="+", type=Path, metavar="FILE", help="Timestamp,Open,High,Low,Close,Volume: long or short"
    )
    source.add_argument(
        "--market", nargs="+", type=Path, metavar="FILE", help="closed seconds, Parquet: as the engine decides"
    )
    train_seconds.configure(parser)
    parser.add_argument("--before", metavar="DAY", help="learn only from rows before this day, YYYY-MM-DD")
    parser.add_argument("--steps", type=int, help="decisions to learn from (default: the chosen recipe's)")
    parser.add_argument("--seed", type=int, default=1, help="of everything drawn (default: 1)")
    parser.add_argument(
        "--champion", type=Path, metavar="FILE", help="policy that acts while this one learns from it (self-play)"
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), help="default: a GPU where there is one")
    parser.add_argument("--curve", type=Path, metavar="FILE", help="learning curve as CSV, growing while it learns")
    parser.add_argument("--checkpoint", type=Path, metavar="FILE", help="keep all of learning here, every tenth of it")
    parser.add_argument("--resume", type=Path, metavar="FILE", help="go on from a checkpoint, with its recipe and seed")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the policy here too")
    parser.add_argument("--json", action="store_true", help="print a summary as one JSON document")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Learn, save and describe a policy."""
    require_torch()
    if args.market:
        given = train_seconds.prepared(args)
        _learn(given.learner, args)
        return _keep(train_seconds.policy_of(given, args), given.learner, args, settings)
    bars = _bars(args)
    learner = _learner(args, bars)
    _learn(learner, args)
    card = Card(
        data=", ".join(path.name for path in args.daily),
        data_hash=daily_files.hashed(args.daily)[:16],
        command=_command(args, learner),
        limits=_LIMITS,
        recipe={"champion": _champion(args.champion).hash} if args.champion else {},
    )
    return _keep(daily_training.policy_of(learner, card), learner, args, settings)


def _keep(policy: Policy, learner: "DoubleDQN", args: argparse.Namespace, settings: Settings) -> int:
    """Put the policy into the registry and describe it."""
    saved = kept(settings.data_path / "models", policy)
    if args.out:
        args.out.write_bytes(policy.encoded())
    _describe(policy, learner, saved, args.json)
    return 0


def _bars(args: argparse.Namespace) -> dict[str, Bars]:
    try:
        bars = {path.name: daily_files.read_bars(path) for path in args.daily}
        return {name: one.before(args.before) if args.before else one for name, one in bars.items()}
    except ValueError as error:
        raise TapewatchError(f"--before: {error}", "Give a day as YYYY-MM-DD.") from error


def _learner(args: argparse.Namespace, bars: dict[str, Bars]) -> "DoubleDQN":
    """A new learner, or one that goes on."""
    from detectors.ddqn.learner import DoubleDQN

    try:
        market = daily_training.market(bars)
        chosen, behaviour = daily_training.chosen(), None
        if args.champion:
            chosen, behaviour = self_play.challenging(chosen), policy_player(_champion(args.champion))
        if args.resume:
            return DoubleDQN.resume(args.resume.read_bytes(), market, args.device, behaviour)
        recipe = replace(chosen, seed=args.seed, steps=args.steps or chosen.steps)
        return DoubleDQN(recipe, market, args.device, behaviour)
    except (OSError, ValueError) as error:
        raise TapewatchError(
            f"cannot train: {error}", "Give more than a year of daily bars of one instrument."
        ) from error


def _champion(path: Path) -> Policy:
    return self_play.named(path, daily_training.ENVIRONMENT, INPUTS, ACTIONS)


def _learn(learner: "DoubleDQN", args: argparse.Namespace) -> None:
    """All steps, with progress, a curve and checkpoints where they are asked for."""
    from detectors.ddqn.learner import Curve

    total = learner.recipe.steps
    curve: Callable[[Progress], None] | None = Curve(args.curve) if args.curve else None

    def report(point: "Progress") -> None:
        print(f"{point.steps:,} of {total:,} decisions, loss {point.loss:.4f}", file=sys.stderr, flush=True)
        if curve is not None:
            curve(point)

    part = max(total // 10, 1)
    while learner.steps < total:
        learner.learn(until=learner.steps + part, report=report, each=part)
        if args.checkpoint:
            args.checkpoint.write_bytes(learner.checkpoint())


def _command(args: argparse.Namespace, learner: "DoubleDQN") -> str:
    names = " ".join(path.name for path in args.daily)
    before = f" --before {args.before}" if args.before else ""
    champion = f" --champion {args.champion.name}" if args.champion else ""
    recipe = learner.recipe
    return f"tapewatch train ddqn --daily {names}{before}{champion} --steps {recipe.steps} --seed {recipe.seed}"


def _describe(policy: Policy, learner: "DoubleDQN", saved: Path, as_json: bool) -> None:
    if as_json:
        found = model.summary(policy) | {"saved": str(saved), "seed": learner.recipe.seed, "updates": learner.updates}
        print(msgspec.json.encode(found).decode())
    else:
        champion = policy.card.recipe.get("champion", "hold")
        print(model.markdown(policy) + f"\npolicy {policy.hash} in {saved}")
        print(f"next: tapewatch evaluate promotion --champion {champion} --challenger {policy.hash} ...")
