"""Draws the reliability diagrams of docs/results/anomaly-peers.json: `python -m benchmarks.reliability_svg`."""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.ship_models import ROOT

_SIDE, _GAP, _TOP = 150, 28, 26
_TITLES = {"kmeans": "K-means", "autoencoder": "Autoencoder", "isolation": "Isolation forest", "fusion": "Fusion"}


def panel(title: str, left: int, chance: Sequence[float], share: Sequence[float], weight: Sequence[float]) -> str:
    """One diagram: probability to the right, share of manipulated seconds upwards, dots as large as their bins."""
    right, bottom = left + _SIDE, _TOP + _SIDE
    dots = "".join(
        f'<circle cx="{left + _SIDE * c:.1f}" cy="{bottom - _SIDE * s:.1f}" r="{2 + 7 * w**0.5:.1f}"/>'
        for c, s, w in zip(chance, share, weight, strict=True)
    )
    return (
        f'<text x="{left}" y="{_TOP - 8}">{title}</text>'
        f'<rect x="{left}" y="{_TOP}" width="{_SIDE}" height="{_SIDE}" fill="none" stroke="#999"/>'
        f'<line x1="{left}" y1="{bottom}" x2="{right}" y2="{_TOP}" stroke="#bbb" stroke-dasharray="3"/>'
        f'<g fill="#1f77b4" fill-opacity="0.6">{dots}</g>'
        f'<text x="{left}" y="{bottom + 13}" fill="#666">0</text>'
        f'<text x="{right - 5}" y="{bottom + 13}" fill="#666">1</text>'
    )


def drawing(detectors: Mapping[str, Any]) -> str:
    """All panels beside each other."""
    panels = [
        panel(_TITLES[name], 12 + number * (_SIDE + _GAP), diagram["chance"], diagram["share"], diagram["weight"])
        for number, name in enumerate(_TITLES)
        for diagram in [detectors[name]["reliability_even_odds"]]
    ]
    width, height = 24 + len(panels) * (_SIDE + _GAP) - _GAP, _TOP + _SIDE + 34
    note = "right: probability, up: share manipulated, as if half of all seconds were; dot area: seconds in the bin"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="#fff"/>'
        + "".join(panels)
        + f'<text x="12" y="{height - 6}" fill="#666">{note}</text></svg>\n'
    )


def main() -> int:
    """Write the picture."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.reliability_svg", epilog="example: python -m benchmarks.reliability_svg"
    )
    parser.add_argument("--results", type=Path, default=ROOT / "docs" / "results" / "anomaly-peers.json")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images" / "reliability.svg")
    args = parser.parse_args()
    args.out.write_text(drawing(json.loads(args.results.read_text())["detectors"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
