"""What the engine's kernels work on, as they hand it to each other: one array of addresses.

A kernel that is called, not inlined, takes `context` and opens what it needs: by value these are several hundred
arguments, and compiling a call with them takes seconds.
"""

from typing import NamedTuple

from streams.engine import output
from streams.engine import state as fields
from streams.engine.detector_config import ActiveDetectors, nobody
from streams.engine.output import Output
from streams.engine.state import State
from tapewatch.bundles import Layout


class KernelContext(NamedTuple):
    """What rows are taken into."""

    state: State
    detectors: ActiveDetectors
    out: Output


CONTEXT = Layout(KernelContext(fields.create(1), nobody(), output.create(1)))
opened = CONTEXT.open
"""Within a kernel: the KernelContext that a bundle's words stand for."""
