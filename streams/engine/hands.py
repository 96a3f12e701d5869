"""What the engine's kernels work on, as they hand it to each other: one array of addresses.

A kernel that is called, not inlined, takes `hands` and opens what it needs: by value these are several hundred
arguments, and compiling a call with them takes seconds.
"""

from typing import NamedTuple

from streams.engine import output as o
from streams.engine import state as s
from streams.engine.output import Output
from streams.engine.rules import Judges, nobody
from streams.engine.state import State
from tapewatch.bundles import Layout


class KernelContext(NamedTuple):
    """What rows are taken into."""

    state: State
    judges: Judges
    out: Output


HANDS = Layout(KernelContext(s.create(1), nobody(), o.create(1)))
opened = HANDS.open
"""Within a kernel: the Hands that a bundle's words stand for."""
