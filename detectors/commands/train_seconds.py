"""`tapewatch train ddqn --market`: the part of the command that learns second by second, walking forward."""

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from detectors.commands import daily_files, second_files
from detectors.ddqn import self_play, virtual, virtual_training
from detectors.ddqn.environment import F4
from detectors.ddqn.lanes import ACTIONS
from detectors.ddqn.model import Card, Policy
from detectors.ddqn.played import policy_player
from detectors.ddqn.seconds import Seconds, joined
from tapewatch.errors import TapewatchError

if TYPE_CHECKING:
    from detectors.ddqn.learner import DoubleDQN

_LIMITS = (
    "Learnt from the older part of these seconds and measured on the newer one, a unit at a time at the touch, with "
    "the cost of each row: figures of a few sessions."
)


class TrainingSetup(NamedTuple):
    """What is learnt from, and what is kept for the figures. scaling : of the older part alone"""

    learner: "DoubleDQN"
    newer: Seconds
    scaling: tuple[F4, F4]


def configure(parser: Any) -> None:
    """Add the arguments of seconds."""
    parser.add_argument(
        "--held-out", type=float, default=0.3, metavar="SHARE", help="newest share of each session (default: 0.3)"
    )
    parser.add_argument(
        "--embargo",
        type=int,
        default=900,
        metavar="SECONDS",
        help="left out before it (default: 900, the longest window)",
    )


def prepared(args: argparse.Namespace) -> TrainingSetup:
    """A learner of the older seconds, new or one that goes on."""
    from detectors.ddqn.learner import DoubleDQN

    try:
        seconds = joined([second_files.read(path).chosen(virtual_training.FEATURES) for path in args.market])
        older, newer = seconds.split(args.held_out, args.embargo)
        champion, chosen, behaviour = champion_of(args), virtual_training.chosen(), None
        scaling = older.scaling()
        if champion:
            # The champion acts on the states that the challenger learns from: both see features on its scale.
            scaling = champion.arrays["center"], champion.arrays["scale"]
            chosen, behaviour = self_play.challenging(chosen), policy_player(champion)
        market = virtual_training.market(older, scaling)
        if args.resume:
            return TrainingSetup(
                DoubleDQN.resume(args.resume.read_bytes(), market, args.device, behaviour), newer, scaling
            )
        recipe = replace(chosen, seed=args.seed, steps=args.steps or chosen.steps)
        return TrainingSetup(DoubleDQN(recipe, market, args.device, behaviour), newer, scaling)
    except KeyError as error:
        raise TapewatchError(f"features are missing: {error}", "Write the seconds with all features.") from error
    except (OSError, ValueError) as error:
        raise TapewatchError(
            f"cannot train: {error}", "Give sessions that are longer than the embargo, or a shorter --embargo."
        ) from error


def champion_of(args: argparse.Namespace) -> Policy | None:
    """The policy of --champion, of the same environment; None without one."""
    inputs = (*virtual_training.FEATURES, *virtual.PRIVATE)
    return self_play.named(args.champion, virtual.ENVIRONMENT, inputs, ACTIONS) if args.champion else None


def policy_of(given: TrainingSetup, args: argparse.Namespace) -> Policy:
    """The learnt policy, with its figures on the newer seconds."""
    card = Card(
        data=", ".join(path.name for path in args.market),
        data_hash=daily_files.hashed(args.market)[:16],
        command=(
            f"tapewatch train ddqn --market {' '.join(path.name for path in args.market)} --held-out {args.held_out:g} "
            f"--embargo {args.embargo} --steps {given.learner.recipe.steps} --seed {given.learner.recipe.seed}"
            + (f" --champion {args.champion.name}" if args.champion else "")
        ),
        limits=_LIMITS,
        recipe={"champion": champion.hash} if (champion := champion_of(args)) else {},
    )
    policy = virtual_training.policy_of(given.learner, given.newer.names, given.scaling, card)
    figures = {"held out": virtual_training.judged([given.newer], policy)}
    full = msgspec.structs.replace(policy.card, metrics=virtual_training.metrics(figures))
    return Policy(msgspec.structs.replace(policy.described, card=full), policy.arrays)
