"""Which thresholds of a scenario decide how often it alerts, and a configuration with them multiplied."""

from collections.abc import Mapping
from typing import Any

import msgspec

from streams.engine.detector_config import DetectorConfig

SENSITIVITY: dict[str, tuple[str, ...]] = {
    "kmeans_anomaly": ("distance_ratio",),
    "fused_anomaly": ("odds_ratio",),
    "pump_and_dump": ("min_rise", "rise_deviations"),
    "trash_and_cash": ("min_fall", "fall_deviations"),
    "momentum_ignition": ("min_move", "move_deviations"),
    "ramping": ("min_drift", "drift_deviations"),
    "marking_the_open": ("min_move", "move_deviations"),
    "marking_the_close": ("min_move", "move_deviations"),
    "reference_price": ("min_move", "move_deviations"),
    "advancing_the_bid": ("min_rise", "rise_deviations"),
    "squeeze": ("min_rise", "rise_deviations"),
    "unusual_price": ("min_distance", "deviations"),
    "sweeping": ("min_span", "span_deviations"),
    "unusual_trade_size": ("size_ratio", "volume_s"),
    "unusual_order_size": ("depth_ratio", "opposite_ratio"),
    "unusual_volume": ("volume_ratio",),
    "price_floor_ceiling": ("refills",),
    "excessive_spread": ("min_spread_bps", "spread_ratio"),
    "pinging": ("min_small", "trades_z"),
    "wash_like_prints": ("min_pairs",),
    "wash_trades": ("min_trades",),
    "matched_orders": ("min_trades",),
    "front_running": ("min_gain", "large_ratio"),
    "painting_the_tape": ("min_trades", "min_move"),
}
"""By scenario; all of a scenario's are multiplied alike, so that what is asked absolutely and what is asked relative to
an instrument's own past stay in proportion.
"""
_ELSE = ("hold_s",)
"""Of any other scenario: how long it must last."""

Multiples = Mapping[tuple[str, str], float]
"""By class of instruments (empty for all) and scenario."""


def scenarios(config: DetectorConfig) -> list[str]:
    """Scenarios whose thresholds can be multiplied."""
    return [name for name in config.__struct_fields__ if parameters(config, name)]


def parameters(config: DetectorConfig, scenario: str) -> tuple[str, ...]:
    """The parameters that are multiplied; none for what is no scenario."""
    section = getattr(config, scenario)
    if not isinstance(section, msgspec.Struct):
        return ()
    known = section.__struct_fields__
    wanted = tuple(name for name in SENSITIVITY.get(scenario, _ELSE) if name in known)
    return wanted or tuple(name for name in _ELSE if name in known)


def by_class(config: DetectorConfig) -> bool:
    """Whether a configuration can differ by class of instruments."""
    return "classes" in config.__struct_fields__


def changes(config: DetectorConfig, multiples: Multiples) -> dict[str, Any]:
    """What `config apply` is given: only the sections that differ, values to four significant digits."""
    tree: dict[str, Any] = {}
    whole = msgspec.to_builtins(config)
    for (kind, scenario), multiple in multiples.items():
        standing = whole[scenario] | (whole["classes"].get(kind, {}).get(scenario, {}) if kind else {})
        values = {
            name: float(f"{multiple * standing[name]:.4g}") for name in parameters(config, scenario) if multiple != 1.0
        }
        if values and kind:
            tree.setdefault("classes", {}).setdefault(kind, {})[scenario] = values
        elif values:
            tree[scenario] = values
    return tree


def multiplied(config: DetectorConfig, multiples: Multiples) -> DetectorConfig:
    """The configuration with every named scenario's thresholds multiplied."""
    whole = msgspec.to_builtins(config)
    return msgspec.convert(merged(whole, changes(config, multiples)), DetectorConfig)


def merged(tree: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Nested tables with those of `over` on top."""
    found = dict(tree)
    for key, value in over.items():
        known = found.get(key)
        found[key] = merged(known, value) if isinstance(known, Mapping) and isinstance(value, Mapping) else value
    return found
