"""Makes the shipped pump model and its card: the same command over the same published rows gives the same hash.

Positives are the published onsets without any row of the coins whose raw trades are kept for evaluation; negatives are
the rows around natural spikes, and ordinary trading from two simulations (the synthetic market, with its news jumps,
and thinly traded coins). Seeds are apart from those of every test and benchmark, and held-out ones give the card's
figures.
"""

import argparse
import hashlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from benchmarks import thin_market
from benchmarks.ship_trees import ship
from benchmarks.training_data import START_NS, market_config
from detectors.pumps import batch
from detectors.pumps.model import DETECTOR, Card, PumpModel, markdown
from detectors.pumps.training import Material, Recipe, alert_probability, onset_log_odds, read_all, train
from producers.synthetic import SyntheticMarket
from tapewatch.clock import NANOS
from tapewatch.contract.rows import RowType

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]

COMMAND = "python -m benchmarks.pump_training --pumps DIR"

LEFT_OUT = ("AST", "ICN")
"""Coins whose raw trades are open: none of their events is trained on."""

DAYS = 10.0
THIN_FIT, THIN_CHOOSE, THIN_HELD_OUT = range(7600, 7640), range(7800, 7880), range(7700, 7780)
INSTRUMENTS, SECONDS, EVENTFUL = 100, 2400, 4.0
RATES = (20.0, 2.0, 0.2)
MARKET_FIT, MARKET_HELD_OUT = (7501, 7502), (7511, 7512)
COOLDOWN_S = 1800
_DAY_S = 86_400.0
_AFTER_S = 60
_LIMITS = (
    "Knows pumps of small coins that were announced to a crowd, from aggressive buys alone: it needs trades with their "
    "aggressor and millisecond times, and 20 chunks with buys before it says anything. A pump that is spread over "
    "minutes, without orders that fill several others at once, stays below the alert probability; most pumps of the "
    "synthetic market are of that kind. Ordinary trading is simulated, not recorded: false alerts on a real market are "
    "to be counted there. The natural spikes were published with other rolling windows than the pumps."
)

Buys = tuple[I8, F8, F8]
"""Milliseconds, prices and notionals of aggressive buys in time order."""


def thin(seed: int) -> Buys:
    """A thinly traded coin's buys."""
    trades = thin_market.simulate(seed, DAYS)
    return trades.ms[trades.buy], trades.price[trades.buy], (trades.price * trades.qty)[trades.buy]


def market(seed: int, rate: float) -> Iterator[tuple[Buys, I8]]:
    """Each synthetic instrument's buys, and the spans of its pumps and ramps, int64[n, 2] in seconds."""
    run = SyntheticMarket(market_config(INSTRUMENTS, SECONDS, EVENTFUL, rate), seed, START_NS)
    names = ("instrument", "ts_event", "price", "qty", "aggressor_side")
    trades = [rows for chunk in run.chunks() for rows in chunk.rows if rows.type is RowType.TRADE and len(rows)]
    if not trades:
        return
    columns: dict[str, Any] = {name: np.concatenate([rows.columns[name] for rows in trades]) for name in names}
    ids = list(trades[0].instruments)
    for code, instrument in enumerate(ids):
        mine = np.flatnonzero((columns["instrument"] == code) & (columns["aggressor_side"] > 0))
        ms = columns["ts_event"][mine] // 1_000_000
        order = mine[np.argsort(ms, kind="stable")]
        price = columns["price"][order]
        spans = [
            (label.start_ns // NANOS, label.end_ns // NANOS + _AFTER_S)
            for label in run.labels()
            if label.instrument == instrument and label.scenario in ("pump_and_dump", "ramping")
        ]
        found = np.array(spans, dtype=np.int64).reshape(-1, 2)
        yield (columns["ts_event"][order] // 1_000_000, price, price * columns["qty"][order]), found


def _outside(seconds: I8, spans: I8) -> npt.NDArray[np.bool_]:
    """bool[rows]: no manipulation of the price goes on."""
    within = (seconds[:, None] >= spans[None, :, 0]) & (seconds[:, None] <= spans[None, :, 1])
    return np.asarray(~within.any(axis=1))


def ordinary(recipe: Recipe) -> tuple[F8, F8]:
    """Rows of ordinary trading that pass the gate, float64[rows, 3, 8]: thin coins, and the synthetic market."""
    gate = (recipe.least_volume, recipe.least_rise)
    coins = [batch.gated_rows(*thin(seed), *gate)[1] for seed in THIN_FIT]
    parts = []
    for seed in MARKET_FIT:
        for rate in RATES:
            for buys, spans in market(seed, rate):
                seconds, rows = batch.gated_rows(*buys, *gate)
                parts.append(rows[_outside(seconds, spans)])
    return np.concatenate(coins), np.concatenate(parts)


def figures(model: PumpModel, onsets: F8) -> dict[str, float]:
    """What the card says of seeds that training never saw."""
    trees, level = model.trees(), np.log(model.alert / (1.0 - model.alert))
    coins = 0
    for seed in THIN_HELD_OUT:
        coins += len(batch.alerts(*batch.chances(*thin(seed), trees), model.alert, COOLDOWN_S))
    alarms = hits = pumps = 0
    for seed in MARKET_HELD_OUT:
        for rate in RATES:
            for buys, spans in market(seed, rate):
                seconds, found = batch.chances(*buys, trees)
                opened = seconds[batch.alerts(seconds, found, model.alert, COOLDOWN_S)]
                alarms += int(np.sum(_outside(opened, spans)))
                hits += sum(bool(np.any((opened >= start) & (opened <= end))) for start, end in spans)
                pumps += len(spans)
    hours = len(MARKET_HELD_OUT) * len(RATES) * INSTRUMENTS * SECONDS / 3600.0
    return {
        "onsets kept, cross-validated by coin": round(float(np.mean(onsets >= level)), 4),
        "false alerts a coin-day, thin coins": round(coins / (len(THIN_HELD_OUT) * DAYS), 5),
        "false alerts an instrument-hour, synthetic market": round(alarms / hours, 5),
        "recall of the synthetic market's pumps and ramps": round(hits / max(1, pumps), 4),
    }


def make(folder: Path, recipe: Recipe) -> PumpModel:
    """Train and measure the model."""
    material = Material(read_all(folder, "positives"), read_all(folder, "natural_spikes"), ordinary(recipe))
    material = material.without(LEFT_OUT)
    card = Card(
        data=(
            f"published onsets of announced pumps without {' and '.join(LEFT_OUT)} (La Morgia et al. 2020), "
            f"rows around natural spikes (Reibel, NatSD), {len(THIN_FIT)} simulated thin coins of {DAYS:g} days, "
            f"synthetic markets of {INSTRUMENTS} instruments and {SECONDS // 60} minutes at "
            f"{', '.join(f'{rate:g}' for rate in RATES)} rows/s"
        ),
        data_hash=_data_hash(folder),
        command=COMMAND,
        limits=_LIMITS,
    )
    model = _with_threshold(train(material, recipe, card), recipe)
    measured = figures(model, onset_log_odds(material, recipe))
    return msgspec.structs.replace(
        model, card=msgspec.structs.replace(model.card, metrics=dict(sorted(measured.items())))
    )


def _with_threshold(model: PumpModel, recipe: Recipe) -> PumpModel:
    """The model with the alert probability that spends the budget on coins of their own."""
    trees, days = model.trees(), len(THIN_CHOOSE) * DAYS
    runs = [batch.chances(*thin(seed), trees) for seed in THIN_CHOOSE]
    alert = alert_probability(runs, recipe.budget * days, COOLDOWN_S)
    words = f"{recipe.budget:g} false alerts a coin-day, counted on {days:g} further days of simulated thin coins"
    return msgspec.structs.replace(model, alert=alert, card=msgspec.structs.replace(model.card, threshold=words))


def _data_hash(folder: Path) -> str:
    """Names the published files' content and the simulations' code and seeds."""
    digest = hashlib.sha256()
    for kind in ("positives", "natural_spikes"):
        for window in (5, 15, 25):
            digest.update((folder / f"{kind}_{window}S.csv").read_bytes())
    digest.update(Path(thin_market.__file__).read_bytes())
    for seed in MARKET_FIT:
        for rate in RATES:
            config = market_config(INSTRUMENTS, SECONDS, EVENTFUL, rate)
            digest.update(SyntheticMarket(config, seed, START_NS).fingerprint.encode())
    return digest.hexdigest()[:16]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the shipped model and its card."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pump_training", description=__doc__)
    parser.add_argument("--pumps", type=Path, required=True, metavar="DIR", help="folder of the published rows")
    parser.add_argument("--seed", type=int, default=0, help="of folds and trees (default: 0)")
    parser.epilog = f"example: {COMMAND}"
    return ship(DETECTOR, parser, lambda args: make(args.pumps, Recipe(seed=args.seed)), markdown, arguments)


if __name__ == "__main__":
    sys.exit(main())
