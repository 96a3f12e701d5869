"""The scenarios that the engine runs, in the order of their numbers; see docs/scenarios.

Each module says what it is (NAME), on which data it rests (TIERS), whether its rates are measured (MEASURED), its
parameters, how strong a second is (`strength`), what it shows for it (VALUES, UNITS) and says of it (`sentence`);
`catalogue.py` tells what else it may say. After a change here, `python -m detectors.scenarios.table_source --write`
writes `table.py` anew.
"""

from types import ModuleType

from detectors.scenarios import (
    advancing_the_bid,
    excessive_spread,
    fused_anomaly,
    kmeans_anomaly,
    layering,
    marking_the_close,
    marking_the_open,
    momentum_ignition,
    pinging,
    price_floor_ceiling,
    pump_and_dump,
    quote_stuffing,
    ramping,
    reference_price,
    spoofing,
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
    kmeans_anomaly,
    pump_and_dump,
    spoofing,
    layering,
    quote_stuffing,
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
    fused_anomaly,
)
"""Modules by number. A number is part of no message: names are."""

KMEANS_ANOMALY, PUMP_AND_DUMP, SPOOFING, FUSED_ANOMALY = 0, 1, 2, ENGINE.index(fused_anomaly)
"""Numbers of those that have more to go by than an observation; layering and quote stuffing follow spoofing."""

MOST = 62
"""So many scenarios fit: one bit each of an instrument's mask."""

SCENARIOS: tuple[str, ...] = tuple(module.NAME for module in ENGINE)
