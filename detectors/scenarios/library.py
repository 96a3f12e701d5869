"""The scenarios that the engine steps for each instrument and sealed second, beside its own first two, in the order of
their numbers.
"""

from types import ModuleType

from detectors.scenarios import (
    advancing_the_bid,
    excessive_spread,
    marking_the_close,
    marking_the_open,
    momentum_ignition,
    pinging,
    price_floor_ceiling,
    ramping,
    reference_price,
    squeeze,
    sweeping,
    trash_and_cash,
    unusual_order_size,
    unusual_price,
    unusual_trade_size,
    unusual_volume,
    wash_like_prints,
)

ENGINE: tuple[ModuleType, ...] = (
    momentum_ignition,
    ramping,
    trash_and_cash,
    marking_the_open,
    marking_the_close,
    reference_price,
    advancing_the_bid,
    price_floor_ceiling,
    excessive_spread,
    sweeping,
    pinging,
    unusual_price,
    unusual_volume,
    unusual_trade_size,
    unusual_order_size,
    wash_like_prints,
    squeeze,
)
"""New ones come last: an alert's scenario number is its place here."""
