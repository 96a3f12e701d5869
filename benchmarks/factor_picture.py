"""A picture of a factor image made of random walks, for the docs: `python -m benchmarks.factor_picture --out FILE`."""

import argparse
from pathlib import Path

from benchmarks.overlap_inflation import CHANNELS, random_walks
from detectors.forecast.inception.images import images
from detectors.forecast.inception.model import factors
from evaluation.factor_pictures import drawn


def main() -> None:
    """Draw the newest image."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="PNG to write")
    args = parser.parse_args()
    found = images(random_walks(300, 0), CHANNELS, factors)
    picture = drawn(found.pixels[-1], found.channels, found.factors, "56 days x 41 factors of two random walks")
    picture.savefig(args.out, dpi=70, bbox_inches="tight")


if __name__ == "__main__":
    main()
