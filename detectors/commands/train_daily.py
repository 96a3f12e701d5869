"""`tapewatch train autoencoder --daily`: the autoencoder over windows of daily bars, for abnormal moves."""

import argparse
import hashlib
import sys
from collections.abc import Sequence

import msgspec
import numpy as np

from detectors import calibration, drift
from detectors.autoencoder import daily
from detectors.autoencoder.daily import Days
from detectors.autoencoder.model import DAILY, AutoencoderModel, Card, described
from detectors.autoencoder.score import WINDOW
from detectors.autoencoder.training import Recipe
from detectors.commands.bar_folders import read_folders
from detectors.kmeans.calibration import short
from detectors.thresholds import Thresholds, finished
from tapewatch.errors import TapewatchError

ALERTED = 0.01
"""Share of the newer days whose error reaches the alert limit."""
_LIMITS = (
    "Unsupervised: it says how unusual the last 32 trading days are, not that the next one will move. Plain "
    "exponentially weighted volatility foretells abnormal days better; see `tapewatch evaluate abnormal-days`. The "
    "engine does not run it."
)


def model(args: argparse.Namespace) -> AutoencoderModel:
    """Fit to the older days of all instruments, calibrate on the newer. args : daily, steps, seed, held_out"""
    bars, strange = read_folders(args.daily)
    if strange:
        print(f"no daily bars: {', '.join(strange)}", file=sys.stderr)
    parts = [daily.days_of(each) for each in bars.values() if len(each) >= daily.WARM + 2 * WINDOW]
    if not parts:
        raise TapewatchError("too few daily bars", f"Give at least {daily.WARM + 2 * WINDOW} of an instrument.")
    split = np.sort(np.concatenate([part.dates for part in parts]))[
        int((1.0 - args.held_out) * sum(len(part.dates) for part in parts))
    ]
    digest = hashlib.sha256(b"".join(each.dates.tobytes() + each.close.tobytes() for each in bars.values()))
    card = Card(
        data=f"daily bars of {len(parts)} instruments, days before {split} to fit",
        data_hash=digest.hexdigest()[:16],
        command=f"tapewatch train autoencoder --daily DIR --steps {args.steps} --seed {args.seed}",
        seed=args.seed,
        limits=_LIMITS,
    )
    try:
        arrays = daily.fit([before(part, split) for part in parts], Recipe(steps=args.steps, seed=args.seed))
        found, rows = _thresholds(parts, arrays, split)
    except ValueError as error:
        raise TapewatchError(f"cannot train: {error}", "Give years of daily bars of several instruments.") from error
    full = msgspec.structs.replace(card, rows=rows, calibration=found.calibration, budget=found.budget)
    return AutoencoderModel(finished(described(DAILY), found, full), arrays)


def before(part: Days, day: np.datetime64) -> Days:
    """The days before one, without the last of them: its target is a return of that day."""
    count = max(int(np.searchsorted(part.dates, day)) - 1, 0)
    return Days(*(getattr(part, name)[:count] for name in Days.__slots__))


def _thresholds(parts: Sequence[Days], arrays: dict[str, np.ndarray], split: np.datetime64) -> tuple[Thresholds, int]:
    """Calibrated on the days from `split` on; and how many days are older."""
    errors, abnormal = [], []
    for part in parts:
        found = daily.scores(arrays, part)
        newer = (part.dates >= split) & part.known & ~np.isnan(found)
        errors.append(found[newer])
        abnormal.append(part.abnormal[newer])
    error, label = np.concatenate(errors), np.concatenate(abnormal)
    if not 0 < np.count_nonzero(label) < len(label):
        raise ValueError("no abnormal day among the newer ones")
    edges, shares = drift.reference(error)
    found_thresholds = Thresholds(
        calibration.isotonic(error, label, np.ones(len(error))),
        short(float(np.quantile(error, 1.0 - ALERTED))),
        msgspec.UNSET,
        calibration.rounded(np.array(calibration.conformal_levels(error))),
        len(error),
        edges,
        tuple(short(share) for share in shares),
        f"isotonic regression on {len(error):,} newer days, {float(label.mean()):.1%} followed by an abnormal one",
        f"{ALERTED:.0%} of the newer days",
    )
    return found_thresholds, sum(int(np.searchsorted(part.dates, split)) for part in parts)
