"""What tells a canary, manipulation that we inject ourselves, and where its alert has to become readable."""

from typing import Literal

PREFIX = "CANARY_"
"""What the ids of our own canaries begin with. No venue's symbols do: an underscore stands in few of them."""

Stage = Literal["topic", "postgres", "elasticsearch"]
STAGES: tuple[Stage, ...] = ("topic", "postgres", "elasticsearch")
"""Where an alert becomes readable, in order."""


def is_canary(prefixes: tuple[str, ...], instrument: str) -> bool:
    """Whether an instrument is a canary. prefixes : `notify.canaries`"""
    return instrument.startswith(prefixes)
