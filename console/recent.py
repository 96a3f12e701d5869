"""Time as the pages ask for it: back from the newest row there is, since a log may be a replay of old days."""

from typing import Annotated

import msgspec
from msgspec import Meta

Ms = int
"""UTC milliseconds, as a browser counts."""
NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000


class Stretch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far back from the newest row, and how many points at most."""

    hours: Annotated[float, Meta(gt=0, le=24 * 366)] = 24.0
    points: Annotated[int, Meta(ge=2, le=2000)] = 400


def ms(at_ns: int | None) -> Ms | None:
    """Milliseconds of nanoseconds; None stays."""
    return None if at_ns is None else int(at_ns) // NS_PER_MS
