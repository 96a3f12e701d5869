"""The simulated venues by name, imported when they are asked for."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module

from producers.simulators.server import Venue
from tapewatch.errors import TapewatchError


@dataclass(frozen=True, slots=True)
class SimulatorOptions:
    """What every simulated venue understands.

    symbols : venue's own names; empty takes `count` made-up ones; rate : messages a second, where messages are pushed
    stuffing_s : seconds between two episodes of quote stuffing, where the venue's simulator has any; 0 for none
    """

    symbols: Sequence[str] = ()
    count: int = 10
    seed: int = 0
    rate: float = 100.0
    stuffing_s: float = 0.0


Maker = Callable[[SimulatorOptions], Venue]

SIMULATORS: Mapping[str, str] = {
    "news": "producers.simulators.news:site",
    "binance": "producers.simulators.binance.makers:spot",
    "binance_usdm": "producers.simulators.binance.makers:usdm",
    "binance_coinm": "producers.simulators.binance.makers:coinm",
    "upbit": "producers.simulators.upbit:upbit",
    "coinbase": "producers.simulators.coinbase:coinbase",
    "kraken": "producers.simulators.kraken:kraken",
    "twse": "producers.simulators.twse.makers:taiwan",
    "yahoo": "producers.simulators.yahoo:made",
    "kiwoom": "producers.simulators.kiwoom:made",
}
"""Name, as of the struct in the settings' venues -> module:function that makes the venue from SimulatorOptions."""


def simulated(name: str, options: SimulatorOptions) -> Venue:
    """A venue by name; TapewatchError for one that is not simulated."""
    if name not in SIMULATORS:
        raise TapewatchError(f"no simulator of {name}", f"Use one of {', '.join(SIMULATORS)}.")
    module, _, function = SIMULATORS[name].partition(":")
    maker: Maker = getattr(import_module(module), function)
    return maker(options)
