"""Whether a peer wrote what was asked of it: its records against the plain step over the same quotes."""

import json
import math
import zlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.peers.features import NAMES, Centres, fresh, step

EVERY = 40
"""One instrument in so many is looked at: each goes its own way, from its first quote to its last."""


def looked_at(instrument: bytes) -> bool:
    """Whether this instrument, a record's key, is one of them."""
    return zlib.crc32(instrument) % EVERY == 0


def differing(quotes: Iterable[bytes], written: Iterable[bytes], centres: Centres, names: Sequence[str]) -> int:
    """How many quotes have no record, or one with other features of these names or, where they are all, other distance.

    quotes : of whole instruments, each in the order of its log; written : in any order
    """
    found = {(made["instrument"], made["ts"]): made for made in map(json.loads, written)}
    states, count = defaultdict[str, dict[str, Any]](fresh), 0
    for quote in map(json.loads, quotes):
        features = step(states[quote["instrument"]], quote)
        wanted = {name: value for name, value in zip(NAMES, features, strict=True) if name in names}
        if len(wanted) == len(NAMES):
            wanted["distance"] = centres.distance(features)
        made = found.get((quote["instrument"], quote["ts"]))
        count += made is None or not all(_same(made.get(name), value) for name, value in wanted.items())
    return count


def _same(one: float | None, other: float | None) -> bool:
    """Equal but for the last bits: not every peer adds in Python."""
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)
