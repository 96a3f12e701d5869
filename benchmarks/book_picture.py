"""Draws a true case of each book scenario: what the model saw of it, and what it said, second by second.

The cases lie in a synthetic market that nothing was trained on: the one of each scenario that the shipped
model gives the highest probability.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.book_material import synthetic
from benchmarks.training_data import market_config
from detectors.book import features
from detectors.book.model import SCENARIOS, shipped
from detectors.book.training import Example
from detectors.book.trees import score_rows
from tapewatch.errors import TapewatchError

F8 = npt.NDArray[np.float64]

SEED = 8301
AROUND_S = 25
BEHIND = {
    "spoofing": (features.STAND_LARGEST, features.GONE_LARGEST),
    "layering": (features.STAND, features.GONE),
    "quote_stuffing": (features.QUOTES, features.REVERTED),
}
WORDS = {
    features.STAND_LARGEST: "largest order that stands",
    features.GONE_LARGEST: "largest order withdrawn",
    features.STAND: "large orders that stand, heavier side",
    features.GONE: "large orders withdrawn",
    features.QUOTES: "quotes over usual, ln",
    features.REVERTED: "quotes taken back over usual, ln",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Write one SVG for each scenario."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.book_picture", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/images"), metavar="DIR", help="default: docs/images")
    parser.epilog = "example: python -m benchmarks.book_picture --out docs/images"
    args = parser.parse_args(arguments)
    examples = list(synthetic(market_config(20, 1500, 40.0, 40.0), SEED, 1.0))
    for scenario, name in enumerate(SCENARIOS):
        one, event, said = clearest(examples, scenario)
        draw(one, scenario, event, said, args.out / f"book-{name}.svg")
        print(f"{args.out / f'book-{name}.svg'}", file=sys.stderr)
    return 0


def clearest(examples: Sequence[Example], scenario: int) -> tuple[Example, tuple[float, float], F8]:
    """The event of a scenario that the shipped model gives the highest probability, with those around it."""
    trees, best, found = shipped().trees(), -1.0, None
    for one in examples:
        said = np.zeros((len(one.second), len(SCENARIOS)))
        score_rows(one.x, trees, said)
        for name, begin, end in one.events:
            near = (one.second + 1 > begin) & (one.second < end + 3.0)
            peak = float(np.nanmax(said[near, scenario], initial=-1.0))
            if name == SCENARIOS[scenario] and peak > best:
                best, found = peak, (one, (begin, end), said[:, scenario])
    if found is None:
        raise TapewatchError(f"this market has no {SCENARIOS[scenario]}", "Choose another seed in this module.")
    return found


def draw(one: Example, scenario: int, event: tuple[float, float], said: F8, path: Path) -> None:
    """Two panels: what was seen, and the probability with its alert level; the event is shaded."""
    try:
        import matplotlib as mpl

        mpl.use("svg")
        from matplotlib import pyplot as plt
    except ImportError as error:
        raise TapewatchError(
            "matplotlib is absent", "Install the plot extra: pip install 'tapewatch[plot]'."
        ) from error
    near = (one.second > event[0] - AROUND_S) & (one.second < event[1] + AROUND_S)
    at = one.second[near] + 1 - event[0]
    with plt.rc_context({"svg.fonttype": "none", "svg.hashsalt": "tapewatch", "font.size": 9}):
        figure, (above, below) = plt.subplots(2, 1, sharex=True, figsize=(6.4, 3.6), layout="constrained")
        for place in BEHIND[SCENARIOS[scenario]]:
            values = one.x[near, place]
            above.step(at, values, where="pre", label=WORDS[place])
        above.set_ylabel("ln ratio" if scenario == 2 else "ln over usual")
        below.step(at, said[near], where="pre", color="black", label="probability")
        below.axhline(shipped().boosters[scenario].alert, linestyle=":", color="red", label="alert")
        below.set_xlabel(f"seconds since the {SCENARIOS[scenario].replace('_', ' ')} began (shaded)")
        for axes in (above, below):
            axes.axvspan(0.0, event[1] - event[0], color="0.85")
            axes.legend(loc="upper right", frameon=False, fontsize=8)
        figure.savefig(path, metadata={"Date": None})
        plt.close(figure)


if __name__ == "__main__":
    sys.exit(main())
