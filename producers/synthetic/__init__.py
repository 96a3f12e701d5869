"""A market that never was: correlated prices, a 10-level book, and injected manipulation whose times are known."""

from producers.synthetic.config import CRYPTO, SHARES, AssetClass, PlannedEvent, Rota, SyntheticConfig
from producers.synthetic.labels import Label, write_labels
from producers.synthetic.market import SyntheticMarket

__all__ = [
    "CRYPTO",
    "SHARES",
    "AssetClass",
    "Label",
    "PlannedEvent",
    "Rota",
    "SyntheticConfig",
    "SyntheticMarket",
    "write_labels",
]
