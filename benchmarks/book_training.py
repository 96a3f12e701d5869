"""Makes the shipped book model and its card: the same command over the same recordings gives the same hash.

It is trained on recorded books with manipulation and look-alikes injected, stuffing also on synthetic markets. The
card's figures are of trees trained without the recording they are judged on, on seeds that nothing was trained on or
chosen by; the shipped trees then see every recording, with the training seeds.
"""

import argparse
import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from benchmarks import book_figures as figures
from benchmarks import book_material as material
from benchmarks.injection import Plan, RecordedMarket, recorded_markets
from benchmarks.ship_trees import ROOT, ship
from benchmarks.training_data import START_NS, market_config
from detectors.book import training
from detectors.book.features import NAMES
from detectors.book.model import DETECTOR, SCENARIOS, BookModel, Booster, Card, markdown
from detectors.book.training import Example, Recipe, ScenarioBoosters
from producers.synthetic import SyntheticConfig, SyntheticMarket

F8 = npt.NDArray[np.float64]

COMMAND = "python -m benchmarks.book_training --recordings DIR"

FIT_SEEDS, FIT_STRENGTHS = range(1001, 1041), (2.0, 3.0, 5.0, 8.0, 12.0)
JUDGED_SEEDS, JUDGED_STRENGTHS = range(3000, 3008), (3.0, 8.0)
INSTRUMENTS, SECONDS, EVENTFUL, RATES = 20, 1500, 40.0, (40.0, 8.0)
MARKET_FIT, MARKET_CHOOSE = 8101, 8102
MARKET_WEIGHT = 0.1
"""What a synthetic second weighs in training, over a recorded one: there are many more of them."""
ALSO_SYNTHETIC = ("quote_stuffing",)
"""What is trained on synthetic markets too: their levels do not breathe as recorded ones do, their quotes do."""
_LIMITS = (
    "Trained and judged on injected manipulation, in minutes of one crypto pair and in a synthetic market: no "
    "prosecuted case with its full book is public. An order shows only as growth and shrinkage of a level, so "
    "one that is split into pieces of usual size, stands outside the ten levels or at a heavy touch is not "
    "seen, and one that stands can hardly be told from a genuine one before it is withdrawn. Large genuine "
    "orders that are given up after seconds look the same. Quote stuffing needs quote rows; probabilities are "
    "those of markets as full of manipulation as the training ones."
)


def _config(rate: float) -> SyntheticConfig:
    return market_config(INSTRUMENTS, SECONDS, EVENTFUL, rate)


def _synthetic(seed: int) -> list[Example]:
    return [one for rate in RATES for one in material.synthetic(_config(rate), seed, MARKET_WEIGHT)]


def _recorded(markets: Sequence[RecordedMarket], strengths: Sequence[float], seeds: Sequence[int]) -> list[Example]:
    found = []
    for seed in seeds:
        found += [material.recorded(market, Plan(strengths=tuple(strengths)), seed) for market in markets]
        print(f"injected seed {seed}", file=sys.stderr)
    return found


def _fit(fitting: Sequence[Example], synthetic: Sequence[Example], recipe: Recipe) -> list[ScenarioBoosters]:
    """Trees of every scenario."""
    return [
        training.fit([*fitting, *synthetic] if name in ALSO_SYNTHETIC else fitting, scenario, recipe)
        for scenario, name in enumerate(SCENARIOS)
    ]


def _folds(
    fitting: Sequence[Example], synthetic: Sequence[Example], recipe: Recipe
) -> dict[str, list[ScenarioBoosters]]:
    """Recording -> the scenarios' trees trained on everything else."""
    return {
        name: _fit([one for one in fitting if one.source != name], synthetic, recipe)
        for name in sorted({one.source for one in fitting})
    }


def _unseen(folds: dict[str, list[ScenarioBoosters]], examples: Sequence[Example], scenario: int) -> list[F8]:
    """Log odds by trees that have not seen the example's recording."""
    return [training.said(folds[one.source][scenario], one) for one in examples]


class CalibrationSet(msgspec.Struct, frozen=True):
    """What trees that have not seen them say of examples by which calibration and alert levels are chosen."""

    examples: list[Example]
    scores: list[list[F8]]
    groups: list[str]

    def level(self, scenario: int, recipe: Recipe, without: str = "") -> float:
        """Log odds at which no group of examples spends more than the scenario's part of the budget, and the margin."""
        found = []
        for group in sorted(set(self.groups)):
            kept = [
                place
                for place, one in enumerate(self.examples)
                if self.groups[place] == group and one.source != without
            ]
            own = [self.examples[place] for place in kept]
            scores = [self.scores[scenario][place] for place in kept]
            found.append(training.alert_level(own, scores, recipe.budget * recipe.parts[scenario], recipe.gap_s))
        return max(found) + recipe.margins[scenario]

    def line(self) -> tuple[float, float]:
        """Calibration, by the recordings with manipulation in them."""
        kept = [place for place, group in enumerate(self.groups) if group == "injected"]
        return training.calibration(
            [self.examples[place] for place in kept], [[own[place] for place in kept] for own in self.scores]
        )


def make(folder: Path, recipe: Recipe) -> BookModel:
    """Train and measure the model."""
    markets = recorded_markets(sorted(path for path in folder.iterdir() if path.is_file()))
    fitting, synthetic = _recorded(markets, FIT_STRENGTHS, FIT_SEEDS), _synthetic(MARKET_FIT)
    folds = _folds(fitting, synthetic, recipe)
    whole = _fit(fitting, synthetic, recipe)
    plain, other = [material.untouched(market) for market in markets], _synthetic(MARKET_CHOOSE)
    groups = ["injected"] * len(fitting) + ["untouched"] * len(plain) + ["synthetic"] * len(other)
    scores = [
        [
            *_unseen(folds, [*fitting, *plain], scenario),
            *(training.said(whole[scenario], one) for one in other),
        ]
        for scenario in range(len(SCENARIOS))
    ]
    chosen = CalibrationSet([*fitting, *plain, *other], scores, groups)
    line = chosen.line()
    boosters = tuple(_finished(trees, scenario, line, chosen, recipe) for scenario, trees in enumerate(whole))
    judged = [one for strength in JUDGED_STRENGTHS for one in _recorded(markets, (strength,), JUDGED_SEEDS)]
    metrics = _measured(boosters, folds, chosen, judged, fitting, recipe)
    rows = {
        "of recordings": sum(int(one.warm.sum()) for one in fitting),
        "of synthetic markets": sum(int(one.warm.sum()) for one in synthetic),
    }
    card = Card(
        data=(
            f"{', '.join(market.name for market in markets)} with manipulation and look-alikes injected "
            f"({len(FIT_SEEDS)} seeds, strengths {', '.join(f'{each:g}' for each in FIT_STRENGTHS)}); "
            "for quote stuffing also synthetic "
            f"markets of {INSTRUMENTS} instruments and {SECONDS // 60} minutes at "
            f"{', '.join(f'{rate:g}' for rate in RATES)} rows/s"
        ),
        data_hash=_data_hash(folder),
        command=COMMAND,
        seed=recipe.seed,
        rows=rows,
        threshold=(
            f"{recipe.budget:g} false alerts an instrument-hour of all three together, of which "
            f"{_listed(recipe.parts)} for {', '.join(SCENARIOS)}, counted apart on injected recordings, untouched ones "
            "(both by trees that had not seen the recording) and a further synthetic market; the highest of these "
            f"levels, and {_listed(recipe.margins)} in log odds above it"
        ),
        metrics=metrics,
        limits=_LIMITS,
    )
    return BookModel(NAMES, boosters, card)


def _listed(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _finished(
    fitted: ScenarioBoosters, scenario: int, line: tuple[float, float], chosen: CalibrationSet, recipe: Recipe
) -> Booster:
    """The exported trees with calibration and alert probability."""
    slope, shift = line
    probability = 1.0 / (1.0 + np.exp(-(slope * chosen.level(scenario, recipe) + shift)))
    alert = float(min(1.0, np.ceil(1e6 * probability) / 1e6))
    return msgspec.structs.replace(training.export(fitted), slope=slope, shift=shift, alert=alert)


def _measured(
    boosters: Sequence[Booster],
    folds: dict[str, list[ScenarioBoosters]],
    chosen: CalibrationSet,
    judged: Sequence[Example],
    seen: Sequence[Example],
    recipe: Recipe,
) -> dict[str, float]:
    """Figures on the judged seeds by trees that have not seen the recording, and of boosting on simple features."""
    calibrated: dict[str, list[F8]] = {}
    metrics: dict[str, float] = {}
    for scenario, booster in enumerate(boosters):
        odds = _unseen(folds, judged, scenario)
        calibrated[booster.scenario] = [1.0 / (1.0 + np.exp(-(booster.slope * each + booster.shift))) for each in odds]
        metrics |= _alerting(chosen, judged, odds, scenario, recipe)
        flags = np.concatenate([one.during((booster.scenario,)) for one in judged])
        known = np.concatenate([(one.during((booster.scenario,)) & one.warm) | one.ordinary() for one in judged])
        error = figures.calibration_error(np.concatenate(calibrated[booster.scenario])[known], flags[known])
        metrics[f"{booster.scenario}: calibration error"] = round(error, 4)
    every = [np.max(np.stack(parts), axis=0) for parts in zip(*calibrated.values(), strict=True)]
    for group, names in {"all": SCENARIOS, **{name: (name,) for name in SCENARIOS}}.items():
        by_simple = _simple_scores(seen, judged, names, recipe.seed)
        for who, scores in (("", every if group == "all" else calibrated[group]), (", simple features", by_simple)):
            for strength in JUDGED_STRENGTHS:
                own = [place for place, one in enumerate(judged) if one.strength == strength]
                area, recall, count = figures.separation(
                    [judged[place] for place in own], [scores[place] for place in own], names
                )
                label = f"{group}, strength {strength:g}{who}"
                metrics[f"{label}: AUROC"] = round(area, 4)
                metrics[f"{label}: event recall at 1 % ({count} events)"] = round(recall, 4)
    return dict(sorted(metrics.items()))


def _simple_scores(seen: Sequence[Example], judged: Sequence[Example], names: Sequence[str], seed: int) -> list[F8]:
    judges = {
        name: figures.simple([one for one in seen if one.source != name], names, seed)
        for name in sorted({one.source for one in judged})
    }
    return [judges[one.source](one) for one in judged]


def _alerting(
    chosen: CalibrationSet, judged: Sequence[Example], odds: Sequence[F8], scenario: int, recipe: Recipe
) -> dict[str, float]:
    """False alerts and event recall at levels chosen without the judged recording."""
    name = SCENARIOS[scenario]
    levels = {source: chosen.level(scenario, recipe, source) for source in {one.source for one in judged}}
    false, hours = 0, 0.0
    found = dict.fromkeys(JUDGED_STRENGTHS, 0)
    events = dict.fromkeys(JUDGED_STRENGTHS, 0)
    for one, score in zip(judged, odds, strict=True):
        level, ordinary = levels[one.source], one.ordinary()
        false += training.openings(one.second, score, ordinary, level, recipe.gap_s)
        hours += int(ordinary.sum()) / 3600.0
        for own, begin, end in one.events:
            if own == name:
                near = (one.second + 1 > begin) & (one.second < end + training.MARGIN_S)
                found[one.strength] += bool((score[near] >= level).any())
                events[one.strength] += 1
    metrics = {f"{name}: false alerts an instrument-hour ({hours:.1f} h)": round(false / hours, 4)}
    for strength, count in events.items():
        label = f"{name}, strength {strength:g}: event recall at the alert probability"
        metrics[label] = round(found[strength] / max(1, count), 4)
    return metrics


def _data_hash(folder: Path) -> str:
    """Names the recordings' content, the injection's code and the synthetic markets."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        digest.update(path.read_bytes())
    for path in sorted((ROOT / "benchmarks" / "injection").glob("*.py")):
        digest.update(path.read_bytes())
    for rate in RATES:
        for seed in (MARKET_FIT, MARKET_CHOOSE):
            digest.update(SyntheticMarket(_config(rate), seed, START_NS).fingerprint.encode())
    return digest.hexdigest()[:16]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the shipped model and its card."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.book_training", description=__doc__)
    parser.add_argument("--recordings", type=Path, required=True, metavar="DIR", help="folder of Binance recordings")
    parser.add_argument("--seed", type=int, default=0, help="of the trees (default: 0)")
    parser.epilog = f"example: {COMMAND}"
    return ship(DETECTOR, parser, lambda args: make(args.recordings, Recipe(seed=args.seed)), markdown, arguments)


if __name__ == "__main__":
    sys.exit(main())
