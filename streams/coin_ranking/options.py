"""Options of `tapewatch run desk`."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What only the desk takes."""
    group = parser.add_argument_group("desk")
    group.add_argument("--target", type=float, metavar="RETURN", help="target return (default: the model's)")
    group.add_argument("--stop", type=float, metavar="RETURN", help="stop return, negative (default: the model's)")
    group.add_argument(
        "--min-turnover", type=float, metavar="AMOUNT",
        help="turnover of a day, in the quote currency, below which a coin is left out (default: about 1 M USD)",
    )  # fmt: skip
    group.add_argument("--name", default="coins", help="of this desk; its state goes by it (default: coins)")
    group.add_argument(
        "--silent-after", type=float, default=120.0, metavar="SECONDS",
        help="leave an input out that holds the others back for so long (default: 120)",
    )  # fmt: skip
    group.add_argument(
        "--snapshot-seconds", type=float, default=600.0, metavar="SECONDS", help="between snapshots (default: 600)"
    )
