"""Makes the shipped policy and its card: the same command on one machine and build of torch gives the same hash.

It learns on synthetic markets in which everything is injected more often than usual, manipulations and look-alikes
alike; how reluctantly it buys is chosen on another seed, and it is judged on seeds that it never saw: markets of the
same kind, and usual ones, where it should hold.
"""

import argparse
import hashlib
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.policy_seconds import config_of, synthetic
from benchmarks.training_data import START_NS
from detectors.ddqn.model import DETECTOR, Card, Policy, markdown
from detectors.ddqn.seconds import Seconds, joined
from detectors.ddqn.virtual_training import FEATURES, chosen, judged, mean_gain, metrics, reserved, train
from detectors.pytorch import require_torch
from producers.synthetic import SyntheticMarket

COMMAND = "python -m benchmarks.ship_policy"
ROOT = Path(__file__).resolve().parent.parent
SHIPPED = ROOT / "detectors/ddqn/shipped/ddqn.safetensors"
CARD = ROOT / "docs/cards/ddqn.md"
FIGURES = ROOT / "docs/results/ddqn-policy.json"

INSTRUMENTS, SECONDS, EVENTFUL = 15, 1200, 40.0
FIT, CHOOSE, HELD_OUT = (8801, 8802, 8803), (8811,), (8821, 8822, 8823, 8824, 8825)
"""Seeds of markets."""
RESERVES = (0.0, 1.0, 2.0, 4.0, 8.0)
"""Lowered values of buying that are tried (detectors.ddqn.virtual_training.reserved)."""
_LIMITS = (
    "Learnt on the synthetic market alone, at a cost of 0.1 % a side: gains on a simulation say nothing of gains on a "
    "real market. Its fills assume that a unit is always there at the touch. A venue that costs more or less is "
    "nothing it knows of."
)


def data_hash() -> str:
    """Names the markets it learns from."""
    digest = hashlib.sha256()
    for seed in FIT:
        digest.update(SyntheticMarket(config_of(INSTRUMENTS, SECONDS, EVENTFUL), seed, START_NS).fingerprint.encode())
    return digest.hexdigest()[:16]


def markets(folder: Path, seeds: tuple[int, ...], eventful: float) -> list[Seconds]:
    """Seconds of the markets, with the features that the policy sees."""
    config = config_of(INSTRUMENTS, SECONDS, eventful)
    return [synthetic(config, seed, folder).chosen(FEATURES) for seed in seeds]


def with_reserve(policy: Policy, folder: Path) -> Policy:
    """The policy with the reserve that gains most on markets of their own: usual ones, and a share of eventful ones by
    which what is injected weighs as often as it usually happens.
    """
    usual, eventful = (joined(markets(folder, CHOOSE, often)) for often in (1.0, EVENTFUL))
    found = {}
    for reserve in RESERVES:
        tried = reserved(policy, reserve)
        gains = mean_gain(usual, tried), mean_gain(eventful, tried)
        found[reserve] = gains[0] + gains[1] / EVENTFUL
        print(f"reserve {reserve:g}: {gains[0]:+.2f} bp, eventful {gains[1]:+.2f} bp", file=sys.stderr, flush=True)
    return reserved(policy, max(found, key=found.__getitem__))


def make(folder: Path, seed: int) -> tuple[Policy, dict[str, Any]]:
    """Train and measure: the policy and its figures."""
    card = Card(
        data=(
            f"{len(FIT)} synthetic markets of {INSTRUMENTS} instruments and {SECONDS // 60} minutes with everything "
            f"injected {EVENTFUL:g} times as often as usual; judged on {len(HELD_OUT)} others of that kind (eventful) "
            f"and {len(HELD_OUT)} usual ones, a session an instrument"
        ),
        data_hash=data_hash(),
        command=COMMAND,
        limits=_LIMITS,
    )
    trained = train(
        joined(markets(folder, FIT, EVENTFUL)),
        replace(chosen(), seed=seed),
        card,
        lambda point: print(
            f"{point.steps:,} decisions, return {point.episode_return:.2f}", file=sys.stderr, flush=True
        ),
    )
    learnt = with_reserve(trained, folder)
    figures = {
        "eventful": judged(markets(folder, HELD_OUT, EVENTFUL), learnt),
        "usual": judged(markets(folder, HELD_OUT, 1.0), learnt),
    }
    full = msgspec.structs.replace(learnt.card, metrics=metrics(figures))
    policy = Policy(msgspec.structs.replace(learnt.described, card=full), learnt.arrays)
    return policy, {"benchmark": "shipped policy", "command": COMMAND, "policy": policy.hash, "markets": figures}


def main() -> int:
    """Write the shipped policy, its card and its figures."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.add_argument(
        "--cache", type=Path, default=Path(".tapewatch/training"), help="folder that keeps the markets' seconds"
    )
    parser.add_argument("--seed", type=int, default=1, help="of learning (default: 1)")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit with 1 where the hash differs from the shipped one"
    )
    parser.epilog = f"example: {COMMAND}"
    args = parser.parse_args()
    require_torch()
    policy, figures = make(args.cache, args.seed)
    same = SHIPPED.is_file() and SHIPPED.read_bytes() == policy.encoded()
    if not args.check:
        SHIPPED.parent.mkdir(parents=True, exist_ok=True)
        SHIPPED.write_bytes(policy.encoded())
        CARD.write_text(markdown(policy))
        FIGURES.write_bytes(msgspec.json.format(msgspec.json.encode(figures), indent=2) + b"\n")
    print(f"{DETECTOR} {policy.hash}", file=sys.stderr)
    return 0 if same or not args.check else 1


if __name__ == "__main__":
    sys.exit(main())
