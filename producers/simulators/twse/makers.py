"""Taiwan's simulator from what every simulator understands."""

from producers.simulators.catalogue import SimulatorOptions
from producers.simulators.twse.market import channels
from producers.simulators.twse.venue import TaiwanVenue


def taiwan(options: SimulatorOptions) -> TaiwanVenue:
    """MIS, Yahoo and reports of one market; it is asked, so that it has no rate."""
    return TaiwanVenue(options.symbols or channels(options.count), seed=options.seed)
