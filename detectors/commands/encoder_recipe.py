"""Arguments of fine-tuning an encoder, common to training one and to judging the kind."""

import argparse
from pathlib import Path

from detectors.sentiment.encoder.training import Recipe


def configure(parser: argparse.ArgumentParser) -> None:
    """Add them."""
    usual = Recipe()
    parser.add_argument("--encoder", type=Path, metavar="DIR", help="pretrained encoder to fine-tune, a local folder")
    parser.add_argument("--epochs", type=int, default=usual.epochs, help=f"of the encoder (default: {usual.epochs})")
    parser.add_argument(
        "--frozen", type=int, default=usual.frozen, help=f"lowest layers that stay (default: {usual.frozen})"
    )
    parser.add_argument("--rate", type=float, default=usual.rate, help=f"of the top layer (default: {usual.rate:g})")


def recipe_of(args: argparse.Namespace) -> Recipe:
    """What was asked for."""
    return Recipe(epochs=args.epochs, frozen=args.frozen, rate=args.rate)
