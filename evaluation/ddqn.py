"""`tapewatch evaluate ddqn`: a daily long-or-short policy by the protocol of the Trading Deep Q-Network.

A policy learns from the first files of all instruments together, of which only rows before 2018 count; then it acts
once on 2018 and 2019, beside four strategies that anyone can follow.
"""

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from functools import partial
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from detectors.commands.daily_files import Instrument, digest, read_folder
from detectors.ddqn import daily_account, daily_training
from detectors.ddqn.daily_account import CAPITAL, COST, FIRST, LONG, SHORT
from detectors.ddqn.model import Policy, decode
from detectors.pytorch import require_torch
from evaluation.ddqn_figures import BLOCK, intervals, shuffled_skill
from evaluation.strategies import POLICY, RULES, EvaluatedInstrument
from tapewatch.clock import NANOS, WALL
from tapewatch.errors import TapewatchError
from tapewatch.settings import Settings

I8 = npt.NDArray[np.int64]

BENCHMARK = RULES[0]
PUBLISHED = {"buy_and_hold, 30 instruments": 0.369, "TDQN, 30 instruments": 0.404}
_SHUFFLES = 20


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the folder, and how often to learn."""
    parser.epilog = "example: tapewatch evaluate ddqn --daily DIR --seeds 5 --json --report report/"
    parser.add_argument(
        "--daily", type=Path, required=True, metavar="DIR", help="X_2012-1-1_2018-1-1.csv and X_2018-1-1_2020-1-1.csv"
    )
    parser.add_argument("--instrument", action="append", metavar="X", help="only this one (may be repeated)")
    parser.add_argument("--seeds", type=int, default=5, help="policies learnt, seeds 1..N (default: 5)")
    parser.add_argument("--seed", type=int, default=1, help="of the bootstrap and the shuffles (default: 1)")
    parser.add_argument("--workers", type=int, default=2, help="processes that learn at a time (default: 2)")
    parser.add_argument("--steps", type=int, help="decisions to learn from (default: the chosen recipe's)")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Learn, act once, and print the figures."""
    if args.seeds < 1 or args.workers < 1:
        raise TapewatchError("--seeds and --workers must be at least 1", "See `tapewatch evaluate ddqn --help`.")
    require_torch()
    folder = read_folder(args.daily)
    instruments = [one for one in folder if not args.instrument or one.name in args.instrument]
    if not instruments:
        raise TapewatchError(f"{args.daily} has none of {', '.join(args.instrument)}", "Name one as its files do.")
    started = WALL.elapsed()
    recipe = daily_training.chosen()
    recipe = recipe if args.steps is None else replace(recipe, steps=args.steps)
    policies = learn(folder, recipe, args.seeds, args.workers)
    traded = [trade(one, policies) for one in instruments]
    document = {
        "evaluate": "ddqn",
        "data": {"learnt_from": [one.name for one in folder], "sha256": digest(args.daily, folder)},
        "protocol": {"capital": CAPITAL, "cost": COST, "rows_before_first_trade": FIRST, "block_days": BLOCK},
        **figures(traded, args.seed),
        "shuffled_future": shuffled_skill(instruments, policies, _SHUFFLES, args.seed),
        "published": PUBLISHED,
        "recipe": asdict(recipe),
        "models": [policy.hash for policy in policies],
        "seeds": args.seeds,
        "seconds": (WALL.elapsed() - started) / NANOS,
        "versions": {name: version(name) for name in ("tapewatch", "torch", "numba", "numpy")},
    }
    encoded = msgspec.json.encode(document)
    if args.out:
        args.out.write_bytes(encoded + b"\n")
    if args.report:
        from evaluation.equity_page import write_report

        print(write_report(args.report, document, traded), file=sys.stderr)
    print(encoded.decode() if args.json else text(document))
    return 0


def learn(instruments: Sequence[Instrument], recipe: Any, seeds: int, workers: int) -> list[Policy]:
    """A policy for each of seeds 1..N, learnt in processes of their own; the same whatever their number."""
    bars = {one.name: one.training for one in instruments}
    task = partial(_learnt, bars, recipe)
    with ProcessPoolExecutor(min(workers, seeds), mp_context=get_context("spawn")) as pool:
        return [decode(data) for data in pool.map(task, range(1, seeds + 1))]


def _learnt(bars: dict[str, Any], recipe: Any, seed: int) -> bytes:
    """One policy as its file, told of on stderr while it learns. Runs in a worker."""
    require_torch()

    def say(point: Any) -> None:
        reward = f"return of an episode {point.episode_return:.2f}"
        print(f"seed {seed}: {point.steps:,} of {recipe.steps:,} decisions, {reward}", file=sys.stderr, flush=True)

    return daily_training.train(bars, replace(recipe, seed=seed), report=say).encoded()


def trade(one: Instrument, policies: Sequence[Policy]) -> EvaluatedInstrument:
    """All strategies on the instrument's second file; the policy's features look back into the first one."""
    close, history = one.test.close, one.training.close
    windows = {
        "trend_following": daily_account.fitted_averages(history, trend=True),
        "mean_reversion": daily_account.fitted_averages(history, trend=False),
    }
    wanted = {
        "buy_and_hold": np.full(len(close), LONG),
        "sell_and_hold": np.full(len(close), SHORT),
        "trend_following": daily_account.averages_rule(close, *windows["trend_following"], trend=True),
        "mean_reversion": daily_account.averages_rule(close, *windows["mean_reversion"], trend=False),
    }
    actions = [daily_training.decide(policy, one.whole, one.begins + FIRST)[one.begins :] for policy in policies]
    return EvaluatedInstrument(
        one,
        {name: daily_account.account(close, found) for name, found in wanted.items()},
        windows,
        [daily_account.account(close, found) for found in actions],
        actions,
        wanted,
    )


def figures(traded: Sequence[EvaluatedInstrument], seed: int) -> dict[str, Any]:
    """Sharpe ratios by instrument and their means, and the paired difference to buy-and-hold, with intervals."""
    days = min(len(one.instrument.test) for one in traded)
    returns = {POLICY: np.array([[own.returns[:days] for own in one.policy] for one in traded])}
    returns |= {name: np.array([[one.rules[name].returns[:days]] for one in traded]) for name in RULES}
    means, apart = intervals(returns, POLICY, BENCHMARK, seed)
    return {
        "instruments": {one.instrument.name: _instrument(one) for one in traded},
        "mean": means,
        "difference_to_buy_and_hold": apart,
    }


def _instrument(one: EvaluatedInstrument) -> dict[str, Any]:
    """One instrument's Sharpe ratios: of the policy by seed and their mean, and of the rules."""
    by_seed = [daily_account.sharpe(own.returns) for own in one.policy]
    return {
        POLICY: {"mean": float(np.mean(by_seed)), "by_seed": by_seed},
        **{name: daily_account.sharpe(found.returns) for name, found in one.rules.items()},
        "windows": one.windows,
        "trades": [own.trades for own in one.policy],
        "days_long": [float(np.mean(found[FIRST:] == LONG)) for found in one.actions],
    }


def text(document: dict[str, Any]) -> str:
    """The figures as lines."""
    names = (POLICY, *RULES)
    lines = [f"{'Sharpe ratio':12}" + "".join(f"{name:>17}" for name in names)]
    for name, one in document["instruments"].items():
        lines.append(f"{name:12}{one[POLICY]['mean']:17.3f}" + "".join(f"{one[rule]:17.3f}" for rule in RULES))
    lines.append(f"{'mean':12}" + "".join(f"{document['mean'][name]['mean']:17.3f}" for name in names))
    apart, idle = document["difference_to_buy_and_hold"], document["shuffled_future"]
    lines.append(f"policy less buy-and-hold {apart['mean']:+.3f} ({apart['low']:+.3f} to {apart['high']:+.3f})")
    lines.append(f"on shuffled futures without cost {idle['mean']:+.3f} ({idle['low']:+.3f} to {idle['high']:+.3f})")
    lines.append(
        f"{document['seeds']} seeds, {document['recipe']['steps']:,} decisions each, {document['seconds']:.0f} s"
    )
    return "\n".join(lines)
