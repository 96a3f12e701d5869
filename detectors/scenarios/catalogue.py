"""Every scenario, and what each says of itself beside how it is found: read here, written in its own module.

GENERAL : it says that something is unusual and not what; every other scenario tells more
SILENCES : scenarios that tell a part of its story; no pair stands in both directions
SENSITIVE : parameters that decide how often it alerts, all multiplied alike, so that what is asked absolutely and what
is asked relative to an instrument's own past stay in proportion; without any, how long it must last
"""

from types import ModuleType

from detectors.scenarios import cross
from detectors.scenarios.accounts.watch import ACCOUNTS
from detectors.scenarios.library import ENGINE

SCENARIOS: dict[str, ModuleType] = {module.NAME: module for module in (*ENGINE, *ACCOUNTS, cross)}
"""Modules by name."""

GENERAL: tuple[str, ...] = tuple(name for name, module in SCENARIOS.items() if getattr(module, "GENERAL", False))
"""Scenarios that every scenario outside this list silences."""

SILENCES: dict[str, tuple[str, ...]] = {
    name: module.SILENCES for name, module in SCENARIOS.items() if hasattr(module, "SILENCES")
}
"""Source -> targets, beside GENERAL."""

SENSITIVE: dict[str, tuple[str, ...]] = {
    name: getattr(module, "SENSITIVE", ("hold_s",)) for name, module in SCENARIOS.items()
}
"""Parameters that decide how often a scenario alerts."""
