"""Which thresholds of a scenario decide how often it alerts, and a configuration with them multiplied."""

from collections.abc import Mapping
from typing import Any

import msgspec

from detectors.scenarios.catalogue import SENSITIVE
from streams.engine.detector_config import DetectorConfig

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
    return tuple(name for name in SENSITIVE.get(scenario, ()) if name in known)


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
