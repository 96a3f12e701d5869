"""`tapewatch train`: a single model, as detectors/commands/train says, or `all` that forecast, as train_all says."""

import argparse

from detectors.commands import train
from streams.commands import train_all
from tapewatch.settings import Settings


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the models, `all` of them among them."""
    train_all.configure(train.configure(parser))


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Train what was asked for."""
    return train_all.run(args, settings) if args.model == train_all.NAME else train.run(args, settings)
